package cmpsim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Simulator is one organization's CMP: its library, accounts, limits, webhooks and faults. All
// methods are safe for concurrent use, but Start or StartPipes must return before Close is called.
type Simulator struct {
	*Library
	endpoints Endpoints

	accounts *accounts
	limits   *limiter
	log      *requestLog
	faults   *faultSet
	hooks    *dispatcher

	servers   []*http.Server
	serving   sync.WaitGroup
	stopWatch func() bool // ends the watch on Start's context
}

// New makes an organization. It does not listen before Start or StartPipes.
func New(opts Options) *Simulator {
	opts = opts.withDefaults()
	r := newRand(opts.Seed, "credentials", 0)
	login := Endpoints{ClientID: hexID(r), ClientSecret: hexID(r) + hexID(r), WebhookSecret: hexID(r)}
	signer := tokenSigner{key: []byte("cmpsim " + login.ClientSecret)}
	hooks := newDispatcher(opts)
	lib := &Library{
		clock: opts.Now, publish: hooks.publish, behavior: opts.Behavior, site: site{signer: signer},
		catalog: generate(opts.Seed, opts.Now().UTC().Truncate(24*time.Hour), opts.Assets),
	}
	s := &Simulator{
		Library:   lib,
		endpoints: login,
		accounts: &accounts{
			clock: opts.Now, clientID: login.ClientID, clientSecret: login.ClientSecret, user: lib.catalog.owners[0],
			tokenLifetime: opts.TokenLifetime, signer: signer,
			ids:   newRand(opts.Seed, "tokens", uint64(opts.Now().UnixNano())),
			codes: map[string]grantedCode{}, refresh: map[string]string{}, access: map[string]time.Time{},
		},
		limits: newLimiter(opts),
		log:    newRequestLog(opts.Now, logSize),
		faults: &faultSet{r: newRand(opts.Seed, "faults", 0)},
		hooks:  hooks,
	}
	s.setHosts(pipeHosts())
	return s
}

// hosts are the addresses of the four hosts, host:port each.
type hosts struct{ api, accounts, files, control string }

func (s *Simulator) setHosts(at hosts) {
	e := &s.endpoints
	e.APIURL = "http://" + at.api + "/v3"
	e.AuthURL = "http://" + at.accounts + authPath
	e.TokenURL = "http://" + at.accounts + tokenPath
	e.FilesURL = "http://" + at.files
	e.ControlURL = "http://" + at.control
	s.mu.Lock()
	defer s.mu.Unlock()
	s.site.api, s.site.files = e.APIURL, e.FilesURL
}

// handlers returns the handlers of the API, accounts, file and control hosts.
func (s *Simulator) handlers() [4]http.Handler {
	apiMux, operations := (&apiHost{lib: s.Library, accounts: s.accounts}).mux()
	accountsMux := s.accounts.mux()
	files := &filesHost{s.Library, s.log}
	filesMux := files.mux()
	operationOf := func(mux *http.ServeMux, ids map[string]string) func(*http.Request) string {
		return func(r *http.Request) string {
			_, pattern := mux.Handler(r)
			return cmp.Or(ids[pattern], pattern)
		}
	}
	return [4]http.Handler{
		s.log.record(hostAPI, operationOf(apiMux, operations), s.limits.enforce(s.faults.inject(hostAPI, apiMux))),
		s.log.record(hostAccounts, operationOf(accountsMux, nil), s.faults.inject(hostAccounts, accountsMux)),
		s.log.record(hostFiles, operationOf(filesMux, nil), s.faults.inject(hostFiles, files.refuseBearer(filesMux))),
		s.controlMux(),
	}
}

// Start listens on four ports and returns where. The API listens on listenAddr ("127.0.0.1:0" for a
// free port); the other hosts take free ports on the same address, so that a client that confuses
// two hosts fails. The simulator ends with Close or with ctx.
func (s *Simulator) Start(ctx context.Context, listenAddr string) (Endpoints, error) {
	host, _, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return Endpoints{}, fmt.Errorf("read listen address: %w", err)
	}
	free := net.JoinHostPort(host, "0")
	var listeners [4]net.Listener
	for i, addr := range []string{listenAddr, free, free, free} {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			return Endpoints{}, errors.Join(fmt.Errorf("listen on %s: %w", addr, err), closeAll(listeners[:i]))
		}
		listeners[i] = l
	}
	at := func(i int) string { return listeners[i].Addr().String() }
	s.setHosts(hosts{at(0), at(1), at(2), at(3)})
	s.serve(listeners)
	s.stopWatch = context.AfterFunc(ctx, s.shutdown)
	return s.endpoints, nil
}

func closeAll(listeners []net.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func (s *Simulator) serve(listeners [4]net.Listener) {
	for i, h := range s.handlers() {
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
		s.servers = append(s.servers, srv)
		s.serving.Go(func() { _ = srv.Serve(listeners[i]) }) // ends with ErrServerClosed
	}
}

// shutdown closes every connection; it does not wait.
func (s *Simulator) shutdown() {
	for _, srv := range s.servers {
		_ = srv.Close() // the listener may be closed already
	}
	s.hooks.stop()
}

// Close stops serving and delivering, and waits for both. Pending webhooks are dropped.
func (s *Simulator) Close() error {
	if s.stopWatch != nil {
		s.stopWatch()
	}
	s.shutdown()
	s.serving.Wait()
	s.hooks.wait()
	return nil
}

// State is an overview of the simulator.
type State struct {
	Assets     int            `json:"assets"` // living ones
	Trashed    int            `json:"trashed"`
	Folders    int            `json:"folders"`
	ByType     map[string]int `json:"by_type"` // of the living assets
	Counters   Counters       `json:"counters"`
	Pace       Pace           `json:"pace"`
	Limits     PaceCounters   `json:"limits"`
	Pending    int            `json:"deliveries_pending"`
	Behavior   Behavior       `json:"behavior"`
	Now        time.Time      `json:"now"`
	NewestEdit time.Time      `json:"newest_modified_at,omitzero"`
}

// State returns the overview.
func (s *Simulator) State() State {
	out := State{
		Counters: s.Counters(), Pace: s.Pace(), Limits: s.PaceCounters(), Pending: s.hooks.pending(),
		Now: s.clock().UTC(), ByType: map[string]int{},
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out.Behavior = s.behavior
	out.Assets, out.Folders = s.catalog.modified.n, len(s.catalog.folders)
	out.Trashed = len(s.catalog.assets) - out.Assets
	for a := range s.catalog.modified.all() {
		if out.NewestEdit.IsZero() {
			out.NewestEdit = time.Unix(a.modified, 0).UTC()
		}
		out.ByType[a.kind.info().name]++
	}
	return out
}
