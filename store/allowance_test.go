package store

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"damsync/internal/grant"
)

// spend books requests of one day without taking each.
func spend(t *testing.T, pool *pgxpool.Pool, day string, class grant.Class, used int64) {
	t.Helper()
	exec(t, pool, `INSERT INTO damsync.quota_day AS q (day, class, used) VALUES ($1::text::date, $2, $3)
		ON CONFLICT (day, class) DO UPDATE SET used = q.used + excluded.used`, day, string(class), used)
}

func allowanceOf(t *testing.T, l *Ledger, class grant.Class) grant.Allowance {
	t.Helper()
	a, err := l.Allowance(t.Context(), class)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Allowance agrees with Take: the last request of it is granted, and the next is
// deferred until the time it names.
func TestAllowanceIsWhatTakeGrants(t *testing.T) {
	tests := []struct {
		name    string
		now     string
		month   int64
		rolling bool
		class   grant.Class
		spent   map[string]int64 // by day and class, "2026-03-01 sweep"
		today   int64
		until   string
	}{
		{name: "a tenth of a fresh month", now: "2026-03-01T00:00:00Z", month: 200_000, class: grant.Backfill, today: 17_000, until: "2026-03-02T00:00:00Z"},
		{name: "a third for details", now: "2026-03-01T00:00:00Z", month: 200_000, class: grant.Detail, today: 60_000, until: "2026-03-02T00:00:00Z"},
		{name: "audit, sweep and backfill share", now: "2026-03-01T09:00:00Z", month: 200_000, class: grant.Sweep, spent: map[string]int64{"2026-03-01 backfill": 17_000}, today: 600, until: "2026-03-02T00:00:00Z"},
		{name: "the share is spent", now: "2026-03-01T09:00:00Z", month: 200_000, class: grant.Backfill, spent: map[string]int64{"2026-03-01 sweep": 17_000}, today: 0, until: "2026-03-02T00:00:00Z"},
		{name: "even in the last days", now: "2026-03-30T00:00:00Z", month: 200_000, class: grant.Backfill, spent: map[string]int64{"2026-03-05 manual": 100_000}, today: 35_000, until: "2026-03-31T00:00:00Z"},
		{name: "the floor is reached", now: "2026-03-05T00:00:00Z", month: 200_000, class: grant.Backfill, spent: map[string]int64{"2026-03-04 manual": 170_000}, today: 0, until: "2026-04-01T00:00:00Z"},
		{name: "webhooks have no day", now: "2026-03-05T00:00:00Z", month: 200_000, class: grant.Webhook, spent: map[string]int64{"2026-03-04 manual": 170_000}, today: 30_000, until: "2026-04-01T00:00:00Z"},
		{name: "a small month is not spread thin", now: "2026-03-05T00:00:00Z", month: 60, class: grant.Backfill, today: 51, until: "2026-03-06T00:00:00Z"},
		{name: "a month of eight", now: "2026-03-05T00:00:00Z", month: 8, class: grant.Sweep, today: 8, until: "2026-03-06T00:00:00Z"},
		{name: "a setting below what is spent", now: "2026-03-05T00:00:00Z", month: 100, class: grant.Webhook, spent: map[string]int64{"2026-03-04 manual": 170}, today: 0, until: "2026-04-01T00:00:00Z"},
		{name: "fresh rolling month", now: "2026-03-05T00:00:00Z", month: 200_000, rolling: true, class: grant.Backfill, today: 17_000, until: "2026-03-06T00:00:00Z"},
		{name: "rolling, what leaves comes back", now: "2026-03-05T00:00:00Z", month: 2000, rolling: true, class: grant.Backfill, spent: map[string]int64{"2026-02-04 sweep": 800, "2026-02-05 sweep": 800}, today: 100, until: "2026-03-06T00:00:00Z"},
		{name: "rolling, the even rate", now: "2026-03-05T00:00:00Z", month: 20_000, rolling: true, class: grant.Backfill, spent: map[string]int64{"2026-02-04 sweep": 5000, "2026-02-10 manual": 10_000}, today: 1000, until: "2026-03-06T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool, clock := fakeClock(t, utcTime(t, tt.now))
			for key, used := range tt.spent {
				spend(t, pool, key[:10], grant.Class(key[11:]), used)
			}
			l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: tt.month, Rolling: tt.rolling, Budget: grant.DefaultBudget(tt.month)})
			a := allowanceOf(t, l, tt.class)
			if a.Today != tt.today || !a.Until.Equal(utcTime(t, tt.until)) {
				t.Fatalf("%d until %s, want %d until %s", a.Today, a.Until, tt.today, tt.until)
			}
			if a.Today > 0 {
				spend(t, pool, tt.now[:10], tt.class, a.Today-1)
				if d := take(t, l, tt.class); !granted(d) {
					t.Fatalf("the last request is not granted: %+v", d)
				}
				clock.advance(2 * time.Second)
			}
			d := take(t, l, tt.class)
			after := allowanceOf(t, l, tt.class)
			if d.Deferred == nil || after.Deferred == nil || !d.Deferred.Until.Equal(after.Until) || d.Deferred.Reason != after.Deferred.Reason {
				t.Fatalf("take %+v, allowance %+v", d, after)
			}
		})
	}
}

