package cmpsim

import (
	"context"
	"errors"
	"fmt"
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

	api, accountsHost, files, control http.Handler

	servers []*http.Server
	serving sync.WaitGroup
	unhook  func() bool // ends the watch on Start's context
}

// New makes the state: the library, the credentials, the limits. Nothing
// listens until Start; the four handlers can be used without it.
func New(opts Options) *Simulator {
	opts = opts.withDefaults()
	r := newRand(opts.Seed, "credentials", 0)
	urls := Endpoints{ClientID: hexID(r), ClientSecret: hexID(r) + hexID(r), WebhookSecret: hexID(r)}
	s := &Simulator{
		opts:     opts,
		signer:   jwtSigner{key: []byte("cmpsim " + urls.ClientSecret)},
		lib:      generate(opts.Seed, opts.Now().UTC().Truncate(24*time.Hour), opts.Assets),
		behavior: opts.Behavior,
		urls:     urls,
		accounts: newAccounts(opts, urls),
		pace:     newPacer(opts),
		log:      newRequestLog(logSize),
		faults:   newFaultSet(newRand(opts.Seed, "faults", 0)),
	}
	s.hooks = newDispatcher(opts, newRand(opts.Seed, "webhooks", 0))
	s.setHosts("api.cmp.test", "accounts.cmp.test", "files.cmp.test", "control.cmp.test")
	s.api = s.apiHandler()
	s.accountsHost = s.accountsHandler()
	s.files = s.filesHandler()
	s.control = s.controlHandler()
	return s
}

// Endpoints returns the URLs in answers and the credentials. Before Start the
// hosts are placeholders under cmp.test.
func (s *Simulator) Endpoints() Endpoints {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.urls
}

// setHosts sets the host:port of each host.
func (s *Simulator) setHosts(api, accounts, files, control string) Endpoints {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.urls.APIURL = "http://" + api + "/v3"
	s.urls.AuthURL = "http://" + accounts + "/o/oauth2/v1/auth"
	s.urls.TokenURL = "http://" + accounts + "/o/oauth2/v1/token"
	s.urls.FilesURL = "http://" + files
	s.urls.ControlURL = "http://" + control
	return s.urls
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
	urls := s.setHosts(at(0), at(1), at(2), at(3))
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
}

func (s *Simulator) now() int64 { return s.opts.Now().Unix() }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
