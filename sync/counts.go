package sync

import (
	"context"
	"time"

	"damsync/internal/state"
)

// counts is what polls remember of the library's count and the mirror's. Those that differ
// on two polls, the second of which comes soon, start an audit.
type counts struct {
	// Baseline is the difference that an audit has looked into and that is there all the same:
	// assets that the library counts and does not list, or lists no more and still has.
	Baseline  int       `json:"baseline"`
	Differing int       `json:"differing"` // polls in a row
	Since     time.Time `json:"since"`     // of the first of them, on the database's clock
	// What sweeps that counts asked for have cost on that day, in requests.
	Day   string `json:"day,omitempty"`
	Spent int    `json:"spent,omitempty"`
}

// compareCounts starts an audit when the library and the mirror count differently on two
// polls and nothing under way may explain it, once for each difference.
func (e *Engine) compareCounts(ctx context.Context, cursor pollCursor, total int) (pollCursor, error) {
	count, err := e.store.CountAssets(ctx)
	if err != nil || total < 0 {
		return cursor, err
	}
	difference := total - count
	if difference == 0 {
		cursor.Baseline = 0
	}
	if difference == cursor.Baseline {
		cursor.Differing = 0
		return cursor, nil
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return cursor, err
	}
	if cursor.Differing == 0 {
		cursor.Since = now
	}
	cursor.Differing++
	if cursor.Differing < 2 {
		return cursor, nil
	}
	open, err := e.store.CountOpenLookups(ctx, soonRead+1)
	if err != nil || open > 0 { // what is being read may explain it
		if open <= soonRead {
			cursor.Differing = 1
		}
		return cursor, err
	}
	cursor.counts, err = e.explainDifference(ctx, cursor.counts, total, difference, now)
	return cursor, err
}

// soonRead is how many assets are read before the next look at the counts.
const soonRead = 20

// retryAudit is how long after an audit that failed counts may ask for another.
const retryAudit = 10 * time.Minute

// explainDifference looks what an audit has said since the counts differ, and asks for one when none has
// been tried. A library that cannot be counted by windows is swept instead.
func (e *Engine) explainDifference(ctx context.Context, c counts, total, difference int, now time.Time) (counts, error) {
	log := e.log.With().Int("library", total).Int("difference", difference).Logger()
	audited, err := e.store.Observation(ctx, state.KindAudit)
	if err != nil {
		return c, err
	}
	memory, err := auditMemoryOf(audited)
	switch {
	case err != nil:
		return c, err
	case memory.Cap > 0 && total == memory.Cap:
		c.Differing = 0 // no count at all; the windows under the cap are counted in turn
	case audited.LastSuccess.After(c.Since) && memory.Unsettled == 0:
		c.Differing, c.Since = 1, now // it has come since the audit
	case audited.LastSuccess.After(c.Since):
		log.Warn().Msg("the library counts other than it lists; the difference is taken as given")
		c.Baseline, c.Differing = difference, 0
	case e.uncountable.Load():
		return e.sweepDifference(ctx, c, total, difference, now)
	case audited.LastAttempt.After(c.Since) && now.Sub(audited.LastAttempt) < retryAudit:
		// One is under way, or has failed a moment ago.
	case memory.affordable(now, e.opts.MonthLimit):
		log.Info().Msg("counts differ; an audit looks for what does")
		e.askAudit()
	case c.Differing == 2:
		log.Info().Msg("counts differ; what audits may cost a day is spent, and the next looks for it later")
	}
	return c, nil
}

// sweepDifference is for a library that cannot be audited.
func (e *Engine) sweepDifference(ctx context.Context, c counts, total, difference int, now time.Time) (counts, error) {
	swept, err := e.store.Observation(ctx, state.KindSweep)
	if err != nil {
		return c, err
	}
	day, cost := now.UTC().Format(time.DateOnly), total/97+1
	if c.Day != day {
		c.Day, c.Spent = day, 0
	}
	switch {
	case swept.LastSuccess.After(c.Since):
		e.log.Warn().Int("difference", difference).Msg("the library counts other than it lists; the difference is taken as given")
		c.Baseline, c.Differing = difference, 0
	case swept.LastAttempt.After(c.Since):
		// One is under way, or has failed: then its schedule decides.
	case e.sweepAffordable(c.Spent + cost):
		e.log.Info().Int("library", total).Int("difference", difference).Msg("counts differ; the whole library is read")
		c.Spent += cost
		e.askSweep()
	case c.Differing == 2:
		e.log.Warn().Int("library", total).Int("difference", difference).Msg("counts differ; the next scheduled sweep or damsync resync will find out")
	}
	return c, nil
}

// sweepAffordable lets counts that differ start sweeps by themselves while these cost at
// most one percent of the month's requests a day.
func (e *Engine) sweepAffordable(requests int) bool {
	return e.opts.MonthLimit <= 0 || int64(requests) <= max(e.opts.MonthLimit/100, 20)
}

// mirrored tells whether the mirror was ever filled: before that, audits would do a sweep's work.
func mirrored(swept state.ObservationState) bool { return !swept.LastSuccess.IsZero() }
