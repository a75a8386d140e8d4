package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	stdsync "sync"
	"time"
)

// receiver stands for the API: it answers every request with an empty page and notes when it came.
type receiver struct {
	server *httptest.Server

	mu      stdsync.Mutex
	arrived []time.Time
	changed chan struct{} // closed at the next arrival
}

func newReceiver() *receiver {
	r := &receiver{changed: make(chan struct{})}
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.note(time.Now())
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"data":[],"pagination":{"next":null,"previous":null},"total_count":0}`)
	}))
	return r
}

func (r *receiver) url() string { return r.server.URL }
func (r *receiver) close()      { r.server.Close() }

func (r *receiver) note(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived = append(r.arrived, at)
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until n requests have arrived, and tells whether they have.
func (r *receiver) await(ctx context.Context, n int64) bool {
	for {
		r.mu.Lock()
		have, changed := int64(len(r.arrived)), r.changed
		r.mu.Unlock()
		if have >= n {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// times lists the arrivals in their order.
func (r *receiver) times() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(slices.Values(r.arrived), time.Time.Compare)
}

// mostWithin is how many of the sorted times fall into the fullest sliding window.
func mostWithin(at []time.Time, window time.Duration) int {
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
