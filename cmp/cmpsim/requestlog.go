package cmpsim

import (
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// The hosts of a Request and a Fault.
const (
	hostAPI      = "api"
	hostAccounts = "accounts"
	hostFiles    = "files"
)

// Request is one arrival at a host.
type Request struct {
	At        time.Time `json:"at"`
	Host      string    `json:"host"` // api, accounts or files
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     string    `json:"query,omitempty"`     // without download tokens
	Operation string    `json:"operation,omitempty"` // the document's operationId at the API host
	Status    int       `json:"status"`              // 0 while it is being answered, or when its connection was cut
}

// Counters counts requests since New or ResetCounters.
type Counters struct {
	Operations map[string]int `json:"operations"` // at the API host, by operationId
	Statuses   map[int]int    `json:"statuses"`   // answers of all hosts
	Leaks      int            `json:"leaks"`      // requests to the file host with an Authorization header
	Total      int            `json:"total"`      // requests to the API host
}

// requestLog keeps the newest requests and counts all.
type requestLog struct {
	clock func() time.Time
	size  int

	mu     sync.Mutex // guards the fields below
	kept   []*Request // oldest first
	counts Counters
}

func newRequestLog(clock func() time.Time, size int) *requestLog {
	l := &requestLog{clock: clock, size: size}
	l.reset()
	return l
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept, l.counts = nil, Counters{Operations: map[string]int{}, Statuses: map[int]int{}}
}

func (l *requestLog) add(q *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.Host == hostAPI {
		l.counts.Operations[q.Operation]++
		l.counts.Total++
	}
	l.kept = keepNewest(l.kept, q, l.size)
}

// keepNewest appends v and drops the oldest entry beyond size.
func keepNewest[T any](log []T, v T, size int) []T {
	if len(log) >= size {
		log = log[1:]
	}
	return append(log, v)
}

func (l *requestLog) finish(q *Request, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q.Status = status
	l.counts.Statuses[status]++
}

func (l *requestLog) countLeak() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Leaks++
}

// record logs each request on arrival, and its status at the end. operation names it.
func (l *requestLog) record(host string, operation func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := &Request{
			At: l.clock(), Host: host, Method: r.Method, Path: r.URL.Path, Query: withoutToken(r.URL.Query()),
			Operation: operation(r),
		}
		l.add(q)
		sw := &statusWriter{ResponseWriter: w}
		defer func() { l.finish(q, sw.status) }()
		next.ServeHTTP(sw, r)
	})
}

func withoutToken(query url.Values) string {
	if query.Has("token") {
		query.Set("token", "…")
	}
	return query.Encode()
}

// Requests returns the newest 20,000 requests to all hosts, oldest first.
func (s *Simulator) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	out := make([]Request, 0, len(s.log.kept))
	for _, q := range s.log.kept {
		out = append(out, *q)
	}
	return out
}

// Counters returns the counts so far.
func (s *Simulator) Counters() Counters {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	c := s.log.counts
	c.Operations, c.Statuses = maps.Clone(c.Operations), maps.Clone(c.Statuses)
	return c
}

// ResetCounters forgets the requests and all counters except the used quota.
func (s *Simulator) ResetCounters() {
	s.log.reset()
	s.limits.reset()
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader is for http.ResponseWriter.
func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write is for http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
