package sync

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/store"
	"damsync/sync/plan"
)

// slowly is a world whose first light takes a while: the rules read every file asset in depth.
func slowly(t *testing.T, assets int, order ...string) *world {
	t.Helper()
	spec := photosSpec()
	spec.Select = plan.Select{Expired: plan.ExpiredIgnore, When: `asset.alt_text != "nothing says so"`}
	w := newWorld(t, t, worldOptions{
		sim: cmpsim.Options{Assets: assets}, specs: []plan.Spec{spec},
		ledger: store.LedgerConfig{PerSecond: 50, PerMonth: 1_000_000}, schedule: &Schedule{FirstLight: plan.CompileOrder(order)},
	})
	t.Cleanup(w.close)
	return w
}

// details are the assets that were read singly, in their order.
func (w *world) details() []string {
	var ids []string
	for _, r := range w.sim.Requests() {
		if r.Host == "api" && strings.HasPrefix(r.Operation, "get") && !strings.Contains(r.Operation, "Fields") {
			ids = append(ids, r.Path[strings.LastIndex(r.Path, "/")+1:])
		}
	}
	return ids
}

// waitForDetails waits until n assets were read singly since the sweep was complete.
func (w *world) waitForDetails(n int) {
	w.Helper()
	w.eventually("details", time.Minute, func() error {
		if got := len(w.details()); got < n {
			return fmt.Errorf("%d details", got)
		}
		return nil
	})
}

// An edit that is reported while thousands of details wait goes before them: it is counted in
// requests, not in time. Across a kill the work goes on, and nothing is read twice but what was in hand.
func TestWebhookDuringFirstLight(t *testing.T) {
	onABusyMachine(t, webhookDuringFirstLight)
}

func webhookDuringFirstLight(t *testing.T) error {
	w := slowly(t, 2000)
	defer w.close()
	r := w.start()
	w.waitForDetails(30)
	left := query[string](w, `SELECT asset_id FROM damsync.lookup WHERE class = 'backfill' AND wanted > done ORDER BY priority DESC LIMIT 1`)
	before := len(w.details())
	if err := w.sim.EditTitle(left, "Urgent"); err != nil {
		t.Fatal(err)
	}
	w.eventually("reading of the edited asset", time.Minute, func() error {
		if !slices.Contains(w.details(), left) {
			return fmt.Errorf("%d others were read since", len(w.details())-before)
		}
		return nil
	})
	sent := slices.Index(w.details(), left) - before
	t.Logf("%d requests were sent between the edit and its reading", sent)
	if sent > 40 { // the delivery of the event takes time, too: 50 requests a second go on meanwhile
		return fmt.Errorf("%d requests went before an urgent one", sent)
	}
	done := len(w.details())
	r.kill()
	w.start()
	w.waitForDetails(done + 30)
	twice := map[string]int{}
	for _, id := range w.details() {
		twice[id]++
	}
	again := 0
	for id, n := range twice {
		if n > 1 && id != left {
			again++
		}
	}
	if again > 8 {
		return fmt.Errorf("%d assets were read again after the kill", again)
	}
	var f struct{ done, left, requests int64 }
	w.eventually("progress", 2*time.Minute, func() error {
		return w.pool.QueryRow(t.Context(), `SELECT done, remaining, requests FROM damsync.first_light WHERE ended_at IS NULL AND expected_end > now()`).
			Scan(&f.done, &f.left, &f.requests)
	})
	t.Logf("done %d, left %d, requests %d", f.done, f.left, f.requests)
	if f.done == 0 || f.requests < f.done || f.left == 0 {
		return fmt.Errorf("%d are told to be done with %d requests, %d left", f.done, f.requests, f.left)
	}
	return nil
}

// The newest come first, those of the folders that are named before all others.
func TestFirstLightGoesByValue(t *testing.T) {
	w := slowly(t, 600, "/Press/**", "/Brand/**")
	// What the first sweep has not listed yet cannot be in order: the details wait until it has.
	if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 503, Path: "/v3/{images,videos,raw-files,articles}/*"}); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.eventually("sweep", time.Minute, func() error {
		if query[int](w, `SELECT count(*) FROM damsync.observation WHERE kind = 'sweep' AND last_success IS NOT NULL`) == 0 {
			return fmt.Errorf("none is complete")
		}
		return nil
	})
	type key struct {
		rank int
		at   time.Time
	}
	order := plan.CompileOrder([]string{"/Press/**", "/Brand/**"})
	rows, err := w.pool.Query(t.Context(), `SELECT coalesce(f.path, a.file_location), a.modified_at FROM damsync.lookup l JOIN damsync.asset a ON a.id = l.asset_id
		LEFT JOIN damsync.folder f ON f.id = a.folder_id WHERE l.class = 'backfill' ORDER BY l.urgency, l.priority`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	last, n, ranks := key{rank: -1}, 0, map[int]bool{}
	for rows.Next() {
		var folder string
		var k key
		if err := rows.Scan(&folder, &k.at); err != nil {
			t.Fatal(err)
		}
		k.rank = order.Rank(folder)
		if k.rank < last.rank || k.rank == last.rank && k.at.After(last.at) {
			t.Fatalf("%+v comes after %+v", k, last)
		}
		last, n, ranks[k.rank] = k, n+1, true
	}
	if n < 100 || len(ranks) < 3 {
		t.Errorf("%d assets wait, of ranks %v", n, ranks)
	}
}

// What is expected is never sooner than the pace allows, and never sooner for more work.
func TestExpectedEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 2, rapid.IntRange(1, 28).Draw(t, "day"), 13, 0, 0, 0, time.UTC)
		month := rapid.Int64Range(1000, 500_000).Draw(t, "month")
		a := grant.Allowance{Month: rapid.Int64Range(0, month).Draw(t, "left"), Until: now.Truncate(24*time.Hour).AddDate(0, 0, 1)}
		a.Today = min(a.Month, rapid.Int64Range(0, month).Draw(t, "today"))
		n := rapid.Int64Range(0, 2*month).Draw(t, "requests")
		end, later := expectedEnd(now, n, 10, month, a), expectedEnd(now, n+rapid.Int64Range(0, month).Draw(t, "more"), 10, month, a)
		if end.Before(now.Add(time.Duration(min(n, a.Today))*time.Second/10)) || later.Before(end) || n > a.Today && end.Before(a.Until) {
			t.Fatalf("%d requests from %s: %s, more: %s", n, now, end, later)
		}
	})
}
