package sync

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/cmp/cmpsim"
	"damsync/store"
	"damsync/sync/loop"
	"damsync/sync/plan"
)

// BenchmarkWebhookToFile measures an edit in the CMP to the file at the target, on an idle system at the API's real
// pace. The simulator adds no delay, so all of it is damsync's own. Bounds: median under 1 s, own share under 100 ms.
func BenchmarkWebhookToFile(b *testing.B) {
	w := newWorld(b, b, worldOptions{
		sim: cmpsim.Options{Assets: 60, Seed: 3}, specs: []plan.Spec{brandSpec()}, schedule: &Schedule{},
		ledger: store.LedgerConfig{PerSecond: cmpsim.DefaultRequestsPerSecond, PerMonth: 200_000},
	})
	b.Cleanup(w.close)
	w.start()
	w.converge()
	ids := make([]string, 0, 30)
	for id := range w.wanted("brand") {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var took []time.Duration
	idle := loop.NewWakeup()
	b.ResetTimer()
	for n := range max(30, b.N) {
		id := ids[n%len(ids)]
		_ = idle.Wait(b.Context(), 700*time.Millisecond) // until the second of the previous requests is over
		started := time.Now()
		var err error
		if n%2 == 0 {
			err = w.sim.EditTitle(id, fmt.Sprint("Edit ", n))
		} else {
			err = w.sim.NewVersion(id, 0)
		}
		if err != nil {
			b.Fatal(err)
		}
		w.arrive(id)
		took = append(took, time.Since(started))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median_ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95_ms")
	b.ReportMetric(0, "ns/op")
}

// arrive waits until the file of an asset equals the library's.
func (w *world) arrive(id string) {
	w.Helper()
	truth, err := w.sim.Asset(id)
	if err != nil {
		w.Fatalf("%v", err)
	}
	want, _ := wantedFile("brand", truth)
	root := w.root("brand")
	pause := loop.NewWakeup()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		got, err := readFile(root, filepath.Join(root, filepath.FromSlash(want.Path)))
		if err == nil && gocmp.Equal(got, want) {
			return
		}
		_ = pause.Wait(context.Background(), time.Millisecond) // never ends with an error
	}
	w.Fatalf("asset %s did not arrive\n%s", id, w.state())
}
