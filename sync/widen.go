package sync

import (
	"context"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/sync/cadence"
)

// announcedBefore is how long before it was found, besides the widest interval, an event may have told of a change.
const announcedBefore = 5 * time.Minute

// pollSchedule is base as far apart as webhooks let it be, and sooner once when counts differ.
func (e *Engine) pollSchedule(ctx context.Context, base cron.Schedule) (cron.Schedule, error) {
	if base == nil {
		return nil, nil
	}
	cursor, err := e.pollCursor(ctx)
	s := cursor.Cadence.Widen(base, e.opts.Schedule.IncrementalLimit)
	if cursor.Differing == 1 {
		s = recounting{s}
	}
	return s, err
}

// recount is how long after counts that differ the next poll says whether they still do. What a webhook
// is about to tell is told by then.
const recount = 30 * time.Second

// recounting is a schedule whose next time is soon.
type recounting struct{ cron.Schedule }

func (r recounting) Next(t time.Time) time.Time {
	soon, next := t.Add(recount), r.Schedule.Next(t)
	if next.IsZero() || soon.Before(next) {
		return soon
	}
	return next
}

// judgeCadence judges the changes that were found since the last judgement by whether an event told
// of them, and says what changes.
func (e *Engine) judgeCadence(ctx context.Context, before cadence.State) (cadence.State, error) {
	limit := e.opts.Schedule.IncrementalLimit
	base, err := parseSchedule("incremental", e.opts.Schedule.Incremental)
	if err != nil || base == nil || limit <= 0 {
		return cadence.State{}, err
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return before, err
	}
	var evidence cadence.Evidence
	if !before.Judged.IsZero() {
		found, err := e.store.Announced(ctx, before.Judged, now.Add(-cadence.Grace), limit+announcedBefore, cadence.Grace)
		if err != nil {
			return before, err
		}
		evidence = cadence.Evidence{Announced: found.Announced, Unannounced: found.Unannounced, Asset: found.Asset}
	}
	after := before.Judge(now, evidence, before.CanWiden(base, limit, now))
	e.logCadence(before, after, after.Widen(base, limit).Next(now))
	return after, nil
}

func (e *Engine) logCadence(before, after cadence.State, next time.Time) {
	switch {
	case after.Steps < before.Steps:
		e.log.Warn().Str("asset_id", after.Missed).Time("next", next).Msg("a change was found that no webhook announced: the poll keeps to its schedule again")
	case after.Steps > before.Steps:
		e.log.Info().Int("steps", after.Steps).Time("next", next).Msg("webhooks announce what the poll finds: it is made less often")
	case after.MissedAt.After(before.MissedAt):
		e.log.Debug().Str("asset_id", after.Missed).Msg("a change was found that no webhook announced")
	}
}
