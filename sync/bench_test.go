package sync

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/internal/pgtest"
	"damsync/store"
	"damsync/sync/plan"
)

// simulatorEnv makes this test binary a simulator of that many assets.
const simulatorEnv = "DAMSYNC_BENCH_SIMULATOR"

// simulate serves a library without limits until standard input ends.
func simulate(assets string) int {
	n, err := strconv.Atoi(assets)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: n})
	at, err := sim.Start(context.Background(), "127.0.0.1:0")
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(at)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
	_ = sim.Close()
	return 0
}

// simulatorProcess keeps the simulator's memory and processor time out of the figures.
func simulatorProcess(b *testing.B, assets int) cmpsim.Endpoints {
	b.Helper()
	cmd := exec.Command(os.Args[0]) // this very binary
	cmd.Env = append(os.Environ(), simulatorEnv+"="+strconv.Itoa(assets))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	var at cmpsim.Endpoints
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&at); err != nil {
		b.Fatalf("read where the simulator listens: %v", err)
	}
	return at
}

// unlimited grants at once.
type unlimited struct{}

func (unlimited) Take(context.Context, grant.Class) (grant.Grant, error) { return unlimited{}, nil }
func (unlimited) Pause(context.Context, time.Duration, string) error     { return nil }
func (unlimited) Sent(context.Context, time.Time) error                  { return nil }
func (unlimited) Throttled(context.Context, time.Duration, string) (grant.Throttle, error) {
	return grant.Throttle{Share: 1}, nil
}

// remoteWorld is a world whose simulator is another process.
func remoteWorld(b *testing.B, assets int, specs []plan.Spec) *world {
	b.Helper()
	w := &world{
		tb: b, at: simulatorProcess(b, assets), url: pgtest.URL(b), specs: specs, adapters: &watchedAdapters{}, key: testKey(b),
		dir: tempDir(b), grants: unlimited{},
	}
	b.Cleanup(w.close)
	var err error
	if w.pool, err = pgxpool.New(b.Context(), w.url); err != nil {
		b.Fatal(err)
	}
	w.stops = append(w.stops, w.pool.Close)
	w.store = store.New(w.pool, "the benchmark")
	if w.instance, err = w.store.Instance(b.Context()); err != nil {
		b.Fatal(err)
	}
	return w
}

func benchAssets(b *testing.B) int {
	b.Helper()
	if text := os.Getenv("DAMSYNC_BENCH_ASSETS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatalf("DAMSYNC_BENCH_ASSETS: %v", err)
		}
		return n
	}
	return 20_000
}

// apiPace is what the API gives at its best: ten pages of a hundred a second.
const apiPace = 1000.0

// BenchmarkMirror reads a library page by page into an empty mirror, then again when nothing has
// changed, through the real client and store; a rule selects by summary, so that planning is
// part of it. Bounds: 10 times the API's pace, 40 MB resident.
func BenchmarkMirror(b *testing.B) {
	assets := benchAssets(b)
	spec := plan.Spec{Name: "none", Select: plan.Select{Folders: []string{"/Brand/**"}, Expired: plan.ExpiredIgnore, When: `asset.title == "no such title"`}}
	for range b.N {
		b.StopTimer()
		w := remoteWorld(b, assets, []plan.Spec{spec})
		r := w.replica()
		if err := r.engine.RefreshReferences(b.Context(), grant.Manual); err != nil {
			b.Fatal(err)
		}
		resetPeak(b)
		b.StartTimer()
		for _, pass := range []string{"", "unchanged_"} {
			started, spent := time.Now(), processorTime(b)
			p, err := r.engine.Sweep(b.Context(), SweepOptions{Class: grant.Backfill})
			if err != nil || int(p.Seen) < assets {
				b.Fatalf("%d of %d assets seen: %v", p.Seen, assets, err)
			}
			b.ReportMetric(float64(assets)/time.Since(started).Seconds()/apiPace, pass+"x_api_pace")
			b.ReportMetric(float64(p.Requests)/(float64(assets)/97), pass+"requests/(N/97)")
			// Neighbors on the machine do not change this one.
			b.ReportMetric(float64((processorTime(b)-spent).Microseconds())/float64(assets), pass+"cpu_us/asset")
		}
		b.StopTimer()
		b.ReportMetric(peakMB(b), "peak_rss_MB")
		if n := query[int](w, `SELECT count(*) FROM damsync.asset`); n != assets {
			b.Fatalf("the mirror has %d of %d assets", n, assets)
		}
	}
}

// processorTime is what this process has used, the simulator and PostgreSQL not counted.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resetPeak lets the kernel begin anew to note the most memory resident.
func resetPeak(b *testing.B) {
	b.Helper()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Logf("peak memory is that of the whole process: %v", err)
	}
}

func peakMB(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kb, found := strings.CutPrefix(line, "VmHWM:"); found {
			n, err := strconv.ParseFloat(strings.Fields(kb)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return n / 1024
		}
	}
	return 0
}

// BenchmarkWebhookToFile measures an edit in the CMP to the file at the target, on an idle system behind the API's real
// pace. The simulator adds no delay: all of it is ours. Bounds: median under 1 s, ours under 100 ms.
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
	idle := newBell()
	b.ResetTimer()
	for n := range max(30, b.N) {
		id := ids[n%len(ids)]
		_ = idle.wait(b.Context(), 700*time.Millisecond) // until the second of the requests before is over
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

// arrive waits until the file of an asset is what the library says.
func (w *world) arrive(id string) {
	w.Helper()
	truth, err := w.sim.Asset(id)
	if err != nil {
		w.Fatalf("%v", err)
	}
	want, _ := wantedFile("brand", truth)
	root := w.root("brand")
	pause := newBell()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		got, err := readFile(root, filepath.Join(root, filepath.FromSlash(want.Path)))
		if err == nil && gocmp.Equal(got, want) {
			return
		}
		_ = pause.wait(context.Background(), time.Millisecond) // never ends with an error
	}
	w.Fatalf("asset %s did not arrive\n%s", id, w.state())
}
