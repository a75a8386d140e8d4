package sync

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/cmp/cmpsim"
	"damsync/internal/state"
	"damsync/store"
	"damsync/sync/observe"
	"damsync/sync/plan"
)

// quiet is a world without schedules, in which a test does each observation itself.
func quiet(t *testing.T, o worldOptions) (*world, *replica) {
	t.Helper()
	o.schedule = &Schedule{}
	w := newWorld(t, t, o)
	t.Cleanup(w.close)
	r := w.start()
	w.converge()
	return w, r
}

// Promise 4: an upstream that lists nothing, or fails, removes nothing, whatever reads it.
func TestFailingUpstreamRemovesNothing(t *testing.T) {
	for _, f := range []cmpsim.Fault{
		{Kind: cmpsim.FaultEmptyList, Path: "/v3/assets"},
		{Kind: cmpsim.FaultEmptyList, Path: "/v3/assets", Skip: 1},
		{Kind: cmpsim.FaultEmptyList, Path: "/v3/{folders,label-groups,fields}"},
		{Kind: cmpsim.FaultHalfPage, Path: "/v3/assets"},
		{Kind: cmpsim.FaultStatus, Status: 404, Body: "html"},
		{Kind: cmpsim.FaultStatus, Status: 404, Path: "/v3/images/*"}, // the details alone, in JSON
		{Kind: cmpsim.FaultStatus, Status: 404, Body: "empty", Path: "/v3/images/*"},
		{Kind: cmpsim.FaultStatus, Status: 403, Path: "/v3/images/*"},
		{Kind: cmpsim.FaultHTML},
	} {
		t.Run(fmt.Sprint(f.Kind, f.Status, f.Path, f.Skip), func(t *testing.T) {
			t.Parallel()
			w, r := quiet(t, worldOptions{sim: cmpsim.Options{Assets: 330}})
			if _, err := w.sim.AddFault(f); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // the client is patient
			defer cancel()
			brand := anyOf(w.wanted("brand"))
			if err := w.sim.EditTitle(brand, "New title"); err != nil { // a webhook leads to its detail
				t.Fatal(err)
			}
			outcomes := []error{
				r.engine.poller.Poll(ctx), r.engine.references.Refresh(ctx, "manual"),
				second(r.engine.sweeper.Sweep(ctx, observe.SweepOptions{Class: "sweep"})),
			}
			if n := query[int](w, `SELECT count(*) FROM damsync.asset WHERE removed_at IS NOT NULL`); n > 0 {
				t.Errorf("%d assets were taken for removed (%v)", n, outcomes)
			}
			if got := w.adapters.retirements(); len(got) > 0 {
				t.Errorf("retired %v (%v)", got, outcomes)
			}
			w.rest()
		})
	}
}

