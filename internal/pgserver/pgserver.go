package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// User and Database are the names a server is made with.
const (
	User     = "damsync"
	Database = "damsync"
)

// Options says which server to open and how to run it. What it says of
// running has no effect on a server that runs already.
type Options struct {
	DataDir string // required; created when missing
	// BinDir is the directory with initdb, postgres and pg_ctl. Empty: Find
	// looks for it, and what cannot be found is downloaded.
	BinDir string
	Lookup Lookup
	// Repository is the https address of the Maven repository to download binaries from. Empty:
	// the environment's DAMSYNC_PG_REPOSITORY, or Maven Central.
	Repository string
	// Transport sends the requests of the download; nil means
	// http.DefaultTransport.
	Transport http.RoundTripper
	Log        zerolog.Logger
	// MaxConnections is the server's limit; 0 means 60.
	MaxConnections int
	// Unsafe trades durability for speed: a crash of the machine may destroy
	// the cluster. For tests.
	Unsafe bool
	// StartTimeout bounds the wait for other processes, for crash recovery
	// and for the start itself, not the download; 0 means 2 minutes.
	StartTimeout time.Duration
}

func (o Options) withDefaults() Options {
	o.MaxConnections = cmp.Or(o.MaxConnections, 60)
	o.StartTimeout = cmp.Or(o.StartTimeout, 2*time.Minute)
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.BinDir != "" {
		dir := o.BinDir
		o.Lookup = Lookup{Getenv: func(name string) string {
			if name == "DAMSYNC_PG_BIN" {
				return dir
			}
			return ""
		}}
	}
	return o
}

// Server is this process's share in a running server.
type Server struct {
	opt    Options
	place  place // as newPlace returned it
	users  *fileLock
	joined bool
	url    string
	log    string

	mu     sync.Mutex
	in     *instance // nil once closed
	closed error     // what Close returned first
}

// Open joins the server of the data directory, or initializes and starts it.
// It is safe to call from several processes at once: one starts, the others
// join. A server that is starting, recovering from a crash or shutting down is
// waited for. Errors have a class: ErrNoBinaries, ErrVersion, ErrUnreachable,
// or ErrUnavailable.
func Open(ctx context.Context, opt Options) (*Server, error) {
	opt = opt.withDefaults()
	p, err := newPlace(opt.DataDir)
	if err != nil {
		return nil, err
	}
	gate, err := enter(ctx, p, opt.StartTimeout)
	if err != nil {
		return nil, err
	}
	s, err := openGated(ctx, p, opt)
	return s, errors.Join(err, gate.release())
}

// openGated does the work of Open while no other process starts or stops.
func openGated(ctx context.Context, p place, opt Options) (*Server, error) {
	users, err := openLock(p.usersLock())
	if err != nil {
		return nil, err
	}
	// The exclusive lock is only ever taken by who holds the gate.
	if ok, err := users.try(unix.LOCK_SH); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("register as user of the server: locked=%t", !ok), err, users.release())
	}
	in, joined, err := bringUp(ctx, p, opt)
	if err != nil {
		return nil, errors.Join(err, users.release())
	}
	return &Server{opt: opt, place: p, users: users, joined: joined, in: in, url: in.url(Database), log: in.place.log()}, nil
}

// enter waits for the lock that serializes starts and stops.
func enter(ctx context.Context, p place, timeout time.Duration) (*fileLock, error) {
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		gate, err := openLock(p.startLock())
		if err != nil {
			return nil, err
		}
		if err := gate.acquire(wait); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: another process has been starting or stopping it in %s for %s: %w",
				ErrUnavailable, p.state, timeout, err), gate.f.Close())
		}
		if gate.current() {
			return gate, nil
		}
		if err := gate.release(); err != nil { // Remove was faster
			return nil, err
		}
	}
}

// URL is a connection URL that pgx and libpq understand.
func (s *Server) URL() string { return s.url }

// Joined reports that the server was running before Open.
func (s *Server) Joined() bool { return s.joined }

// LogFile is where the server writes its messages.
func (s *Server) LogFile() string { return s.log }

// Ensure starts the server again if it has ended (killed for its memory, say),
// and does nothing but look while it runs. The URL stays the same.
func (s *Server) Ensure(ctx context.Context) error {
	gate, err := enter(ctx, s.place, s.opt.StartTimeout)
	if err != nil {
		return err
	}
	return errors.Join(s.ensureGated(ctx), gate.release())
}

func (s *Server) ensureGated(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in == nil {
		return errors.New("ensure that PostgreSQL runs: the share in it is closed")
	}
	in, _, err := bringUp(ctx, s.place, s.opt)
	if err != nil {
		return err
	}
	if in.url(Database) != s.url {
		return fmt.Errorf("%w: somebody started it at another socket, %s", ErrUnavailable, in.socketDir)
	}
	s.in = in
	return nil
}

// Close gives up the share. When no other process has one, and damsync started
// the server, it shuts the server down (fast: open transactions are rolled
// back) and waits for its end; otherwise the server stays for the others.
// ctx bounds the waiting, not the shutdown. Further calls return what the
// first did.
func (s *Server) Close(ctx context.Context) error {
	gate, err := enter(ctx, s.place, s.opt.StartTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in != nil {
		s.closed = errors.Join(err, s.leave(ctx, gate != nil))
		s.in = nil
	}
	if gate != nil {
		return errors.Join(s.closed, gate.release())
	}
	return s.closed
}

// leave stops the server if nobody else uses it. Without the gate it only
// leaves: whoever holds the gate is about to use the server.
func (s *Server) leave(ctx context.Context, gated bool) error {
	if !gated {
		return s.users.release()
	}
	last, err := s.users.try(unix.LOCK_EX)
	if err == nil && last && s.in.ours {
		err = s.in.stop(ctx)
	}
	return errors.Join(err, s.users.release())
}

// Remove stops the data directory's server, if one was left running, and
// deletes its cluster and every other trace of it. The error is ErrInUse while
// a process uses it.
func Remove(ctx context.Context, dataDir string) error {
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return err
	}
	p := place{state: filepath.Join(abs, "postgres"), home: filepath.Join(abs, "postgres")}
	if !exists(p.state) {
		return nil
	}
	gate, err := enter(ctx, p, 10*time.Second)
	if errors.Is(err, os.ErrNotExist) { // removed meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(removeGated(ctx, p), gate.release())
}

func removeGated(ctx context.Context, p place) error {
	users, err := openLock(p.usersLock())
	if err != nil {
		return err
	}
	if ok, err := users.try(unix.LOCK_EX); err != nil || !ok {
		return errors.Join(ErrInUse, err, users.release())
	}
	if located, err := p.locate(); err == nil {
		p = located
	}
	in := &instance{place: p}
	socket, err := readRecord(p.socketRecord())
	if err == nil {
		err = in.stop(ctx)
	}
	if err == nil && socket != "" {
		err = os.RemoveAll(socket)
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(p.home), os.RemoveAll(p.state))
	}
	return errors.Join(err, users.release())
}

// connectURL writes the address of a database behind a socket.
func connectURL(socketDir, port, database string) string {
	query := url.Values{"host": {socketDir}, "port": {port}, "sslmode": {"disable"}}
	u := url.URL{
		Scheme: "postgres", User: url.User(User), Path: "/" + database,
		RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20"), // libpq takes a plus for a plus
	}
	return u.String()
}
