// Package httpserver is the HTTP side of the daemon: the receiver of CMP
// webhooks, the health of the process, and the metrics page. Every request is
// bounded in time, size and number, and no answer or log line holds a secret or
// an event's body.
package httpserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/secret"
)

// Options configure a Server. A zero limit or timeout stands for its default.
type Options struct {
	// WebhookPath is where the CMP posts events, as config accepts it.
	WebhookPath string
	// WebhookSecret is what the Callback-Secret header must hold. When it is
	// empty every event is refused.
	WebhookSecret secret.String
	Inbox         Inbox
	// Ready reports what the daemon needs to work, each check with nil or the
	// reason it fails. Reasons are shown to whoever reaches the listener. It
	// must return soon after its context ends, and may be called concurrently.
	Ready func(context.Context) map[string]error
	// Metrics serves /metrics; nil leaves the page out.
	Metrics http.Handler
	// Count is called once for each request to the webhook path that reached the
	// receiver; nil counts nothing.
	Count func(Outcome)
	Log   zerolog.Logger

	MaxConcurrent   int           // webhooks in work at once; defaults to 64
	ReadTimeout     time.Duration // of a whole request; defaults to 15 s
	StoreTimeout    time.Duration // of Inbox.Store; defaults to 8 s
	ShutdownTimeout time.Duration // for requests in flight; defaults to 20 s
}

const (
	readHeaderTimeout = 5 * time.Second
	readyTimeout      = 2 * time.Second
	answerTimeout     = 20 * time.Second // beyond reading and storing
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10
	maxConcurrentPage = 16 // requests at once to each of the other pages
)

func (o Options) withDefaults() Options {
	o.MaxConcurrent = cmp.Or(o.MaxConcurrent, 64)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 15*time.Second)
	o.StoreTimeout = cmp.Or(o.StoreTimeout, 8*time.Second)
	o.ShutdownTimeout = cmp.Or(o.ShutdownTimeout, 20*time.Second)
	if o.Count == nil {
		o.Count = func(Outcome) {}
	}
	return o
}

// Server answers the CMP, the operator's probes and Prometheus.
type Server struct {
	options Options
	digest  [sha256.Size]byte // of the webhook secret
	handler http.Handler
	// refusals logs what a stranger can provoke, a few times a minute.
	refusals zerolog.Logger
	inFlight sync.RWMutex // read-locked by every handler
	closed   bool
}

// New returns a Server. It panics when the webhook path is no path or is one of
// the server's own.
func New(o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		options:  o,
		digest:   sha256.Sum256([]byte(o.WebhookSecret.Reveal())),
		refusals: o.Log.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute}),
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+o.WebhookPath, s.receiver())
	mux.Handle("GET /healthz", http.HandlerFunc(healthy))
	mux.Handle("GET /readyz", bounded(maxConcurrentPage, http.HandlerFunc(s.ready)))
	if o.Metrics != nil {
		mux.Handle("GET /metrics", bounded(maxConcurrentPage, o.Metrics))
	}
	s.handler = s.track(s.observe(mux))
	return s
}

// Serve answers on the listener until the context ends, then waits for requests
// in flight, at most the shutdown timeout, and returns nil. It closes the
// listener. When requests had to be cut off, or the listener failed, the error
// says so. No handler is left behind. A Server serves once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer s.close()
	defer cut()
	server := s.httpServer(base)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	select {
	case err := <-served:
		return fmt.Errorf("serve http: %w", errors.Join(err, server.Close()))
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(base, s.options.ShutdownTimeout)
	defer cancel()
	err := server.Shutdown(grace)
	<-served // http.ErrServerClosed: Shutdown was called
	if err != nil {
		return fmt.Errorf("shut http server down: %w", errors.Join(err, server.Close()))
	}
	return nil
}

func (s *Server) httpServer(base context.Context) *http.Server {
	return &http.Server{
		Handler:           s.handler,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: min(readHeaderTimeout, s.options.ReadTimeout),
		ReadTimeout:       s.options.ReadTimeout,
		WriteTimeout:      s.options.ReadTimeout + s.options.StoreTimeout + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(s.refusals, "", 0),
	}
}
