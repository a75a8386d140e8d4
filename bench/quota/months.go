package main

import (
	"context"
	"slices"
	"time"

	"damsync/bench/internal/benchkit"
	"damsync/internal/grant"
	"damsync/store"
)

// A day's webhooks and polls as parts of the month, taken twice a day: together nearly the tenth
// that bulk work leaves.
const (
	webhooksPart = 2000
	pollsPart    = 1000
)

// replicas are three ledgers that live two months on a virtual clock, one request at a time in turn.
type replicas struct {
	budget int64 // of a month

	now      time.Time
	ledgers  []*store.Ledger
	turn     int
	granted  []time.Time
	spent    map[string]int64 // by month
	denied   map[grant.Class]int64
	mostBulk int64 // on a day
}

// run lives day by day. From the 2nd of each month bulk work takes all it may; on the 1st the clock
// is set back by an hour, into the month before.
func (l *replicas) run(ctx context.Context, s *benchkit.Sheet) error {
	l.spent, l.denied = map[string]int64{}, map[grant.Class]int64{}
	return benchkit.WithClock(ctx, func() time.Time { return l.now }, func(ctx context.Context, d *benchkit.Database) error {
		for _, id := range []string{"a", "b", "c"} {
			l.ledgers = append(l.ledgers, store.New(d.Pool, id).Ledger(store.LedgerConfig{
				PerSecond: perSecond, PerMonth: l.budget, Budget: grant.DefaultBudget(l.budget),
			}))
		}
		for day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC); day.Month() < time.May; day = day.AddDate(0, 0, 1) {
			if err := l.day(ctx, day); err != nil {
				return err
			}
		}
		l.judge(s)
		return nil
	})
}

func (l *replicas) judge(s *benchkit.Sheet) {
	slices.SortFunc(l.granted, time.Time.Compare)
	s.AtMost(perSecond, "virtual months: most grants in a sliding second", float64(mostWithin(l.granted, time.Second)), "")
	for _, month := range []string{"2026-03", "2026-04"} {
		s.AtMost(float64(l.budget), "requests of "+month, float64(l.spent[month]), "")
		s.AtLeast(0.8, "share of "+month+" used", float64(l.spent[month])/float64(l.budget), "")
	}
	s.Exactly(0, "webhooks deferred", float64(l.denied[grant.Webhook]), "")
	s.Exactly(0, "polls deferred", float64(l.denied[grant.Incremental]), "")
	s.AtMost(0.15, "largest share of a month for bulk work on one day", float64(l.mostBulk)/float64(l.budget), "")
}

// day takes the day's webhooks and polls, lets bulk work take all it gets, and takes them again:
// urgent work comes late in the day too.
func (l *replicas) day(ctx context.Context, day time.Time) error {
	l.now = day.Add(time.Minute)
	if err := l.urgent(ctx); err != nil {
		return err
	}
	if day.Day() == 1 {
		l.now = day.Add(-59 * time.Minute)
	} else if err := l.bulk(ctx); err != nil {
		return err
	}
	return l.urgent(ctx)
}

func (l *replicas) urgent(ctx context.Context) error {
	if err := l.take(ctx, grant.Webhook, max(l.budget/webhooksPart, 1)); err != nil {
		return err
	}
	return l.take(ctx, grant.Incremental, max(l.budget/pollsPart, 1))
}

func (l *replicas) bulk(ctx context.Context) error {
	before := len(l.granted)
	for _, class := range []grant.Class{grant.Backfill, grant.Sweep, grant.Audit} {
		if err := l.take(ctx, class, l.budget); err != nil {
			return err
		}
	}
	l.mostBulk = max(l.mostBulk, int64(len(l.granted)-before))
	return nil
}

// take takes up to n grants of class, until one is deferred.
func (l *replicas) take(ctx context.Context, class grant.Class, n int64) error {
	for n > 0 {
		l.turn++
		decision, err := l.ledgers[l.turn%len(l.ledgers)].Take(ctx, class)
		switch {
		case err != nil:
			return err
		case decision.Deferred != nil:
			l.denied[class] += n
			return nil
		case decision.Wait > 0:
			l.now = l.now.Add(decision.Wait)
			continue
		}
		l.granted = append(l.granted, decision.At)
		l.spent[decision.At.Format("2006-01")]++
		n--
	}
	return nil
}
