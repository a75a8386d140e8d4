package plan

import (
	"math"

	"damsync/internal/state"
)

// RemovalLimit bounds how many removals a target carries out within a minute without approval. A Count or Percent of
// zero or less disables that half. The zero RemovalLimit means DefaultRemovalLimit: a forgotten limit must not mean no
// limit.
type RemovalLimit struct {
	Count   int
	Percent float64 // of the objects at the target; up to Singles single removals a minute are always allowed
}

// DefaultRemovalLimit is 100 removals or 10 percent, whichever is less.
func DefaultRemovalLimit() RemovalLimit { return RemovalLimit{Count: 100, Percent: 10} }

func (l RemovalLimit) orDefault() RemovalLimit {
	if l == (RemovalLimit{}) {
		return DefaultRemovalLimit()
	}
	return l
}

// Evaluate decides about the waiting removals of a wave. It releases them only when they stay within the limit together
// with all removals released within the last minute and all suspects. A wave is held whole: while any removal is held,
// later ones are held with it.
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

// Singles is the number of removals within a minute that count as edits of a person rather than a wave, however few
// objects the target has: a single removal is always within Percent.
const Singles = 5

// allows reports whether the waiting removals and more others stay within the limit.
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

// Allowed returns how many removals of a wave need no approval: at most Count, and at most Percent of the objects before
// the wave but at least one, so that a small target does not get stuck.
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

// Enough returns the number of objects at the target above which Evaluate gives the same answer for w, so that a caller
// need not count further.
func (l RemovalLimit) Enough(w state.Wave) int {
	l = l.orDefault()
	if !(l.Percent > 0) {
		return 0
	}
	removals := w.Waiting + w.Recent + w.Suspects
	if l.Count > 0 {
		removals = min(removals, l.Count)
	}
	// One more because the division may round down.
	return int(min(math.Ceil(float64(removals)*100/l.Percent)+1, math.MaxInt32))
}

func floor(share float64) int {
	if math.IsNaN(share) {
		return 0
	}
	return int(math.Floor(share))
}
