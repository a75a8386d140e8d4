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

// quietWorld returns a converged world without schedules, with one replica. Tests make each observation themselves.
func quietWorld(t *testing.T, o worldOptions) (*world, *replica) {
	t.Helper()
	o.schedule = &Schedule{}
	w := newWorld(t, t, o)
	t.Cleanup(w.close)
	r := w.start()
	w.converge()
	return w, r
}

// Promise 4: a library that lists nothing or fails removes nothing, whichever observation reads it.
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
			w, r := quietWorld(t, worldOptions{sim: cmpsim.Options{Assets: 330}})
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
				errorOf(r.engine.sweeper.Sweep(ctx, observe.SweepOptions{Class: "sweep"})),
			}
			if n := query[int](w, `SELECT count(*) FROM damsync.asset WHERE removed_at IS NOT NULL`); n > 0 {
				t.Errorf("%d assets were marked removed (%v)", n, outcomes)
			}
			if got := w.adapters.retirements(); len(got) > 0 {
				t.Errorf("retired %v (%v)", got, outcomes)
			}
			w.recoverAndConverge()
		})
	}
}

// Promise 4: a 404 without the API's body counts only when the list does not show the asset either.
func TestBareNotFoundIsCheckedInTheList(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{})
	id := anyOf(w.wanted("brand"))
	if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 404, Body: "empty", Path: "/v3/images/*"}); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.BulkDelete([]string{id}); err != nil {
		t.Fatal(err)
	}
	w.eventually("removal", time.Minute, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.asset WHERE id = $1 AND removed_at IS NOT NULL`, id); n == 0 {
			return errors.New("it is not marked removed")
		}
		return nil
	})
	w.recoverAndConverge()
}

// errorOf drops the result of a call.
func errorOf[T any](_ T, err error) error { return err }

// anyOf returns the id in the middle of the sorted ids.
func anyOf(files map[string]file) string {
	ids := make([]string, 0, len(files))
	for id := range files {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids[len(ids)/2]
}

// Promise 4: a wave over the limit is held whole until it is approved. Later removals are evaluated again.
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
			rt.Fatalf("retired %v before the approval", got)
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

// Promise 5, in real time: replicas share one pace, and 429 stays the exception. The bounds hold on any machine: a slow one
// only sends later. TestFullPaceIsUsed in internal/grant checks the pace exactly, on a clock of its own.
func TestReplicasShareThePace(t *testing.T) {
	if testing.Short() {
		t.Skip("takes real time: the pace is the simulator's")
	}
	t.Parallel()
	const requests = 100
	w := newWorld(t, t, worldOptions{
		sim:    cmpsim.Options{Assets: 400, RequestsPerSecond: cmpsim.DefaultRequestsPerSecond},
		ledger: store.LedgerConfig{PerSecond: cmpsim.DefaultRequestsPerSecond, PerMonth: 100_000},
	})
	t.Cleanup(w.close)
	began := time.Now()
	for range 3 {
		w.start()
	}
	w.eventually("requests", time.Minute, func() error {
		if n := sum(w.requests()); n < requests {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	// A second's worth may leave at once. Three replicas with a pace each would take a third of the time.
	n, seconds := sum(w.requests()), time.Since(began).Seconds()
	if most := cmpsim.DefaultRequestsPerSecond * (seconds + 1); float64(n) > most {
		t.Errorf("%d requests in %.1f s, want at most %.0f", n, seconds, most)
	}
	if pace := w.sim.PaceCounters(); pace.Refused > requests/10 {
		t.Errorf("%d of %d requests were answered 429", pace.Refused, n)
	}
}

// Promise 6: the month's requests never exceed the limit, also across kills. Running out of quota is a state and no
// failure; work continues when there is quota again.
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
				return errors.New("the replica is alive and quota is left")
			})
			r.kill()
			w.start()
		}
		w.eventually("deferral", time.Minute, func() error {
			// The replica that was deferred may be dead; then its lookups show it.
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
			rt.Fatalf("%d runs, placements or lookups have failed\n%s", n, w.state())
		}
		if used := int64(w.sim.Counters().Total); used > limit {
			rt.Fatalf("%d requests of %d", used, limit)
		}
		w.ledger.PerMonth = 100_000
		for _, r := range w.replicas {
			r.stop()
		}
		w.start()
		w.recoverAndConverge()
	})
}

// Promise 7: an observation that finds no change writes no row and calls no target.
func TestUnchangedCostsNothing(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{sim: cmpsim.Options{Assets: 400}})
	w.unchangedCostsNothing()
}

// unchangedCostsNothing checks promise 7 with a sweep, polls, references and planning. First it reads the references, for
// a folder may have moved of which no asset told, and waits until no detail is within the grace of its last change: a poll
// rightly requests such details again.
func (w *world) unchangedCostsNothing() {
	w.Helper()
	ctx, r := context.Background(), w.alive()
	if err := r.engine.references.Refresh(ctx, "manual"); err != nil {
		w.Fatalf("%v", err)
	}
	for open := true; open; open = query[bool](w, `SELECT EXISTS (SELECT 1 FROM damsync.asset_detail d JOIN damsync.asset a ON a.id = d.asset_id
		WHERE NOT d.grace_over AND a.removed_at IS NULL)`) {
		if _, err := w.store.RequestWithinGrace(ctx, state.Observation{Kind: state.KindIncremental}, 0); err != nil {
			w.Fatalf("%v", err)
		}
		w.convergeSoon()
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
		w.Fatalf("the targets were called %d times", n)
	}
	if got := w.sim.Counters().Operations; len(got) > 4 {
		w.Fatalf("requests %v", got)
	}
}

// rows returns a fingerprint that changes when a row of the mirror or the placements is written or locked.
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

// Promise 9: an event that arrives while its asset is being read leads to another lookup.
func TestEventWhileReading(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{})
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
			return errors.New("the fields were not requested")
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

// Promise 9: an event that arrives while its asset is being pushed leads to another push.
func TestEventWhilePushing(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{})
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

// Promise 9: the receiver answers 202 only when the event is stored. Otherwise it answers 503, and the CMP sends the event
// again.
func TestEventsAreStoredBeforeTheyAreAcknowledged(t *testing.T) {
	w, r := quietWorld(t, worldOptions{})
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

// Promise 10: another process resumes the sweep of a killed one at its cursor.
func TestSweepResumesAtItsCursor(t *testing.T) {
	w, r := quietWorld(t, worldOptions{specs: []plan.Spec{photosSpec()}, sim: cmpsim.Options{Assets: 1000}})
	whole := query[int](w, `SELECT requests::int FROM damsync.run`)
	var at observe.SweepProgress
	_, err := r.engine.sweeper.Sweep(t.Context(), observe.SweepOptions{Class: "sweep", Progress: func(p observe.SweepProgress) {
		if p.Requests >= 5 && at.RunID == 0 {
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
		t.Fatalf("%+v, %v; want run %d to be resumed", p, err, at.RunID)
	}
	if n := w.sim.Counters().Total; n > whole-int(at.Requests)+2 {
		t.Errorf("%d requests for the rest, %d for the whole and %d before the kill", n, whole, at.Requests)
	}
	if p.Suspects != 0 || p.Seen < 1000 {
		t.Errorf("it saw %d assets and has %d suspects", p.Seen, p.Suspects)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.asset WHERE removed_at IS NOT NULL`); n > 0 {
		t.Errorf("%d assets were removed", n)
	}
}
