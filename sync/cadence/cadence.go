// Package cadence decides how often the poll has to look: less and less while webhooks tell
// everything before it finds it, and by its schedule as soon as it finds something that none
// told. It knows no clock and does no I/O.
package cadence

import (
	"time"

	"github.com/robfig/cron/v3"
)

const (
	// Proof is how many announced changes it takes, since the last step, for the next one.
	Proof = 10
	// Period is how long nothing may have come unannounced, since the last step, for the next one.
	Period = time.Hour
	// Grace is how old a change must be to be judged: its event may come after it was found.
	Grace = 2 * time.Minute
	// maxSteps bounds the factor; the limit is reached long before.
	maxSteps = 10
)

// Evidence is what was found of changes since the last judgement.
type Evidence struct {
	Announced   int    // found by an event, or reported by one near the time they were found
	Unannounced int    // found by looking, and no event told
	Asset       string // one of those
}

// State is what one judgement hands to the next; the zero value knows nothing and keeps to the
// schedule.
type State struct {
	Steps     int       `json:"steps,omitempty"`     // how often the interval is doubled
	Judged    time.Time `json:"judged,omitzero"`     // changes found up to here were judged
	Since     time.Time `json:"since,omitzero"`      // of the last step, or the last change that came unannounced
	Announced int       `json:"announced,omitempty"` // changes since then
	// The last change that no event announced.
	Missed   string    `json:"missed,omitempty"` // the asset
	MissedAt time.Time `json:"missed_at,omitzero"`
}

// Judge takes the evidence of the changes that were found up to now less Grace. wider says that a
// further step would change anything.
func (s State) Judge(now time.Time, e Evidence, wider bool) State {
	s.Judged = now.Add(-Grace)
	if s.Since.IsZero() || s.Since.After(now) {
		s.Since, s.Announced = now, 0 // the first time, or the clock was set back
	}
	if e.Unannounced > 0 {
		return State{Judged: s.Judged, Since: now, Missed: e.Asset, MissedAt: now}
	}
	s.Announced += e.Announced
	if wider && s.Steps < maxSteps && s.Announced >= Proof && now.Sub(s.Since) >= Period {
		s.Steps++
		s.Since, s.Announced = now, 0
	}
	return s
}

// Widen returns base with every 2^Steps-th of its times only, as long as they are no more
// than limit apart. Where base itself leaves longer gaps, they stay as they are.
func (s State) Widen(base cron.Schedule, limit time.Duration) cron.Schedule {
	if s.Steps <= 0 || limit <= 0 {
		return base
	}
	return widened{base: base, every: 1 << min(s.Steps, maxSteps), limit: limit}
}

// CanWiden tells whether one more step would move the time after last.
func (s State) CanWiden(base cron.Schedule, limit time.Duration, last time.Time) bool {
	further := s
	further.Steps++
	return further.Widen(base, limit).Next(last).After(s.Widen(base, limit).Next(last))
}

type widened struct {
	base  cron.Schedule
	every int
	limit time.Duration
}

// Next is the time after t.
func (w widened) Next(t time.Time) time.Time {
	next := w.base.Next(t)
	for range w.every - 1 {
		later := w.base.Next(next)
		if later.IsZero() || later.Sub(t) > w.limit {
			break
		}
		next = later
	}
	return next
}
