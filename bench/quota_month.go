package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/store"
)

// What a day asks for before bulk work gets its share, and once more after it, in parts of the
// month: together nearly the tenth that bulk work leaves.
const (
	webhooksPart = 2000
	pollsPart    = 1000
)

// months lives two months day by day on a database whose clock is a row. From the 2nd on bulk
// work takes whatever it may, and the clock is set back by an hour after the month has turned.
func (o *quotaOptions) months(ctx context.Context, d *database, s *sheet) error {
	clock, err := newVirtualClock(ctx, d.url)
	if err != nil {
		return err
	}
	defer clock.pool.Close()
	if err := d.exec(ctx, `DELETE FROM damsync.quota_day`); err != nil {
		return err
	}
	life := &lifetime{clock: clock, month: o.month, spent: map[string]int64{}, denied: map[grant.Class]int64{}}
	for _, id := range []string{"a", "b", "c"} {
		life.replicas = append(life.replicas, store.New(clock.pool, id).Ledger(store.LedgerConfig{
			PerSecond: quotaPerSecond, PerMonth: o.month, Budget: grant.DefaultBudget(o.month),
		}))
	}
	for day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC); day.Month() < time.May; day = day.AddDate(0, 0, 1) {
		if err := life.day(ctx, day); err != nil {
			return err
		}
	}
	slices.SortFunc(life.slots, time.Time.Compare)
	s.atMost(quotaPerSecond, "virtual months: most grants in a sliding second", float64(mostWithin(life.slots, time.Second)), "")
	for _, month := range []string{"2026-03", "2026-04"} {
		s.atMost(float64(o.month), "requests of "+month, float64(life.spent[month]), "")
		s.atLeast(0.8, "share of "+month+" that is used", float64(life.spent[month])/float64(o.month), "")
	}
	s.exactly(0, "webhooks deferred", float64(life.denied[grant.Webhook]), "")
	s.exactly(0, "polls deferred", float64(life.denied[grant.Incremental]), "")
	s.atMost(0.15, "share of a month that bulk work takes on a day", float64(life.mostBulk)/float64(o.month), "")
	return nil
}

// lifetime is what replicas do over the months, one request at a time in turn.
type lifetime struct {
	clock    *virtualClock
	replicas []*store.Ledger
	month    int64

	turn     int
	slots    []time.Time
	spent    map[string]int64 // by month
	denied   map[grant.Class]int64
	mostBulk int64
}

// day asks for the day's webhooks and polls, lets bulk work take all it gets, and asks for as
// many again: what is urgent comes late in the day, too.
func (l *lifetime) day(ctx context.Context, day time.Time) error {
	if err := l.clock.set(ctx, day.Add(time.Minute)); err != nil {
		return err
	}
	urgent := func() error {
		if err := l.take(ctx, grant.Webhook, max(l.month/webhooksPart, 1)); err != nil {
			return err
		}
		return l.take(ctx, grant.Incremental, max(l.month/pollsPart, 1))
	}
	if err := urgent(); err != nil {
		return err
	}
	if day.Day() == 1 { // the month has turned; the clock has not noticed
		if err := l.clock.set(ctx, day.Add(-59*time.Minute)); err != nil {
			return err
		}
	} else if err := l.bulk(ctx); err != nil {
		return err
	}
	return urgent()
}

func (l *lifetime) bulk(ctx context.Context) error {
	before := len(l.slots)
	for _, class := range []grant.Class{grant.Backfill, grant.Sweep, grant.Audit} {
		if err := l.take(ctx, class, l.month); err != nil {
			return err
		}
	}
	l.mostBulk = max(l.mostBulk, int64(len(l.slots)-before))
	return nil
}

// take takes up to n grants of class, until it is deferred.
func (l *lifetime) take(ctx context.Context, class grant.Class, n int64) error {
	for n > 0 {
		l.turn++
		decision, err := l.replicas[l.turn%len(l.replicas)].Take(ctx, class)
		switch {
		case err != nil:
			return err
		case decision.Deferred != nil:
			l.denied[class] += n
			return nil
		case decision.Wait > 0:
			if err := l.clock.advance(ctx, decision.Wait); err != nil {
				return err
			}
			continue
		}
		at := decision.At
		l.slots = append(l.slots, at)
		l.spent[at.Format("2006-01")]++
		n--
	}
	return nil
}

// virtualClock is a row that the sessions of its pool take for the database's clock.
type virtualClock struct{ pool *pgxpool.Pool }

func newVirtualClock(ctx context.Context, url string) (*virtualClock, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("make virtual clock: %w", err)
	}
	cfg.ConnConfig.RuntimeParams["search_path"] = "virtual, pg_catalog"
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off" // nothing is killed here
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("make virtual clock: %w", err)
	}
	for _, sql := range []string{
		`CREATE SCHEMA virtual`,
		`CREATE TABLE virtual.clock (shows timestamptz NOT NULL)`,
		`INSERT INTO virtual.clock VALUES ('2026-03-01')`,
		`CREATE FUNCTION virtual.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT shows FROM virtual.clock'`,
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			pool.Close()
			return nil, fmt.Errorf("make virtual clock: %w", err)
		}
	}
	return &virtualClock{pool: pool}, nil
}

func (c *virtualClock) set(ctx context.Context, to time.Time) error {
	if _, err := c.pool.Exec(ctx, `UPDATE virtual.clock SET shows = $1`, to); err != nil {
		return fmt.Errorf("set virtual clock: %w", err)
	}
	return nil
}

func (c *virtualClock) advance(ctx context.Context, by time.Duration) error {
	if _, err := c.pool.Exec(ctx, `UPDATE virtual.clock SET shows = shows + $1::interval`, by); err != nil {
		return fmt.Errorf("advance virtual clock: %w", err)
	}
	return nil
}
