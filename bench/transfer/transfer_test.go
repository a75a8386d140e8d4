package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	stdsync "sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/bench/internal/benchkit"
	"damsync/dam/s3/s3test"
)

// TestMain lets the test binary run the parts of the program.
func TestMain(m *testing.M) {
	if benchkit.IsChild() {
		os.Exit(benchkit.Main(nil, parts()))
	}
	os.Exit(m.Run())
}

// counter counts requests by method and path, and the bytes of their bodies.
type counter struct {
	http.Handler
	mu    stdsync.Mutex
	calls map[string]int
	bytes int64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.calls[r.Method+" "+r.URL.Path]++
	c.bytes += max(0, r.ContentLength)
	c.mu.Unlock()
	c.Handler.ServeHTTP(w, r)
}

// listen serves a handler behind a counter until the test ends.
func listen(t *testing.T, h http.Handler) (*counter, string) {
	t.Helper()
	c := &counter{Handler: h, calls: map[string]int{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, server.URL
}

// forward passes requests on with their Host, which is signed.
func forward(t *testing.T, endpoint string) http.Handler {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}}
}

func TestOneDownloadAndOnePutPerFile(t *testing.T) {
	const count, size = 24, 300_001
	want := digests(count, size)
	for _, checksum := range []string{"none", "crc32c", "sha256"} {
		t.Run(checksum, func(t *testing.T) {
			gateway := s3test.Start(t)
			puts, store := listen(t, forward(t, gateway.Endpoint))
			gets, source := listen(t, sourceHandler(sourceJob{Files: count, Size: size}))
			adapter := gateway.Options(gateway.Bucket(t, benchName))
			adapter["endpoint"], adapter["checksum"], adapter["sign_payload"] = store, checksum, false

			r, err := push(t.Context(), pushJob{Options: adapter, Source: source, Files: count, Size: size, Workers: 8})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.check(want); err != nil {
				t.Error(err)
			}
			wantGets, wantPuts := map[string]int{}, map[string]int{}
			for i := range count {
				wantGets["GET /"+fileName(i)], wantPuts[fmt.Sprintf("PUT /%s/%s", benchName, fileName(i))] = 1, 1
				checkStored(t, gateway.DataDir(benchName), i, size)
			}
			if diff := gocmp.Diff(wantGets, gets.calls); diff != "" {
				t.Errorf("requests to the source: %s", diff)
			}
			if diff := gocmp.Diff(wantPuts, puts.calls); diff != "" {
				t.Errorf("requests to the store: %s", diff)
			}
			if most := int64(count * (size + 200)); puts.bytes < count*size || puts.bytes > most {
				t.Errorf("%d bytes were sent for %d of content", puts.bytes, count*size)
			}
		})
	}
}

func checkStored(t *testing.T, dir string, i int, size int64) {
	t.Helper()
	stored, err := os.ReadFile(filepath.Join(dir, fileName(i)))
	if err != nil || string(stored) != string(contentAt(block(), i, 0, size)) {
		t.Errorf("%s differs from the source: %d bytes, %v", fileName(i), len(stored), err)
	}
}

func TestScenariosMeasure(t *testing.T) {
	o := options{alone: true, rounds: 2, files: 3, size: 65_537, workers: 2}
	for _, name := range []string{"large", "distant"} {
		t.Run(name, func(t *testing.T) {
			chosen, err := choose([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			results, err := o.measure(t.Context(), o.apply(chosen[0]))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range results[0].runs {
				if o.throughput <= 0 || o.cpu <= 0 || o.storeCPU <= 0 {
					t.Errorf("not everything was measured: %+v", o)
				}
			}
			if n := results[0].median(requests); name == "distant" && n != 1 {
				t.Errorf("%v requests to the store per file, want 1", n)
			}
		})
	}
}

// rclone reads large files in pieces.
func TestSourceServesRanges(t *testing.T) {
	const size = 2*blockSize + 17
	server := httptest.NewServer(sourceHandler(sourceJob{Files: 2, Size: size}))
	defer server.Close()
	_, whole := get(t, server.URL+"/"+fileName(1), "")
	if len(whole) != size {
		t.Fatalf("the whole has %d bytes, want %d", len(whole), size)
	}
	for ranged, want := range map[string]string{
		"bytes=0-9":              whole[:10],
		"bytes=1048570-1048580":  whole[1048570:1048581],
		"bytes=2097152-":         whole[2097152:],
		"bytes=2097160-99999999": whole[2097160:],
	} {
		status, got := get(t, server.URL+"/"+fileName(1), ranged)
		if status != http.StatusPartialContent || got != want {
			t.Errorf("%s: status %d and %d bytes, want %d", ranged, status, len(got), len(want))
		}
	}
}

func get(t *testing.T, at, ranged string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ranged != "" {
		req.Header.Set("Range", ranged)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(content)
}

func TestRatiosCompareRunsOfTheSameRound(t *testing.T) {
	ours := result{arm: "damsync", runs: []outcome{{throughput: 400}, {throughput: 100}, {throughput: 390}}}
	peer := result{arm: rclone, runs: []outcome{{throughput: 200}, {throughput: 50}, {throughput: 100}}}
	got := []float64{ours.ratio(peer, throughput), ours.median(throughput), peer.median(throughput)}
	if diff := gocmp.Diff([]float64{2, 390, 100}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLimitAddsTheDelaysOfAFile(t *testing.T) {
	c := scenario{size: 1_000_000, workers: 16, wait: 50 * time.Millisecond, rate: 20_000_000}
	if got := c.limit(); got < 106.6 || got > 106.7 {
		t.Errorf("%f files per second, want 16/0.15", got)
	}
}
