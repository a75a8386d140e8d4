package observe

import (
	"context"
	"time"

	"damsync/internal/state"
)

const (
	// soonRead is the number of open lookups that finish before the next poll compares the counts again.
	soonRead = 20
	// retryAudit is how long after a failed audit the counts may request another one.
	retryAudit = 10 * time.Minute
)

// counts is what polls remember of the counts of library and mirror. Counts that differ on two polls start an audit; the
// second poll follows soon after the first.
type counts struct {
	// Baseline is the difference that an audit has left: assets that the library counts but does not list, or that
	// it has but does not list.
	Baseline  int       `json:"baseline"`
	Differing int       `json:"differing"` // polls in a row
	Since     time.Time `json:"since"`     // of the first of them, on the database's clock
}

// compareCounts requests an audit, once for each difference, when the library and the mirror count differently on two
// polls and no open lookup may explain it.
func (p *Poller) compareCounts(ctx context.Context, cursor pollCursor, total int) (pollCursor, error) {
	count, err := p.Store.CountAssets(ctx)
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
	now, err := p.Store.Now(ctx)
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
	open, err := p.Polls.CountOpenLookups(ctx, soonRead+1)
	if err != nil || open > 0 { // a lookup may explain it
		if open <= soonRead {
			cursor.Differing = 1
		}
		return cursor, err
	}
	cursor.counts, err = p.explainDifference(ctx, cursor.counts, difference, now)
	return cursor, err
}

// explainDifference accepts what an audit since the counts differ has left, and requests one when there was none.
// An uncountable library is swept by schedule instead.
func (p *Poller) explainDifference(ctx context.Context, c counts, difference int, now time.Time) (counts, error) {
	audited, err := p.Polls.Observation(ctx, state.KindAudit)
	if err != nil {
		return c, err
	}
	memory, err := auditMemoryOf(audited)
	switch {
	case err != nil:
		return c, err
	case audited.LastSuccess.After(c.Since) && memory.Unexplained == 0:
		c.Differing, c.Since = 1, now // it arose after the audit
	case audited.LastSuccess.After(c.Since):
		p.Log.Warn().Int("difference", difference).Msg("library total_count disagrees with its listing; accepting the difference as the baseline")
		c.Baseline, c.Differing = difference, 0
	case p.Uncountable():
	case audited.LastAttempt.After(c.Since) && now.Sub(audited.LastAttempt) < retryAudit:
		// One is running, or has just failed.
	default:
		p.Log.Info().Int("difference", difference).Msg("asset counts differ; starting an audit")
		p.RequestAudit()
	}
	return c, nil
}
