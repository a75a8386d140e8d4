package store

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"damsync/internal/grant"
	"damsync/internal/pgtest"
)

const plenty = 1 << 40

func take(t *testing.T, l *Ledger, class grant.Class) grant.Decision {
	t.Helper()
	d, err := l.Take(t.Context(), class)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func granted(d grant.Decision) bool { return d.Deferred == nil && d.Wait == 0 }

// mostInASecond returns how many of the times, in microseconds, fall into the
// fullest sliding second.
func mostInASecond(at []int64) int {
	slices.Sort(at)
	most, first := 0, 0
	for i := range at {
		for at[i]-at[first] >= time.Second.Microseconds() {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// arrivalSlack is how long after its grant a request may arrive without the API seeing
// more than the pace.
const arrivalSlack = paceMargin - paceTolerance - time.Millisecond

// Whenever the processes ask, and however late within the slack each request arrives,
// the API never sees more than the pace in any second.
func TestLedgerHoldsThePace(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	rapid.Check(t, func(rt *rapid.T) {
		perSecond := rapid.IntRange(1, 25).Draw(rt, "per second")
		l := New(pool, "a").Ledger(LedgerConfig{PerSecond: perSecond, PerMonth: plenty})
		now := utcTime(t, "2026-03-10T12:00:00Z")
		exec(t, pool, `UPDATE damsync.pace SET slot = NULL`)
		var arrived []int64
		for len(arrived) < 3*perSecond {
			clock.set(now)
			d := take(t, l, grant.Sweep)
			if granted(d) {
				late := rapid.Int64Range(0, arrivalSlack.Microseconds()).Draw(rt, "late")
				arrived = append(arrived, d.At.UnixMicro()+late)
			}
			now = now.Add(d.Wait + time.Duration(rapid.IntRange(0, 150).Draw(rt, "idle ms"))*time.Millisecond)
		}
		if most := mostInASecond(arrived); most > perSecond {
			rt.Fatalf("%d requests arrived within a second, %d allowed", most, perSecond)
		}
	})
}

// With work waiting, at least nine tenths of the pace are used, although every question
// comes a little after the wait before it: promise 5.
func TestLedgerUsesThePace(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: plenty})
	var grants []time.Time
	for len(grants) < 101 {
		d := take(t, l, grant.Sweep)
		if granted(d) {
			grants = append(grants, d.At)
		} else {
			clock.advance(d.Wait)
		}
		clock.advance(7 * time.Millisecond) // the way to the database and back
	}
	if rate := 100 / grants[100].Sub(grants[0]).Seconds(); rate < 9 {
		t.Errorf("only %.2f grants a second", rate)
	}
}

// A pace of ten has no burst, not even after a long pause.
func TestLedgerSpacesGrants(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: plenty})
	for range 2 {
		if d := take(t, l, grant.Sweep); !granted(d) {
			t.Fatalf("not granted: %+v", d)
		}
		if d := take(t, l, grant.Sweep); d.Wait != 88*time.Millisecond {
			t.Fatalf("got %+v, want a wait of the spacing less the tolerance", d)
		}
		clock.advance(time.Hour)
	}
}

// Three processes on one database share the pace, on the database's own clock.
func TestLedgerIsSharedByReplicas(t *testing.T) {
	url := pgtest.URL(t)
	var (
		wg sync.WaitGroup
		mu sync.Mutex
		at []int64
	)
	const wanted = 35
	for _, id := range []string{"a", "b", "c"} {
		pool, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		l := New(pool, id).Ledger(LedgerConfig{PerSecond: 10, PerMonth: plenty})
		more := func(d grant.Decision) bool {
			mu.Lock()
			defer mu.Unlock()
			if granted(d) {
				at = append(at, d.At.UnixMicro())
			}
			return len(at) < wanted
		}
		wg.Go(func() { takeWhile(t, l, more) })
	}
	wg.Wait()
	if most := mostInASecond(at); most > 10 {
		t.Errorf("%d grants within a second", most)
	}
}

