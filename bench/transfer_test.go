package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	stdsync "sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/dam/s3/s3test"
)

// reading counts how often each file of a source is asked for.
type reading struct {
	http.Handler
	mu    stdsync.Mutex
	times map[string]int
}

func (r *reading) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.times[strings.TrimPrefix(req.URL.Path, "/")]++
	r.mu.Unlock()
	r.Handler.ServeHTTP(w, req)
}

// TestTransferTakesOneRequest: each file is read once and put by one request, with
// whichever checksum, and what was hashed on the way is what the store holds.
func TestTransferTakesOneRequest(t *testing.T) {
	const files, size = 24, 300_001
	want := digests(files, size)
	for _, checksum := range []string{"none", "crc32c", "sha256"} {
		t.Run(checksum, func(t *testing.T) {
			store := s3test.Start(t)
			counting, err := newProxy(store.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			far := httptest.NewServer(counting)
			defer far.Close()
			source := &reading{Handler: sourceHandler(sourceJob{Files: files, Size: size}), times: map[string]int{}}
			near := httptest.NewServer(source)
			defer near.Close()
			options := store.Options(store.Bucket(t, benchName))
			options["endpoint"], options["checksum"], options["sign_payload"] = far.URL, checksum, false

			r, err := push(t.Context(), pushJob{Options: options, Source: near.URL, Files: files, Size: size, Workers: 8})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.check(want); err != nil {
				t.Error(err)
			}
			block := block()
			for i := range files {
				stored, err := os.ReadFile(filepath.Join(store.DataDir(benchName), fileName(i)))
				if err != nil || string(stored) != string(contentAt(block, i, 0, size)) {
					t.Errorf("%s is not at the store as at the source: %d bytes, %v", fileName(i), len(stored), err)
				}
				if n := source.times[fileName(i)]; n != 1 {
					t.Errorf("%s was read %d times", fileName(i), n)
				}
			}
			seen := counting.seen()
			if seen["PUT"].Count != files || len(seen) != 1 {
				t.Errorf("requests to the store: %v, want %d PUTs and nothing else", seen, files)
			}
			if sent, most := seen["PUT"].Bytes, int64(files*(size+200)); sent < files*size || sent > most {
				t.Errorf("%d bytes were sent for %d of content", sent, files*size)
			}
		})
	}
}

// TestTransferProgram runs the program as it is typed, small, with nobody to compare with.
func TestTransferProgram(t *testing.T) {
	for _, name := range []string{"large", "distant", "checksums"} {
		t.Run(name, func(t *testing.T) {
			args := []string{"transfer", name, "--files", "3", "--size", "65537", "--reps", "2", "--workers", "2", "--peer", "none", "--json"}
			var out, problems strings.Builder
			code := run(t.Context(), args, strings.NewReader(""), &out, &problems)
			// How fast it was says nothing here, only that it was measured.
			if code != 0 && !strings.Contains(problems.String(), errMissed.Error()) {
				t.Fatalf("exit %d: %s", code, problems.String())
			}
			if !strings.Contains(out.String(), name+", damsync sha256: throughput") {
				t.Errorf("no throughput in %s", out.String())
			}
		})
	}
}

// TestSourceServesRanges: peers read large files in pieces.
func TestSourceServesRanges(t *testing.T) {
	const size = 2*blockSize + 17
	server := httptest.NewServer(sourceHandler(sourceJob{Files: 2, Size: size}))
	defer server.Close()
	get := func(ranged string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/"+fileName(1), nil)
		if err != nil {
			t.Fatal(err)
		}
		if ranged != "" {
			req.Header.Set("Range", ranged)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var body strings.Builder
		if err := res.Write(&body); err != nil {
			t.Fatal(err)
		}
		_, content, _ := strings.Cut(body.String(), "\r\n\r\n")
		return res, content
	}
	_, whole := get("")
	if len(whole) != size {
		t.Fatalf("the whole has %d bytes, want %d", len(whole), size)
	}
	for ranged, want := range map[string]string{
		"bytes=0-9":              whole[:10],
		"bytes=1048570-1048580":  whole[1048570:1048581],
		"bytes=2097152-":         whole[2097152:],
		"bytes=2097160-99999999": whole[2097160:],
	} {
		res, got := get(ranged)
		if res.StatusCode != http.StatusPartialContent || got != want {
			t.Errorf("%s: status %d and %d bytes, want %d", ranged, res.StatusCode, len(got), len(want))
		}
	}
}

// TestRatiosAreOfTheSameRound: a slow minute of the machine touches both arms of its
// round, and must not count for one alone.
func TestRatiosAreOfTheSameRound(t *testing.T) {
	ours := rounds{arm: "damsync", outcomes: []outcome{{throughput: 400}, {throughput: 100}, {throughput: 390}}}
	peer := rounds{arm: rclone, outcomes: []outcome{{throughput: 200}, {throughput: 50}, {throughput: 100}}}
	of := func(o outcome) float64 { return o.throughput }
	got := []float64{ours.ratio(peer, of), ours.median(of), peer.median(of)}
	if diff := gocmp.Diff([]float64{2, 390, 100}, got); diff != "" {
		t.Error(diff)
	}
}

// TestLimitIsArithmetic: a worker waits for the source, reads, and waits for the store.
func TestLimitIsArithmetic(t *testing.T) {
	s := scenario{size: 1_000_000, workers: 16, wait: 50 * time.Millisecond, rate: 20_000_000}
	if got := s.limit(); got < 106.6 || got > 106.7 {
		t.Errorf("%f files a second, want 16/0.15", got)
	}
}
