package cmpsim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// ErrNotFound is the class of errors about ids and names the library does not
// have.
var ErrNotFound = errors.New("not found")

// Simulator is one organization's CMP: its library, accounts, limits, webhooks
// and faults. All methods are safe for concurrent use.
type Simulator struct {
	opts   Options
	signer jwtSigner

	mu       sync.RWMutex // guards lib, behavior and urls
	lib      *catalog
	behavior Behavior
	urls     Endpoints

	accounts *accounts
	pace     *pacer
	log      *requestLog
	faults   *faultSet
	hooks    *dispatcher
	views    *viewCache

	api, accountsHost, files, control http.Handler

	servers []*http.Server
	serving sync.WaitGroup
	unhook  func() bool // ends the watch on Start's context
}

// New makes the state: the library, the credentials, the limits. Nothing
// listens until Start; the four handlers can be used without it.
func New(opts Options) *Simulator {
	opts = opts.withDefaults()
	s := &Simulator{
		opts:     opts,
		signer:   jwtSigner{key: []byte("cmpsim " + opts.ClientSecret)},
		lib:      generate(opts.Seed, opts.Epoch, opts.Assets),
		behavior: opts.Behavior,
		accounts: newAccounts(opts),
		pace:     newPacer(opts),
		log:      newRequestLog(opts.LogSize),
		faults:   newFaultSet(newRand(opts.Seed, "faults", 0)),
		views:    &viewCache{},
	}
	s.hooks = newDispatcher(opts, newRand(opts.Seed, "webhooks", 0))
	s.urls = s.endpointsAt("api.cmp.test", "accounts.cmp.test", "files.cmp.test", "control.cmp.test")
	s.api = s.apiHandler()
	s.accountsHost = s.accountsHandler()
	s.files = s.filesHandler()
	s.control = s.controlHandler()
	return s
}

// API is the handler of the API host, for tests that bring their own listener.
// Start serves the same handlers.
func (s *Simulator) API() http.Handler { return s.api }

// Accounts is the handler of the accounts host: authorization and tokens.
func (s *Simulator) Accounts() http.Handler { return s.accountsHost }

// Files is the handler of the download host.
func (s *Simulator) Files() http.Handler { return s.files }

// Control is the handler of the control API.
func (s *Simulator) Control() http.Handler { return s.control }

// Endpoints returns the URLs in answers and the credentials. Before Start the
// hosts are placeholders under cmp.test.
func (s *Simulator) Endpoints() Endpoints {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.urls
}

// SetHosts sets the host:port each handler is reached under, for callers that
// serve the handlers themselves.
func (s *Simulator) SetHosts(api, accounts, files, control string) Endpoints {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.urls = s.endpointsAt(api, accounts, files, control)
	return s.urls
}

func (s *Simulator) endpointsAt(api, accounts, files, control string) Endpoints {
	return Endpoints{
		APIURL:       "http://" + api + "/v3",
		AuthURL:      "http://" + accounts + "/o/oauth2/v1/auth",
		TokenURL:     "http://" + accounts + "/o/oauth2/v1/token",
		FilesURL:     "http://" + files,
		ControlURL:   "http://" + control,
		ClientID:     s.opts.ClientID,
		ClientSecret: s.opts.ClientSecret, WebhookSecret: s.opts.WebhookSecret,
	}
}

// Start listens on four ports and returns where. listenAddr is the API's
// ("127.0.0.1:0" for a free port); the accounts, file and control hosts take free
// ports on the same address, since a client must not confuse the hosts. Close, or
// the end of ctx, ends it.
func (s *Simulator) Start(ctx context.Context, listenAddr string) (Endpoints, error) {
	host, _, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return Endpoints{}, fmt.Errorf("read listen address: %w", err)
	}
	free := net.JoinHostPort(host, "0")
	listeners := make([]net.Listener, 0, 4)
	for _, addr := range []string{listenAddr, free, free, free} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			return Endpoints{}, errors.Join(fmt.Errorf("listen on %s: %w", addr, err), closeAll(listeners))
		}
		listeners = append(listeners, l)
	}
	at := func(i int) string { return listeners[i].Addr().String() }
	urls := s.SetHosts(at(0), at(1), at(2), at(3))
	for i, h := range []http.Handler{s.api, s.accountsHost, s.files, s.control} {
		s.serve(listeners[i], h)
	}
	s.unhook = context.AfterFunc(ctx, s.shutdown)
	return urls, nil
}

func closeAll(ls []net.Listener) error {
	var errs []error
	for _, l := range ls {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func (s *Simulator) serve(l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	s.mu.Lock()
	s.servers = append(s.servers, srv)
	s.mu.Unlock()
	s.serving.Go(func() { _ = srv.Serve(l) }) // ends with ErrServerClosed
}

// shutdown cuts every connection; it does not wait.
func (s *Simulator) shutdown() {
	s.mu.RLock()
	servers := s.servers
	s.mu.RUnlock()
	for _, srv := range servers {
		_ = srv.Close() // the listener may be closed already
	}
	s.hooks.stop()
}

// Close stops serving and delivering, and waits for both. Undelivered webhooks
// are dropped.
func (s *Simulator) Close() error {
	if s.unhook != nil {
		s.unhook()
	}
	s.shutdown()
	s.serving.Wait()
	s.hooks.wait()
	return nil
}

// Behavior returns the settled unknowns in force.
func (s *Simulator) Behavior() Behavior {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.behavior
}

// SetBehavior replaces them.
func (s *Simulator) SetBehavior(b Behavior) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behavior = b
	s.lib.revision++
}

func (s *Simulator) now() int64 { return s.opts.Now().Unix() }

// lockedRand is a random source for concurrent use.
type lockedRand struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (l *lockedRand) token() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tokenID(l.r)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
