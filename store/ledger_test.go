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

// A request may reach the CMP later than its slot by the network's whim. The
// slots leave room for that at every configured pace, and hardly waste any.
func TestPaceLeavesRoomForLateRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond := rapid.IntRange(1, 400).Draw(t, "per second")
		slots, window := paceOf(perSecond)
		var sent, arrived []int64
		var now int64 // microseconds
		lateBy := rapid.Int64Range(0, grant.Margin.Microseconds())
		for range 4 * perSecond {
			now += rapid.Int64Range(0, 20_000/int64(perSecond)).Draw(t, "idle")
			if n := len(sent); n >= slots {
				now = max(now, sent[n-slots]+window.Microseconds())
			}
			sent = append(sent, now)
			arrived = append(arrived, now+lateBy.Draw(t, "late"))
		}
		if most := mostInASecond(arrived); most > perSecond {
			t.Fatalf("%d requests arrived within a second, %d allowed", most, perSecond)
		}
		if rate := float64(slots) / window.Seconds(); rate < 0.88*float64(perSecond) {
			t.Fatalf("%d a second gives only %.2f", perSecond, rate)
		}
	})
}

func TestPaceOfTen(t *testing.T) {
	slots, window := paceOf(10)
	if slots != 10 || window != 1080*time.Millisecond {
		t.Fatalf("got %d slots in %s", slots, window)
	}
}

// With work waiting, the pace is used up to the margin: promise 5.
func TestLedgerUsesThePace(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 10, PerMonth: plenty})
	var slots []int64
	for len(slots) < 101 {
		if d := take(t, l, grant.Sweep); granted(d) {
			slots = append(slots, int64(d.Slot))
		} else {
			clock.advance(d.Wait)
		}
	}
	if most := mostInASecond(slots); most > 10 {
		t.Errorf("%d grants within a second", most)
	}
	took := time.Duration(slots[100]-slots[0]) * time.Microsecond
	if rate := 100 / took.Seconds(); rate < 9.2 {
		t.Errorf("only %.2f grants a second", rate)
	}
}

// Whatever the order of takes, and however long requests are held between the
// grant and the wire, what leaves never exceeds the pace. A request held for 900
// ms is not sent: the dispatcher takes another grant for it.
func TestLedgerHoldsThePaceUnderCorrections(t *testing.T) {
	const perSecond, stale = 4, 900 * time.Millisecond
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: perSecond, PerMonth: plenty})
	rapid.Check(t, func(rt *rapid.T) {
		now := utcTime(t, "2026-03-10T12:00:00Z")
		clock.set(now)
		exec(t, pool, `UPDATE damsync.pace SET sent = '{}'`)
		var held []grant.Slot
		var sent []int64
		rt.Repeat(map[string]func(*rapid.T){
			"wait": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 600).Draw(rt, "ms")) * time.Millisecond)
				clock.set(now)
			},
			"take": func(*rapid.T) {
				if d := take(t, l, grant.Sweep); granted(d) {
					held = append(held, d.Slot)
				}
			},
			"send": func(rt *rapid.T) {
				if len(held) == 0 {
					rt.Skip("nothing to send")
				}
				i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
				slot := held[i]
				held = slices.Delete(held, i, i+1)
				late := now.Sub(time.UnixMicro(int64(slot)))
				if late >= stale {
					return
				}
				moved, err := l.Correct(t.Context(), slot, late)
				if err != nil {
					rt.Fatal(err)
				}
				if want := max(now.UnixMicro(), int64(slot)); int64(moved) != want {
					rt.Fatalf("the slot is called %d after the correction, want %d", moved, want)
				}
				sent = append(sent, now.UnixMicro())
			},
			"": func(rt *rapid.T) {
				if most := mostInASecond(sent); most > perSecond {
					rt.Fatalf("%d requests left within a second", most)
				}
			},
		})
	})
}

func TestLedgerCountsALostSlotAgain(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 1, PerMonth: plenty})
	first := take(t, l, grant.Sweep)
	clock.advance(2 * time.Second)
	if second := take(t, l, grant.Sweep); !granted(second) {
		t.Fatalf("the window is over, got %+v", second)
	}
	if _, err := l.Correct(t.Context(), first.Slot, 2500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	clock.advance(1200 * time.Millisecond)
	if d := take(t, l, grant.Sweep); granted(d) {
		t.Fatal("the late request does not count")
	}
}

// Three processes on one database share the pace, on the real clock.
func TestLedgerIsSharedByReplicas(t *testing.T) {
	url := pgtest.URL(t)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		slots []int64
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
				slots = append(slots, int64(d.Slot))
			}
			return len(slots) < wanted
		}
		wg.Go(func() { takeWhile(t, l, more) })
	}
	wg.Wait()
	if most := mostInASecond(slots); most > 10 {
		t.Errorf("%d grants within a second", most)
	}
}

// takeWhile takes and waits as told, as long as more says so.
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

// Promise 6: the month's limit holds whoever takes at once.
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

// A class without a reserve still gets what another one had to leave.
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

func TestLedgerPauseStopsEverybody(t *testing.T) {
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

// What was written before the database's clock was set back blocks nobody.
func TestLedgerAfterTheClockWasSetBack(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	l := New(pool, "a").Ledger(LedgerConfig{PerSecond: 2, PerMonth: plenty})
	for range 2 {
		take(t, l, grant.Sweep)
	}
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

// A grant is counted before the taker can use it, so a taker that is killed
// leaves it counted.
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