// takeWhile takes grants and waits in between until more reports false or the class is deferred.
func takeWhile(t *testing.T, l *Ledger, more func(grant.Decision) bool) {
	for {
		d, err := l.Take(t.Context(), grant.Sweep)
		if err != nil {
			t.Error(err)
			return
		}
		if !more(d) || d.Deferred != nil {
			return
		}
		select {
		case <-time.After(d.Wait):
		case <-t.Context().Done():
			return
		}
	}
}

// Promise 6: the month's limit holds for concurrent takers.
func TestLedgerNeverExceedsTheMonth(t *testing.T) {
	const limit = 37
	pool := pgtest.Pool(t)
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 5000, PerMonth: limit})
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		count int
	)
	for range 20 {
		wg.Go(func() {
			takeWhile(t, l, func(d grant.Decision) bool {
				mu.Lock()
				defer mu.Unlock()
				if granted(d) {
					count++
				}
				return true
			})
		})
	}
	wg.Wait()
	if count != limit {
		t.Errorf("%d grants, want %d", count, limit)
	}
	if used := query[int](t, pool, `SELECT sum(used)::int FROM damsync.quota_day`); used != limit {
		t.Errorf("%d counted, want %d", used, limit)
	}
}

func TestLedgerMonth(t *testing.T) {
	tests := []struct {
		name     string
		now      string
		rolling  bool
		spent    map[string]int // by day
		reserve  int64
		deferred string // empty: granted
	}{
		{name: "calendar forgets last month", now: "2026-03-01T00:00:00Z", spent: map[string]int{"2026-02-28": 100}},
		{name: "calendar defers to the first", now: "2026-02-28T23:59:59Z", spent: map[string]int{"2026-02-01": 60, "2026-02-28": 40}, deferred: "2026-03-01T00:00:00Z"},
		{name: "calendar year", now: "2026-12-31T10:00:00Z", spent: map[string]int{"2026-12-05": 100}, deferred: "2027-01-01T00:00:00Z"},
		{name: "one left", now: "2026-02-28T23:59:59Z", spent: map[string]int{"2026-02-01": 99}},
		{name: "reserve is left alone", now: "2026-02-10T00:00:00Z", reserve: 20, spent: map[string]int{"2026-02-01": 80}, deferred: "2026-03-01T00:00:00Z"},
		{name: "reserve is not reached", now: "2026-02-10T00:00:00Z", reserve: 20, spent: map[string]int{"2026-02-01": 79}},
		{name: "rolling counts the last 30 days", now: "2026-03-01T12:00:00Z", rolling: true, spent: map[string]int{"2026-01-31": 100}, deferred: "2026-03-02T00:00:00Z"},
		{name: "rolling forgets the 31st", now: "2026-03-01T12:00:00Z", rolling: true, spent: map[string]int{"2026-01-30": 100}},
		{
			name: "rolling waits for the first day that frees enough", now: "2026-03-01T12:00:00Z", rolling: true, reserve: 49,
			spent: map[string]int{"2026-02-01": 30, "2026-02-10": 20, "2026-02-20": 50}, deferred: "2026-03-12T00:00:00Z",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool, _ := fakeClock(t, utcTime(t, tt.now))
			for day, used := range tt.spent {
				exec(t, pool, `INSERT INTO damsync.quota_day (day, class, used) VALUES ($1::text::date, 'sweep', $2)`, day, used)
			}
			l := New(pool, "a").Ledger(LedgerConfig{
				PerSecond: 10, PerMonth: 100, Rolling: tt.rolling, Budget: grant.Budget{grant.Backfill: {Floor: tt.reserve}},
			})
			d := take(t, l, grant.Backfill)
			switch {
			case tt.deferred == "" && !granted(d):
				t.Fatalf("not granted: %+v", d)
			case tt.deferred != "" && d.Deferred == nil:
				t.Fatalf("not deferred: %+v", d)
			case tt.deferred != "" && !d.Deferred.Until.Equal(utcTime(t, tt.deferred)):
				t.Fatalf("deferred until %s, want %s", d.Deferred.Until, tt.deferred)
			}
		})
	}
}

