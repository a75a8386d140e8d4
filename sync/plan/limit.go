package plan

import (
	"math"

	"damsync/internal/state"
)

// RemovalLimit bounds how many removals a target carries out within a minute without a person's approval.
// A Count or Percent of zero or less disables that half. The zero RemovalLimit stands for
// DefaultRemovalLimit: a forgotten limit must not mean no limit.
type RemovalLimit struct {
	Count   int
	Percent float64 // of the objects at the target; single removals up to Singles a minute pass all the same
}

// DefaultRemovalLimit is 100 removals or 10 percent, whichever is less.
func DefaultRemovalLimit() RemovalLimit { return RemovalLimit{Count: 100, Percent: 10} }

func (l RemovalLimit) orDefault() RemovalLimit {
	if l == (RemovalLimit{}) {
		return DefaultRemovalLimit()
	}
	return l
}

// Evaluate says what becomes of the waiting removals of a wave. It releases only what stays within the limit
// together with everything released within the last minute and everything that may still come. A wave is
// held whole: while any removal is held, later ones are held with it.
func (l RemovalLimit) Evaluate(w state.Wave) state.GuardAnswer {
	switch {
	case w.Held > 0, !l.allows(w, 0):
		return state.GuardHold
	case !l.allows(w, w.Suspects):
		return state.GuardWait
	default:
		return state.GuardRelease
	}
}

// Singles is how many removals within a minute count as edits of a person rather than a wave, however few
// objects a target has: each one that comes alone is within Percent.
const Singles = 5

// allows reports whether the waiting removals, and more that may come with them, stay within the limit.
func (l RemovalLimit) allows(w state.Wave, more int) bool {
	minute := w.Waiting + more + w.Recent
	if minute <= l.Allowed(w) {
		return true
	}
	if count := l.orDefault().Count; minute > Singles || count > 0 && minute > count {
		return false
	}
	alone := w
	alone.Recent = 0
	return w.Waiting+more <= l.Allowed(alone)
}

// Allowed returns how many removals that come together need no approval: at most Count, and at most Percent
// of the objects there were, but always one of these, so that a small target is not stuck.
func (l RemovalLimit) Allowed(w state.Wave) int {
	l = l.orDefault()
	allowed := math.MaxInt
	if l.Count > 0 {
		allowed = l.Count
	}
	// A percentage that is not a number counts as zero, the strictest reading.
	if share := l.Percent / 100 * float64(w.Present+w.Recent); !(l.Percent <= 0) && !(share >= float64(allowed)) {
		allowed = max(1, floor(share))
	}
	return allowed
}

// Enough returns how many objects at the target decide about w: where there are more, Evaluate answers the
// same.
func (l RemovalLimit) Enough(w state.Wave) int {
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
