// Package httpserver serves the HTTP interface of the daemon: the receiver of
// CMP webhooks, health and readiness, and metrics. It limits the time, size and
// concurrency of all requests. No answer or log line contains a secret or the
// body of an event.
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

// Options configures a Server. A zero limit or timeout means its default.
type Options struct {
	// WebhookPath is the path to which the CMP posts events, in the form that
	// package config accepts.
	WebhookPath string
	// WebhookSecret is the required value of the Callback-Secret header. If it is
	// empty, the server rejects every event.
	WebhookSecret secret.String
	Inbox         Inbox
	// Ready returns the readiness checks of the daemon by name, each with nil or
	// the reason of its failure. Every client of the listener can read the
	// reasons. Ready must return soon after its context ends and must be safe for
	// concurrent use.
	Ready func(context.Context) map[string]error
	// Metrics serves /metrics; nil means that there is no such page.
	Metrics http.Handler
	// Count is called once for each request that reaches the webhook receiver; nil
	// means that nothing is counted.
	Count func(Outcome)
	Log   zerolog.Logger

	MaxConcurrent   int           // webhooks in progress at once; defaults to 64
	ReadTimeout     time.Duration // for a whole request; defaults to 15 s
	StoreTimeout    time.Duration // for Inbox.Store; defaults to 8 s
	ShutdownTimeout time.Duration // for requests in flight; defaults to 20 s
}

const (
	readHeaderTimeout = 5 * time.Second
	readyTimeout      = 2 * time.Second
	answerTimeout     = 20 * time.Second // in addition to reading and storing
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10
	maxConcurrentPage = 16 // for each page other than the webhook
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

// Server serves the CMP, health probes and Prometheus.
type Server struct {
	options Options
	digest  [sha256.Size]byte // of the webhook secret
	handler http.Handler
	// sampled logs events that an unauthorized client can cause, a few times a
	// minute.
	sampled  zerolog.Logger
	inFlight sync.RWMutex // read-locked by every running handler
	closed   bool
}

// New returns a Server. It panics if the webhook path is invalid or is the path
// of another page.
func New(o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		options: o,
		digest:  sha256.Sum256([]byte(o.WebhookSecret.Reveal())),
		sampled: o.Log.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute}),
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+o.WebhookPath, s.receiveWebhooks())
	mux.Handle("GET /healthz", http.HandlerFunc(serveHealth))
	mux.Handle("GET /readyz", limitConcurrency(maxConcurrentPage, http.HandlerFunc(s.serveReady)))
	if o.Metrics != nil {
		mux.Handle("GET /metrics", limitConcurrency(maxConcurrentPage, o.Metrics))
	}
	s.handler = s.track(s.logRequests(mux))
	return s
}

// Serve serves requests on the listener until the context ends. It then waits
// for requests in flight, up to the shutdown timeout, closes the listener and
// returns nil. It returns an error if it had to abort requests or if the listener
// failed. All handlers have returned when Serve returns. Serve may be called
// once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	base, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer s.close()
	defer abort()
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
	<-served // http.ErrServerClosed, because of Shutdown
	if err != nil {
		return fmt.Errorf("shut down http server: %w", errors.Join(err, server.Close()))
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
		ErrorLog:          log.New(s.sampled, "", 0),
	}
}
