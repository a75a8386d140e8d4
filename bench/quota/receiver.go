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

// receiver stands in for the API: it answers every request with an empty page and notes when it came.
type receiver struct {
	server *httptest.Server

	mu       stdsync.Mutex
	arrivals []time.Time
	changed  chan struct{} // closed at the next arrival
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

func (r *receiver) note(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrivals = append(r.arrivals, at)
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait waits for n arrivals and reports whether they came before ctx ended.
func (r *receiver) wait(ctx context.Context, n int64) bool {
	for {
		r.mu.Lock()
		have, changed := int64(len(r.arrivals)), r.changed
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

func (r *receiver) sorted() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.SortedFunc(slices.Values(r.arrivals), time.Time.Compare)
}
