package sync

import (
	"context"
	"time"

	"damsync/internal/grant"
	"damsync/internal/state"
)

const (
	// firstLightEvery is how often it is noted how far the reading in depth got, firstLightTold how often
	// the log tells it, of what is more than a few.
	firstLightEvery, firstLightTold = 30 * time.Second, 5 * time.Minute
	firstLightFew                   = 100
)

// firstLight notes how far the reading in depth of a new library got. The lookups are the work; this
// only watches them.
func (e *Engine) firstLight(ctx context.Context) error {
	var told time.Time
	return e.onLeader(ctx, newBell(), "watch the first light", func(ctx context.Context) (time.Duration, error) {
		f, err := e.watchFirstLight(ctx)
		if err == nil && f.Left > firstLightFew && time.Since(told) > firstLightTold {
			told = time.Now()
			event := e.log.Info().Int64("done", f.Done).Int64("left", f.Left).Int64("requests", f.Requests)
			if f.ExpectedEnd != nil {
				event = event.Time("expected_end", *f.ExpectedEnd)
			}
			event.Msg("assets are being read in depth")
		}
		return firstLightEvery, err
	})
}

// watchFirstLight records and returns how far it got; zero when nothing is left.
func (e *Engine) watchFirstLight(ctx context.Context) (state.FirstLight, error) {
	waiting, err := e.opts.Depth.Waiting(ctx)
	if err != nil {
		return state.FirstLight{}, err
	}
	if waiting.Backfill == 0 {
		ended, err := e.opts.Depth.EndFirstLight(ctx)
		if ended {
			e.log.Info().Msg("all assets that rules read in depth are read")
		}
		return state.FirstLight{}, err
	}
	f, err := e.opts.Depth.NoteFirstLight(ctx, waiting.Backfill)
	if err != nil || e.opts.Budget == nil {
		return f, err
	}
	now, err := e.store.Now(ctx)
	if err != nil {
		return f, err
	}
	allowance, err := e.opts.Budget.Allowance(ctx, grant.Backfill)
	if err != nil {
		return f, err
	}
	end := expectedEnd(now, int64(f.PerAsset()*float64(f.Left)), e.opts.PerSecond, e.opts.MonthLimit, allowance)
	f.ExpectedEnd = &end
	return f, e.opts.Depth.ExpectFirstLight(ctx, end)
}

// expectedEnd estimates when so many requests of backfill are sent: today as many as its allowance,
// on each later day what the budget gives a day of the month, and never faster than the pace.
func expectedEnd(now time.Time, requests int64, perSecond int, month int64, a grant.Allowance) time.Time {
	atPace := func(n int64) time.Duration { return time.Duration(n) * time.Second / time.Duration(max(perSecond, 1)) }
	if requests <= a.Today {
		return now.Add(atPace(requests))
	}
	requests -= a.Today
	share := grant.DefaultBudget(month)[grant.Backfill]
	rest, day := a.Month-a.Today, a.Until
	for range 10 * 366 {
		days := int64(day.AddDate(0, 1, 1-day.Day()).Sub(day)/(24*time.Hour)) + 1
		if day.Day() == 1 {
			rest = max(month-share.Floor, 0)
		}
		today := min(rest, max(rest/min(days, int64(max(share.Days, 1))), grant.LeastDay))
		if requests <= today {
			return day.Add(atPace(requests))
		}
		requests, rest, day = requests-today, rest-today, day.AddDate(0, 0, 1)
	}
	return day
}
