package cmpsim

import (
	"maps"
	"net/http"
	"sync"
	"time"
)

// Request is one arrival at a host.
type Request struct {
	At        time.Time `json:"at"`
	Host      string    `json:"host"` // api, accounts or files
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     string    `json:"query,omitempty"`
	Operation string    `json:"operation,omitempty"` // the document's operationId
	Status    int       `json:"status"`              // 0 while answering, or when cut off
}

// requestLog keeps the newest requests and counts all of them.
type requestLog struct {
	mu     sync.Mutex
	size   int
	kept   []*Request
	counts map[string]int // by operation, API host only
	status map[int]int
	leaks  int
}

func newRequestLog(size int) *requestLog {
	return &requestLog{size: size, counts: map[string]int{}, status: map[int]int{}}
}

func (l *requestLog) add(q *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.Host == hostAPI {
		l.counts[q.Operation]++
	}
	l.kept = keepNewest(l.kept, q, l.size)
}

// keepNewest appends v to a log and drops the oldest entry beyond size.
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
	l.status[status]++
}

func (l *requestLog) leak() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaks++
}

// The hosts of a Request and a Fault.
const (
	hostAPI      = "api"
	hostAccounts = "accounts"
	hostFiles    = "files"
)

// Requests returns the newest requests to all hosts, oldest first. At most
// 20,000 are kept.
func (s *Simulator) Requests() []Request {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Request, 0, len(l.kept))
	for _, q := range l.kept {
		out = append(out, *q)
	}
	return out
}

// Counters is what the hosts saw since New or ResetCounters.
type Counters struct {
	Operations map[string]int `json:"operations"` // requests to the API host by operationId
	Statuses   map[int]int    `json:"statuses"`   // answers of all hosts
	Leaks      int            `json:"leaks"`      // downloads that carried a bearer
	Total      int            `json:"total"`      // requests to the API host
}

// Counters returns the counts so far.
func (s *Simulator) Counters() Counters {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	c := Counters{Operations: maps.Clone(l.counts), Statuses: maps.Clone(l.status), Leaks: l.leaks}
	for _, n := range c.Operations {
		c.Total += n
	}
	return c
}

// ResetCounters forgets requests and counters, those of the pace too; the used
// quota stays.
func (s *Simulator) ResetCounters() {
	l := s.log
	l.mu.Lock()
	l.kept, l.leaks = nil, 0
	clear(l.counts)
	clear(l.status)
	l.mu.Unlock()
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	s.pace.count = PaceCounters{Used: s.pace.count.Used}
}

// record logs the request on arrival and its status at the end.
func (s *Simulator) record(host string, operation func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := &Request{
			At: s.opts.Now(), Host: host, Method: r.Method, Path: r.URL.Path, Query: withoutToken(r.URL.Query()),
			Operation: operation(r),
		}
		s.log.add(q)
		sw := &statusWriter{ResponseWriter: w}
		defer func() { s.log.finish(q, sw.status) }()
		next.ServeHTTP(sw, r)
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.status == 0 {
		w.status = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