// Promise 4: a 404 without a word of the API counts when the list does not show the asset either.
func TestBareNotFoundIsHeldAgainstTheList(t *testing.T) {
	w, _ := quiet(t, worldOptions{})
	id := anyOf(w.wanted("brand"))
	if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 404, Body: "empty", Path: "/v3/images/*"}); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.BulkDelete([]string{id}); err != nil {
		t.Fatal(err)
	}
	w.eventually("removal", time.Minute, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.asset WHERE id = $1 AND removed_at IS NOT NULL`, id); n == 0 {
			return errors.New("it is taken for living")
		}
		return nil
	})
	w.rest()
}

func second[T any](_ T, err error) error { return err }

func anyOf(files map[string]file) string {
	ids := make([]string, 0, len(files))
	for id := range files {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids[len(ids)/2]
}

// Promise 4: a wave over the limit is held whole until somebody approves it; what comes later is
// judged anew.
func TestRemovalWaveIsHeldWhole(t *testing.T) {
	histories(t, 3, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 6).Draw(rt, "limit")
		spec := brandSpec()
		spec.RemovalLimit = plan.RemovalLimit{Count: limit}
		w := newWorld(t, rt, worldOptions{specs: []plan.Spec{spec}})
		defer w.close()
		r := w.start()
		w.converge()
		ids := make([]string, 0, 40)
		for id := range w.wanted("brand") {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		wave := ids[:min(len(ids), limit+rapid.IntRange(1, 12).Draw(rt, "more"))]
		lost := rapid.Bool().Draw(rt, "webhooks lost")
		if lost {
			w.sim.SetWebhookFaults(cmpsim.WebhookFaults{Lose: 1})
		}
		if err := w.sim.BulkDelete(slices.Clone(wave)); err != nil {
			rt.Fatal(err)
		}
		if lost {
			w.sweep(r)
		}
		w.eventually("hold", time.Minute, func() error {
			if n := query[int](w, `SELECT count(*) FROM damsync.placement WHERE guard = 'held'`); n != len(wave) {
				return fmt.Errorf("%d removals of %d are held", n, len(wave))
			}
			return nil
		})
		if got := w.adapters.retirements(); len(got) > 0 {
			rt.Fatalf("retired %v before anybody approved", got)
		}
		if held, err := w.held("brand"); err != nil || len(held) != len(ids) {
			rt.Fatalf("%d of %d files are left (%v)", len(held), len(ids), err)
		}
		shown, err := w.store.Held(rt.Context(), "brand", 0)
		if err != nil {
			rt.Fatal(err)
		}
		if n, left, err := w.store.Approve(rt.Context(), "brand", shown); err != nil || n != int64(len(wave)) || left != 0 {
			rt.Fatalf("approved %d of %d, %d are left (%v)", n, len(wave), left, err)
		}
		w.converge()
	})
}

// Promise 5, in real time: the pace is shared and no 429 comes. How much of it is used is told: that is the
// machine's, too, and TestFullPaceIsUsed holds it against a clock of its own.
func TestPaceOfReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("takes real time: the pace is the simulator's")
	}
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprint(replicas), func(t *testing.T) {
			t.Parallel()
			onABusyMachine(t, func(t *testing.T) error { return paceOf(t, replicas) })
		})
	}
}

// paceOf tells what is wrong with the pace of so many replicas that have work.
func paceOf(t *testing.T, replicas int) error {
	w := newWorld(t, t, worldOptions{
		sim:    cmpsim.Options{Assets: 600, RequestsPerSecond: cmpsim.DefaultRequestsPerSecond},
		ledger: store.LedgerConfig{PerSecond: cmpsim.DefaultRequestsPerSecond, PerMonth: 100_000},
	})
	defer w.close()
	for range replicas {
		w.start()
	}
	var arrivals []time.Time
	w.eventually("120 requests", time.Minute, func() error {
		arrivals = arrivals[:0]
		for _, q := range w.sim.Requests() {
			if q.Host == "api" {
				arrivals = append(arrivals, q.At)
			}
		}
		if len(arrivals) < 120 {
			return fmt.Errorf("%d requests", len(arrivals))
		}
		return nil
	})
	// The first are of replicas that start and of a list that is read page after page.
	work := arrivals[60:120]
	rate := float64(len(work)-1) / work[len(work)-1].Sub(work[0]).Seconds()
	pace := w.sim.PaceCounters()
	t.Logf("%d replicas: %.2f requests a second, at most %d in any", replicas, rate, pace.PeakPerSecond)
	if pace.Refused > 0 {
		return fmt.Errorf("%d requests were answered 429", pace.Refused)
	}
	return nil
}

// Promise 6: the month's requests never exceed the limit, also across kills; running out is a state, and
// urgent work goes on when there is more.
func TestQuota(t *testing.T) {
	histories(t, 4, func(rt *rapid.T) {
		limit := rapid.Int64Range(8, 60).Draw(rt, "limit")
		w := newWorld(t, rt, worldOptions{ledger: store.LedgerConfig{PerSecond: 5000, PerMonth: limit}})
		defer w.close()
		for range rapid.IntRange(1, 2).Draw(rt, "replicas") {
			w.start()
		}
		for range rapid.IntRange(0, 3).Draw(rt, "kills") {
			r := w.alive()
			r.life.endAfter(rapid.Int64Range(20, 600).Draw(rt, "writes left"))
			w.eventually("kill", time.Minute, func() error {
				if r.life.ended() || query[int64](w, `SELECT coalesce(sum(used), 0)::bigint FROM damsync.quota_day`) >= limit {
					return nil
				}
				return errors.New("it lives, and there is quota")
			})
			r.kill()
			w.start()
		}
		w.eventually("deferral", time.Minute, func() error {
			// Who was told may be dead: then what it deferred says so.
			_, is := w.alive().engine.Deferred()
			if is || query[int](w, `SELECT count(*) FROM damsync.lookup WHERE error_class = 'deferred'`) > 0 {
				return nil
			}
			return errors.New("not deferred")
		})
		id := anyOf(w.wanted("brand"))
		if err := w.sim.EditTitle(id, "While the quota is spent"); err != nil {
			rt.Fatal(err)
		}
		if err := w.sim.WaitDelivered(rt.Context()); err != nil {
			rt.Fatal(err)
		}
		if n := query[int](w, `SELECT count(*) FROM damsync.inbox WHERE processed_at IS NULL`); n == 0 {
			rt.Fatal("the event is not pending")
		}
		if n := query[int](w, `SELECT count(*) FROM damsync.run WHERE state = 'failed'`) +
			query[int](w, `SELECT count(*) FROM damsync.placement WHERE error_class <> ''`) +
			query[int](w, `SELECT count(*) FROM damsync.lookup WHERE error_class NOT IN ('', 'deferred')`); n > 0 {
			rt.Fatalf("%d things are taken for failed\n%s", n, w.state())
		}
		if used := int64(w.sim.Counters().Total); used > limit {
			rt.Fatalf("%d requests of %d", used, limit)
		}
		w.ledger.PerMonth = 100_000
		for _, r := range w.replicas {
			r.stop()
		}
		w.start()
		w.rest()
	})
}

// Promise 7: what finds no change writes no row of the mirror and asks no target.
func TestUnchangedCostsNothing(t *testing.T) {
	w, _ := quiet(t, worldOptions{sim: cmpsim.Options{Assets: 700}})
	w.unchangedCostsNothing()
}

// unchangedCostsNothing checks it on a world at rest.
func (w *world) unchangedCostsNothing() {
	w.Helper()
	ctx, r := context.Background(), w.alive()
	// A detail that was read within the second of its last change is rightly read again.
	for open := true; open; open = query[bool](w, `SELECT EXISTS (SELECT 1 FROM damsync.asset_detail d JOIN damsync.asset a ON a.id = d.asset_id
		WHERE NOT d.settled AND a.removed_at IS NULL)`) {
		if _, err := w.store.RequestWithinGrace(ctx, state.Observation{Kind: state.KindIncremental}, 0); err != nil {
			w.Fatalf("%v", err)
		}
		w.hurried()
	}
	before, calls := w.rows(), w.adapters.calls.Load()
	w.sim.ResetCounters()
	p, err := r.engine.sweeper.Sweep(ctx, observe.SweepOptions{Class: "sweep"})
	if err != nil || p.Changed != 0 || p.Suspects != 0 {
		w.Fatalf("sweep %+v, %v", p, err)
	}
	for range 3 {
		if err := r.engine.poller.Poll(ctx); err != nil {
			w.Fatalf("%v", err)
		}
	}
	if err := r.engine.references.Refresh(ctx, "manual"); err != nil {
		w.Fatalf("%v", err)
	}
	if err := r.engine.planner.PlanStale(ctx); err != nil {
		w.Fatalf("%v", err)
	}
	if after := w.rows(); after != before {
		w.Fatalf("rows were written:\nbefore %s\nafter  %s", before, after)
	}
	if n := w.adapters.calls.Load() - calls; n > 0 {
		w.Fatalf("the targets were asked %d times", n)
	}
	if got := w.sim.Counters().Operations; len(got) > 4 {
		w.Fatalf("requests %v", got)
	}
}

// rows tells whether any row of the mirror or the placements was written or locked.
func (w *world) rows() string {
	w.Helper()
	return query[string](w, `SELECT concat_ws(' ', `+
		`(SELECT md5(string_agg(concat_ws(',', id, ctid, xmin, xmax), ';' ORDER BY id)) FROM damsync.asset),`+
		`(SELECT md5(string_agg(concat_ws(',', asset_id, ctid, xmin, xmax), ';' ORDER BY asset_id)) FROM damsync.asset_detail),`+
		`(SELECT md5(string_agg(concat_ws(',', asset_id, ctid, xmin, xmax), ';' ORDER BY asset_id)) FROM damsync.asset_fields),`+
		`(SELECT md5(string_agg(concat_ws(',', id, ctid, xmin, xmax), ';' ORDER BY id)) FROM damsync.folder),`+
		`(SELECT md5(string_agg(concat_ws(',', target, asset_id, ctid, xmin, xmax), ';' ORDER BY target, asset_id)) FROM damsync.placement),`+
		`(SELECT count(*) FROM damsync.change), (SELECT count(*) FROM damsync.lookup))`)
}

// Promise 9: an event that comes while its asset is being read leads to another reading.
func TestEventWhileReading(t *testing.T) {
	w, _ := quiet(t, worldOptions{})
	id := anyOf(w.wanted("brand"))
	// The fields are read after the detail: the second edit comes between the two.
	if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultSlow, Path: "/v3/assets/" + id + "/fields", DelayMillis: 400, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.EditTitle(id, "First"); err != nil {
		t.Fatal(err)
	}
	w.eventually("slow reading", time.Minute, func() error {
		if f := w.sim.Faults(); len(f) != 1 || f[0].Struck == 0 {
			return errors.New("the fields were not asked for")
		}
		return nil
	})
	if err := w.sim.EditTitle(id, "Second"); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if got := w.wanted("brand")[id].Metadata["title"]; got != "Second" {
		t.Errorf("title %v", got)
	}
}

// Promise 9: an event that comes while its asset is being pushed leads to another push.
func TestEventWhilePushing(t *testing.T) {
	w, _ := quiet(t, worldOptions{})
	id := anyOf(w.wanted("brand"))
	held, release := make(chan struct{}), make(chan struct{})
	w.adapters.holdOnce(id, held, release)
	if err := w.sim.NewVersion(id, 0); err != nil {
		t.Fatal(err)
	}
	<-held
	if err := errors.Join(w.sim.EditTitle(id, "Second"), w.sim.NewVersion(id, 0)); err != nil {
		t.Fatal(err)
	}
	w.eventually("reading", time.Minute, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.asset WHERE title = 'Second'`); n != 1 {
			return errors.New("the edit is not in the mirror")
		}
		return nil
	})
	close(release)
	w.converge()
}

