package plan

import "math"

// RemovalLimit says how many removals a target lets through within a minute
// without asking a person; Percent leaves Singles of a small target as well. A Count or Percent of zero or less disables that
// half, except that the zero RemovalLimit stands for DefaultRemovalLimit: a
// forgotten limit must not mean no limit.
type RemovalLimit struct {
	Count   int
	Percent float64 // of the objects at the target
}

// DefaultRemovalLimit is 100 removals or 10 percent, whichever is less.
func DefaultRemovalLimit() RemovalLimit { return RemovalLimit{Count: 100, Percent: 10} }

func (l RemovalLimit) orDefault() RemovalLimit {
	if l == (RemovalLimit{}) {
		return DefaultRemovalLimit()
	}
	return l
}

// Wave is what the removal gate sees of one target: counts of assets.
type Wave struct {
	Waiting  int // planned removals not yet let through
	Held     int // removals held for approval
	Suspects int // assets reported gone that the API has not confirmed yet
	Recent   int // removals let through in the last minute, those a person approved not counted
	Present  int // objects at the target now, waiting and held ones included; of more than Enough it may be as many
}

// Gate says what to do with the waiting removals.
type Gate int

// The answers of the gate. Hold is the zero value: in doubt nothing is removed.
const (
	Hold    Gate = iota // hold all that wait until a person approves
	Wait                // let none through yet: the unconfirmed ones may make it a wave
	Release             // let all that wait through
)

func (g Gate) String() string {
	switch g {
	case Hold:
		return "hold"
	case Wait:
		return "wait"
	case Release:
		return "release"
	default:
		return "unknown gate"
	}
}

// Admit judges a wave. It releases only what stays within the limit together
// with everything let through a moment ago and everything that may still come. A
// wave is held whole: while any removal is held, those that come later are held
// with it.
func (l RemovalLimit) Admit(w Wave) Gate {
	switch {
	case w.Held > 0, !l.allows(w, 0):
		return Hold
	case !l.allows(w, w.Suspects):
		return Wait
	default:
		return Release
	}
}

// Singles is how many removals within a minute are edits of a person rather than a
// wave, however few objects a target has: each that comes alone is within Percent.
const Singles = 5

// allows tells whether what waits, and more that may come with it, stays within the limit.
func (l RemovalLimit) allows(w Wave, more int) bool {
	minute := w.Waiting + more + w.Recent
	if minute <= l.Allowance(w) {
		return true
	}
	if count := l.orDefault().Count; minute > Singles || count > 0 && minute > count {
		return false
	}
	alone := w
	alone.Recent = 0
	return w.Waiting+more <= l.Allowance(alone)
}

// Allowance returns how many removals that come together need no approval: at most
// Count, and at most Percent of the objects there were, but of these always
// one, so that a small target is not stuck.
func (l RemovalLimit) Allowance(w Wave) int {
	l = l.orDefault()
	allowance := math.MaxInt
	if l.Count > 0 {
		allowance = l.Count
	}
	// A percentage that is not a number counts as none, the strictest reading.
	if share := l.Percent / 100 * float64(w.Present+w.Recent); !(l.Percent <= 0) && !(share >= float64(allowance)) {
		allowance = max(1, floor(share))
	}
	return allowance
}

// Enough returns how many objects at the target decide about w: where there are
// more, Admit answers the same.
func (l RemovalLimit) Enough(w Wave) int {
	l = l.orDefault()
	if !(l.Percent > 0) {
		return 0
	}
	asked := w.Waiting + w.Recent + w.Suspects
	if l.Count > 0 {
		asked = min(asked, l.Count)
	}
	// One more for what the division may lose.
	return int(min(math.Ceil(float64(asked)*100/l.Percent)+1, math.MaxInt32))
}

func floor(share float64) int {
	if math.IsNaN(share) {
		return 0
	}
	return int(math.Floor(share))
}
