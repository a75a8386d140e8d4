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

// photosSpec reads nothing but summaries.
func photosSpec() plan.Spec { return usualSpecs()[1] }

// requests are those to the API since the last reset, by operation.
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

// quietBurst is a world at rest that no schedule disturbs, and whose requests count from now.
func quietBurst(t *testing.T, assets int, specs ...plan.Spec) (*world, *replica) {
	t.Helper()
	w, r := quiet(t, worldOptions{specs: specs, sim: cmpsim.Options{Assets: assets}})
	w.sim.ResetCounters()
	return w, r
}

// delivered waits until the CMP has got rid of its events and nothing is left to do.
func (w *world) delivered() {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.sim.WaitDelivered(ctx); err != nil {
		w.Fatalf("webhooks: %v", err)
	}
	w.converge()
}

// A thousand events cost pages, not a thousand details, when the rules read summaries; and when they
// read more, one detail for each asset that a rule selects. How few requests that takes depends on the
// machine: events are held back for two seconds, and a slow one has not read the pages by then. The bound
// leaves it half of the edits to be read singly.
func TestBurstBecomesPages(t *testing.T) {
	const edits = 1000
	for _, c := range []struct {
		name  string
		spec  plan.Spec
		bound func(selected int) int
	}{
		{"summaries", photosSpec(), func(int) int { return edits / 2 }},
		{"details and fields of some", brandSpec(), func(selected int) int { return edits/2 + 2*selected }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onABusyMachine(t, func(t *testing.T) error {
				w, _ := quietBurst(t, 1300, c.spec)
				defer w.close()
				ids := w.sim.AssetIDs()[:edits]
				for i, id := range ids {
					if err := w.sim.EditTitle(id, fmt.Sprint("Burst ", i)); err != nil {
						t.Fatal(err)
					}
				}
				w.delivered()
				selected := w.wanted(c.spec.Name)
				maps.DeleteFunc(selected, func(id string, _ file) bool { return !slices.Contains(ids, id) })
				got := w.requests()
				t.Logf("1,000 edits, %d of them selected: %v", len(selected), got)
				if n, most := sum(got), c.bound(len(selected)); n > most {
					return fmt.Errorf("%d requests, want at most %d", n, most)
				}
				return nil
			})
		})
	}
}

// The same news over and over costs next to nothing, however many assets it is about.
func TestDuplicatesCostLittle(t *testing.T) {
	for _, assets := range []int{1, 50} {
		t.Run(fmt.Sprint(assets), func(t *testing.T) {
			t.Parallel()
			onABusyMachine(t, func(t *testing.T) error {
				w, _ := quietBurst(t, 400, photosSpec())
				defer w.close()
				ids := w.sim.AssetIDs()[:assets]
				for _, id := range ids {
					if err := w.sim.EditTitle(id, "Once"); err != nil {
						t.Fatal(err)
					}
				}
				w.delivered()
				w.sim.ResetCounters()
				for i := range 1000 {
					if err := w.sim.SendEvent(w.modifiedEvent(ids[i%assets])); err != nil {
						t.Fatal(err)
					}
				}
				w.delivered()
				got := w.requests()
				t.Logf("1,000 duplicates of %d events: %v", assets, got)
				if sum(got) > 25 {
					return fmt.Errorf("%d requests", sum(got))
				}
				return nil
			})
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

// event is a webhook as the CMP words it; without a link when self is empty.
func event(name, id, kind, self string) json.RawMessage {
	links := ""
	if self != "" {
		links = fmt.Sprintf(`,"links":{"self":%q}`, self)
	}
	return json.RawMessage(fmt.Sprintf(`{"event_name":%q,"data":{"asset":{"id":%q,"type":%q%s}}}`, name, id, kind, links))
}

// A removal costs its 404 and nothing else, alone and among others.
func TestRemovalCostsOneRequest(t *testing.T) {
	for _, n := range []int{1, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			onABusyMachine(t, func(t *testing.T) error {
				w, _ := quietBurst(t, 300, photosSpec())
				defer w.close()
				if err := w.sim.BulkDelete(slices.Clone(w.sim.AssetIDs()[:n])); err != nil {
					t.Fatal(err)
				}
				w.delivered()
				if got := w.requests(); sum(got) != n {
					return fmt.Errorf("%d removals cost %v", n, got)
				}
				return nil
			})
		})
	}
}

// A lone event is not held back for others.
func TestLoneEventIsReadAtOnce(t *testing.T) {
	onABusyMachine(t, func(t *testing.T) error {
		w, _ := quietBurst(t, 200, photosSpec())
		defer w.close()
		id := anyOf(w.wanted("photos"))
		if err := w.sim.EditTitle(id, "Alone"); err != nil {
			t.Fatal(err)
		}
		w.delivered()
		if got := w.requests(); sum(got) != 1 || query[int](w, `SELECT count(*) FROM damsync.change WHERE observation = 'webhook' AND field = 'title'`) != 1 {
			return fmt.Errorf("a lone event cost %v", got)
		}
		return nil
	})
}

// When the poll cannot answer, because it fails or nobody leads, the assets are read singly.
func TestBurstWithoutThePoll(t *testing.T) {
	t.Run("the list fails", func(t *testing.T) {
		t.Parallel()
		w, _ := quietBurst(t, 200, photosSpec())
		if _, err := w.sim.AddFault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 500, Path: "/v3/assets"}); err != nil {
			t.Fatal(err)
		}
		burstOf(t, w, 40)
	})
	t.Run("nobody leads", func(t *testing.T) {
		t.Parallel()
		w, r := quietBurst(t, 200, photosSpec())
		r.stop()
		if ok, err := w.store.AcquireLease(t.Context(), state.LeaseLeader, time.Hour); err != nil || !ok {
			t.Fatalf("the lead cannot be kept from others: %t, %v", ok, err)
		}
		w.start()
		burstOf(t, w, 40)
	})
}

// burstOf edits n assets and waits until they are read.
func burstOf(t *testing.T, w *world, n int) {
	t.Helper()
	for i, id := range w.sim.AssetIDs()[:n] {
		if err := w.sim.EditTitle(id, fmt.Sprint("Burst ", i)); err != nil {
			t.Fatal(err)
		}
	}
	w.delivered()
}