// A class without a floor still gets what another one had to leave.
func TestLedgerReserveIsForTheOthers(t *testing.T) {
	pool, _ := fakeClock(t, utcTime(t, "2026-02-10T00:00:00Z"))
	exec(t, pool, `INSERT INTO damsync.quota_day (day, class, used) VALUES ('2026-02-01', 'sweep', 90)`)
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: 100, Budget: grant.Budget{grant.Sweep: {Floor: 10}}})
	if d := take(t, l, grant.Sweep); d.Deferred == nil {
		t.Errorf("sweep ate the reserve: %+v", d)
	}
	if d := take(t, l, grant.Webhook); !granted(d) {
		t.Errorf("the webhook got nothing: %+v", d)
	}
	if used := query[int](t, pool, `SELECT used FROM damsync.quota_day WHERE class = 'webhook'`); used != 1 {
		t.Errorf("%d counted for webhooks, want 1", used)
	}
}

func TestLedgerPauseStopsAllProcesses(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	cfg := LedgerConfig{PerSecond: 10, PerMonth: plenty}
	a, b := New(pool, "a").Ledger(cfg), New(pool, "b").Ledger(cfg)
	for _, d := range []time.Duration{time.Minute, time.Second} { // the shorter one does not shorten
		if err := a.Pause(t.Context(), d, "429"); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range []*Ledger{a, b} {
		if d := take(t, l, grant.Webhook); d.Wait != time.Minute {
			t.Errorf("wait %s, want a minute", d.Wait)
		}
	}
	clock.advance(time.Minute)
	if d := take(t, b, grant.Webhook); !granted(d) {
		t.Errorf("the pause is over, got %+v", d)
	}
	if err := b.Pause(t.Context(), 24*time.Hour, "429"); err != nil {
		t.Fatal(err)
	}
	if d := take(t, a, grant.Webhook); d.Wait != time.Hour {
		t.Errorf("wait %s, want the bound of an hour", d.Wait)
	}
}

// What was written before the database's clock was set back blocks no request.
func TestLedgerAfterTheClockWasSetBack(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 2, PerMonth: plenty})
	take(t, l, grant.Sweep)
	if err := l.Pause(t.Context(), time.Minute, "429"); err != nil {
		t.Fatal(err)
	}
	clock.set(utcTime(t, "2026-03-10T09:00:00Z"))
	if d := take(t, l, grant.Sweep); !granted(d) {
		t.Fatalf("blocked by the future: %+v", d)
	}
	if err := l.Pause(t.Context(), time.Minute, "429"); err != nil {
		t.Fatal(err)
	}
	if d := take(t, l, grant.Sweep); d.Wait != time.Minute {
		t.Errorf("wait %s, want that of the new pause", d.Wait)
	}
}

// A grant is committed before the process can use it, so it stays counted when the
// process is killed.
func TestLedgerCountsAGrantWhoseTakerVanishes(t *testing.T) {
	pool := pgtest.Pool(t)
	taker, err := pgxpool.NewWithConfig(t.Context(), pool.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer taker.Close()
	l := New(taker, "a").Ledger(LedgerConfig{PerSecond: 1, PerMonth: plenty})
	if d := take(t, l, grant.Sweep); !granted(d) {
		t.Fatalf("not granted: %+v", d)
	}
	exec(t, pool, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	if used := query[int](t, pool, `SELECT used FROM damsync.quota_day`); used != 1 {
		t.Errorf("%d counted, want 1", used)
	}
	other := New(pool, "b").Ledger(LedgerConfig{PerSecond: 1, PerMonth: plenty})
	if d := take(t, other, grant.Sweep); granted(d) {
		t.Error("the pace forgot the grant")
	}
}