// Promise 9: the receiver answers 202 only when the event is stored; the CMP sends again what it could
// not take.
func TestEventsAreStoredBeforeTheyAreAcknowledged(t *testing.T) {
	w, r := quiet(t, worldOptions{})
	r.stop()
	id := anyOf(w.wanted("brand"))
	w.exec(`ALTER TABLE damsync.inbox RENAME TO away`)
	if err := w.sim.EditTitle(id, "While nothing can be stored"); err != nil {
		t.Fatal(err)
	}
	w.eventually("refusal", time.Minute, func() error {
		for _, d := range w.sim.Deliveries() {
			if d.AssetID == id && d.Status == 503 {
				return nil
			}
		}
		return errors.New("no delivery was answered 503")
	})
	w.exec(`ALTER TABLE damsync.away RENAME TO inbox`)
	if err := w.sim.WaitDelivered(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.inbox WHERE asset_id = $1 AND processed_at IS NULL`, id); n != 1 {
		t.Errorf("%d events are stored", n)
	}
	w.start()
	w.converge()
}

// Promise 10: a sweep whose process was killed goes on at its cursor in another.
func TestSweepResumesAtItsCursor(t *testing.T) {
	w, r := quiet(t, worldOptions{sim: cmpsim.Options{Assets: 1500}})
	whole := query[int](w, `SELECT requests::int FROM damsync.run`)
	var at observe.SweepProgress
	_, err := r.engine.sweeper.Sweep(t.Context(), observe.SweepOptions{Class: "sweep", Progress: func(p observe.SweepProgress) {
		if p.Requests == 8 {
			at = p
			r.life.end()
		}
	}})
	if err == nil || at.RunID == 0 {
		t.Fatalf("the sweep was not killed: %v", err)
	}
	r.kill()
	w.sim.ResetCounters()
	next := w.replica()
	p, err := next.engine.sweeper.Sweep(t.Context(), observe.SweepOptions{Class: "sweep"})
	if err != nil || !p.Resumed || p.RunID != at.RunID {
		t.Fatalf("%+v, %v; want run %d to go on", p, err, at.RunID)
	}
	if n := w.sim.Counters().Total; n > whole-8+2 {
		t.Errorf("%d requests for the rest, %d for the whole and 8 before the kill", n, whole)
	}
	if p.Suspects != 0 || p.Seen < 1500 {
		t.Errorf("it saw %d assets and missed %d", p.Seen, p.Suspects)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.asset WHERE removed_at IS NOT NULL`); n > 0 {
		t.Errorf("%d assets were removed", n)
	}
}