// Bulk work that spends all it may, from any day of the month on, leaves the reserve of
// webhooks, polls and commands untouched to the end.
func TestBulkLeavesTheReserve(t *testing.T) {
	const month = 200_000
	budget := grant.DefaultBudget(month)
	pool, clock := fakeClock(t, utcTime(t, "2026-03-01T00:00:00Z"))
	rapid.Check(t, func(rt *rapid.T) {
		exec(t, pool, `DELETE FROM damsync.quota_day`)
		l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: month, Rolling: rapid.Bool().Draw(rt, "rolling"), Budget: budget})
		day, end := utcTime(t, "2026-03-01T00:00:00Z"), utcTime(t, "2026-03-31T00:00:00Z")
		for day.Before(end) {
			day = day.AddDate(0, 0, rapid.IntRange(1, 6).Draw(rt, "days"))
			clock.set(day)
			for _, class := range []grant.Class{grant.Backfill, grant.Sweep, grant.Audit, grant.Detail} {
				if rapid.IntRange(0, 3).Draw(rt, "hungry") == 0 {
					continue
				}
				a := allowanceOf(t, l, class)
				if left := allowanceOf(t, l, grant.Webhook).Month; a.Today > max(left-budget[class].Floor, 0) {
					rt.Fatalf("%s may spend %d of %d", class, a.Today, left)
				}
				if a.Spare > a.Today {
					rt.Fatalf("a spare of %d of %d", a.Spare, a.Today)
				}
				spend(t, pool, day.Format(time.DateOnly), class, a.Today)
			}
		}
		if a := allowanceOf(t, l, grant.Webhook); a.Today < month/10 {
			rt.Fatalf("only %d are left for webhooks", a.Today)
		}
	})
}

// A spare is what the month has left when the more urgent classes continue as before.
func TestSurplusLeavesWhatTheRestOfTheMonthNeeds(t *testing.T) {
	pool, _ := fakeClock(t, utcTime(t, "2026-03-11T12:00:00Z")) // 21 days left
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: 200_000, Budget: grant.DefaultBudget(200_000)})
	if a := allowanceOf(t, l, grant.Backfill); a.Spare != (170_000+20)/21 {
		t.Errorf("spare %d of an unused month", a.Spare)
	}
	for _, day := range []string{"2026-03-07", "2026-03-08", "2026-03-09", "2026-03-10"} {
		spend(t, pool, day, grant.Incremental, 288)
		spend(t, pool, day, grant.Detail, 1712)
		spend(t, pool, day, grant.Backfill, 5000)
	}
	// 142,000 above the floor less 21 days of 2,000.
	if a := allowanceOf(t, l, grant.Backfill); a.Spare != (142_000-42_000+20)/21 || a.Today != 14_200 {
		t.Errorf("spare %d of %d", a.Spare, a.Today)
	}
	spend(t, pool, "2026-03-09", grant.Webhook, 80_000)
	if a := allowanceOf(t, l, grant.Backfill); a.Spare != 0 || a.Today != 6200 {
		t.Errorf("spare %d of %d although webhooks need it all", a.Spare, a.Today)
	}
}

