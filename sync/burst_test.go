package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// photosSpec returns a target that reads only summaries.
func photosSpec() plan.Spec { return usualSpecs()[1] }

// requests counts the requests to the API since the last reset, by operation.
func (w *world) requests() map[string]int {
	count := map[string]int{}
	for _, r := range w.sim.Requests() {
		if r.Host == "api" {
			count[r.Operation]++
		}
	}
	return count
}

func sum(count map[string]int) int {
	n := 0
	for v := range maps.Values(count) {
		n += v
	}
	return n
}

// quietBurst returns a quiet world and resets its request counters.
func quietBurst(t *testing.T, assets int, specs ...plan.Spec) (*world, *replica) {
	t.Helper()
	w, r := quietWorld(t, worldOptions{specs: specs, sim: cmpsim.Options{Assets: assets}})
	w.sim.ResetCounters()
	return w, r
}

// delivered waits until the CMP has delivered its events and the targets have converged.
func (w *world) delivered() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.sim.WaitDelivered(ctx); err != nil {
		w.Fatalf("webhooks: %v", err)
	}
	w.converge()
}

// A burst of events costs pages rather than a detail for each event when the rules read summaries. When they read more, it
// costs the detail and fields of the selected assets besides. On a slow machine some events are looked up singly before
// the pages are read; the bound allows that for half of the edits.
func TestBurstBecomesPages(t *testing.T) {
	const edits = 400
	for _, c := range []struct {
		name  string
		spec  plan.Spec
		bound func(selected int) int
	}{
		{"summaries", photosSpec(), func(int) int { return edits / 2 }},
		{"details and fields of selected assets", brandSpec(), func(selected int) int { return edits/2 + 2*selected }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, _ := quietBurst(t, edits+100, c.spec)
			ids := w.sim.AssetIDs()[:edits]
			for i, id := range ids {
				if err := w.sim.EditTitle(id, fmt.Sprint("Burst ", i)); err != nil {
					t.Fatal(err)
				}
			}
			w.delivered()
			selected := w.wanted(c.spec.Name)
			maps.DeleteFunc(selected, func(id string, _ file) bool { return !slices.Contains(ids, id) })
			if got, most := w.requests(), c.bound(len(selected)); sum(got) > most {
				t.Errorf("%d edits, %d of them selected, cost %v, want at most %d", edits, len(selected), got, most)
			}
		})
	}
}

// Duplicates of events cost a fraction of a request each, whether they concern one asset or many.
func TestDuplicatesCostLittle(t *testing.T) {
	const events = 500
	for _, assets := range []int{1, 50} {
		t.Run(fmt.Sprint("of ", assets), func(t *testing.T) {
			t.Parallel()
			w, _ := quietBurst(t, 200, photosSpec())
			ids := w.sim.AssetIDs()[:assets]
			for _, id := range ids {
				if err := w.sim.EditTitle(id, "Once"); err != nil {
					t.Fatal(err)
				}
			}
			w.delivered()
			w.sim.ResetCounters()
			for i := range events {
				if err := w.sim.SendEvent(w.modifiedEvent(ids[i%assets])); err != nil {
					t.Fatal(err)
				}
			}
			w.delivered()
			if got := w.requests(); sum(got) > events/5 {
				t.Errorf("%d duplicates cost %v", events, got)
			}
		})
	}
}

func (w *world) modifiedEvent(id string) json.RawMessage {
	w.Helper()
	asset, err := w.sim.Asset(id)
	if err != nil {
		w.Fatalf("%s: %v", id, err)
	}
	return event("asset_modified", id, asset.Type, "")
}

// event returns a webhook in the CMP's format, without a link when self is empty.
func event(name, id, kind, self string) json.RawMessage {
	links := ""
	if self != "" {
		links = fmt.Sprintf(`,"links":{"self":%q}`, self)
	}
	return json.RawMessage(fmt.Sprintf(`{"event_name":%q,"data":{"asset":{"id":%q,"type":%q%s}}}`, name, id, kind, links))
}

// A removal, alone or among others, costs its own 404 and no page. The CMP may deliver an event twice.
func TestRemovalsCostNoPages(t *testing.T) {
	for _, n := range []int{1, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w, _ := quietBurst(t, 200, photosSpec())
			if err := w.sim.BulkDelete(slices.Clone(w.sim.AssetIDs()[:n])); err != nil {
				t.Fatal(err)
			}
			w.delivered()
			if got := w.requests(); got["listAssets"] > 0 || sum(got) < n || sum(got) > 2*n {
				t.Errorf("%d removals cost %v", n, got)
			}
		})
	}
}

// A lone event is looked up without waiting for others.
func TestLoneEventIsLookedUpAtOnce(t *testing.T) {
	w, _ := quietBurst(t, 200, photosSpec())
	if err := w.sim.EditTitle(anyOf(w.wanted("photos")), "Alone"); err != nil {
		t.Fatal(err)
	}
	w.delivered()
	got := w.requests()
	logged := query[int](w, `SELECT count(*) FROM damsync.change WHERE observation = 'webhook' AND field = 'title'`)
	if got["listAssets"] > 0 || sum(got) < 1 || logged != 1 {
		t.Errorf("a lone event cost %v and logged %d changes", got, logged)
	}
}

// When the poll cannot answer a burst, because it fails or no replica leads, the assets are looked up singly.
func TestBurstWithoutThePoll(t *testing.T) {
	t.Run("the list fails", func(t *testing.T) {
		t.Parallel()
		w, _ := quietBurst(t, 200, photosSpec())
		if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 500, Path: "/v3/assets"}); err != nil {
			t.Fatal(err)
		}
		burstOf(t, w, 40)
	})
	t.Run("no replica leads", func(t *testing.T) {
		t.Parallel()
		w, r := quietBurst(t, 200, photosSpec())
		r.stop()
		if ok, err := w.store.AcquireLease(t.Context(), state.LeaseLeader, time.Hour); err != nil || !ok {
			t.Fatalf("acquiring the leader lease: %t, %v", ok, err)
		}
		w.start()
		burstOf(t, w, 40)
	})
}

// burstOf edits n assets and waits for convergence.
func burstOf(t *testing.T, w *world, n int) {
	t.Helper()
	for i, id := range w.sim.AssetIDs()[:n] {
		if err := w.sim.EditTitle(id, fmt.Sprint("Burst ", i)); err != nil {
			t.Fatal(err)
		}
	}
	w.delivered()
}