// No class spends what is reserved for other integrations.
func TestReservedRequestsAreNotSpent(t *testing.T) {
	pool, _ := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	spend(t, pool, "2026-03-02", grant.Sweep, 59)
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: 100, Reserved: 40})
	if d := take(t, l, grant.Webhook); !granted(d) {
		t.Fatalf("%+v", d)
	}
	if d := take(t, l, grant.Webhook); d.Deferred == nil || d.Deferred.Reason != "60 of 60 requests of the month are spent" {
		t.Fatalf("%+v", d)
	}
}

// A clock that is set back, by an hour over midnight or by weeks, returns no requests to the month.
func TestLedgerDayNeverGoesBack(t *testing.T) {
	for _, back := range []string{"2026-03-31T23:30:00Z", "2026-03-20T12:00:00Z"} {
		t.Run(back, func(t *testing.T) {
			pool, clock := fakeClock(t, utcTime(t, "2026-04-01T00:30:00Z"))
			l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 1000, PerMonth: 10})
			for range 6 {
				take(t, l, grant.Webhook)
			}
			clock.set(utcTime(t, back))
			for range 6 {
				take(t, l, grant.Webhook)
			}
			clock.set(utcTime(t, "2026-04-02T00:00:00Z"))
			if a := allowanceOf(t, l, grant.Webhook); a.Month != 0 {
				t.Errorf("%d are left of April, which has seen 10", a.Month)
			}
		})
	}
	t.Run("from far ahead", func(t *testing.T) {
		pool, clock := fakeClock(t, utcTime(t, "2030-04-01T00:30:00Z"))
		l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 1000, PerMonth: 10})
		for range 6 {
			take(t, l, grant.Webhook)
		}
		clock.set(utcTime(t, "2026-03-20T12:00:00Z"))
		take(t, l, grant.Webhook)
		if a := allowanceOf(t, l, grant.Webhook); a.Month != 3 {
			t.Errorf("%d left of this month", a.Month)
		}
		clock.set(utcTime(t, "2026-04-20T12:00:00Z"))
		if a := allowanceOf(t, l, grant.Webhook); a.Month != 10 {
			t.Errorf("%d left of the next", a.Month)
		}
	})
}

// A throttled request lowers the pace of all processes; within an hour it recovers.
func TestThrottledLowersThePace(t *testing.T) {
	for _, perSecond := range []int{10, 1} {
		pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
		cfg := LedgerConfig{PerSecond: perSecond, PerMonth: plenty}
		a, b := New(pool, "a").Ledger(cfg), New(pool, "b").Ledger(cfg)
		rate := func(l *Ledger) float64 {
			start := query[time.Time](t, pool, `SELECT fake.clock_timestamp()`)
			n := 0
			for n < 5*perSecond {
				if d := take(t, l, grant.Sweep); granted(d) {
					n++
				} else {
					clock.advance(d.Wait)
				}
			}
			return float64(n) / query[time.Time](t, pool, `SELECT fake.clock_timestamp()`).Sub(start).Seconds()
		}
		full := rate(a)
		clock.advance(time.Minute)
		refused := func(share float64) {
			for i := range 3 { // in flight together
				got, err := a.Throttled(t.Context(), time.Second, "429")
				if err != nil || math.Abs(got.Share-share) > 0.01 || got.Lowered != (i == 0) {
					t.Fatalf("%+v, %v, want the share %.2f", got, err, share)
				}
			}
			clock.advance(2 * time.Second)
		}
		refused(0.9)
		refused(0.45) // within a minute
		if half := rate(b); half < 0.3*full || half > 0.6*full {
			t.Errorf("%.2f a second after refusals, %.2f before", half, full)
		}
		st := status(t, pool, cfg)
		if st.Quota.Pace.Throttled != 6 || st.Quota.Pace.Share < 0.45 || st.Quota.Pace.Share >= 0.55 {
			t.Errorf("%+v", st.Quota.Pace)
		}
		for range 20 {
			if _, err := a.Throttled(t.Context(), time.Second, "429"); err != nil {
				t.Fatal(err)
			}
			clock.advance(2 * time.Second)
		}
		if d := take(t, b, grant.Webhook); !granted(d) {
			t.Errorf("refusals stopped everything: %+v", d)
		}
		clock.advance(time.Hour)
		if got := rate(b); got < 0.9*full {
			t.Errorf("%.2f a second after an hour, %.2f before", got, full)
		}
	}
}
