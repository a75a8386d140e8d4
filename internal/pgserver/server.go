package pgserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Server is this process's share in a running server. It is safe for concurrent
// use.
type Server struct {
	opt    Options
	layout layout
	users  *fileLock
	joined bool
	url    string

	mu       sync.Mutex
	instance *instance // nil once closed
	closeErr error     // result of the first Close
}

// Open joins the server of the data directory, or initializes and starts it.
// Several processes may call it at once: one starts the server, the others join.
// Open waits for a server that is starting, recovering from a crash or shutting
// down. Errors have a class: ErrNoBinaries, ErrVersion, ErrUnreachable or
// ErrUnavailable.
func Open(ctx context.Context, opt Options) (*Server, error) {
	opt = opt.withDefaults()
	l, err := newLayout(opt.DataDir)
	if err != nil {
		return nil, err
	}
	if err := makeDir(l.dir); err != nil {
		return nil, fmt.Errorf("create data directory: %w", err)
	}
	lock, err := lockStart(ctx, l, opt.StartTimeout)
	if err != nil {
		return nil, err
	}
	s, err := openLocked(ctx, l, opt)
	return s, errors.Join(err, lock.release())
}

// openLocked implements Open. The caller holds the start lock.
func openLocked(ctx context.Context, l layout, opt Options) (*Server, error) {
	users, err := openLock(l.usersLock())
	if err != nil {
		return nil, err
	}
	// This never fails: only holders of the start lock lock it exclusively.
	if ok, err := users.try(unix.LOCK_SH); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("register as user of the server: locked=%t", !ok), err, users.release())
	}
	running, joined, err := joinOrStart(ctx, l, opt)
	if err != nil {
		return nil, errors.Join(err, users.release())
	}
	return &Server{opt: opt, layout: l, users: users, joined: joined, instance: running, url: running.url(databaseName)}, nil
}

// lockStart acquires the lock that serializes starts and stops.
func lockStart(ctx context.Context, l layout, timeout time.Duration) (*fileLock, error) {
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		lock, err := openLock(l.startLock())
		if err != nil {
			return nil, err
		}
		if err := lock.acquire(wait); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: another process has been starting or stopping the server in %s for %s: %w",
				ErrUnavailable, l.dir, timeout, err), lock.f.Close())
		}
		if lock.current() {
			return lock, nil
		}
		if err := lock.release(); err != nil { // Remove has deleted the file
			return nil, err
		}
	}
}

// URL returns a connection URL for pgx and libpq.
func (s *Server) URL() string { return s.url }

// Joined reports whether the server was already running before Open.
func (s *Server) Joined() bool { return s.joined }

// Ensure restarts the server if it has exited, for example because the system
// killed it to reclaim memory. It has no effect on a running server. The URL
// stays the same.
func (s *Server) Ensure(ctx context.Context) error {
	lock, err := lockStart(ctx, s.layout, s.opt.StartTimeout)
	if err != nil {
		return err
	}
	return errors.Join(s.ensureLocked(ctx), lock.release())
}

// ensureLocked implements Ensure. The caller holds the start lock.
func (s *Server) ensureLocked(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instance == nil {
		return errors.New("restart PostgreSQL: the server handle is closed")
	}
	running, _, err := joinOrStart(ctx, s.layout, s.opt)
	if err != nil {
		return err
	}
	if running.url(databaseName) != s.url {
		return fmt.Errorf("%w: it was restarted with another socket, %s", ErrUnavailable, running.socketDir)
	}
	s.instance = running
	return nil
}

// Close gives up the share. If no other process has one and damsync started the
// server, Close shuts it down, rolling back open transactions, and waits until
// it has exited. Otherwise the server keeps running. ctx limits the wait, not
// the shutdown. Further calls return the result of the first.
func (s *Server) Close(ctx context.Context) error {
	lock, err := lockStart(ctx, s.layout, s.opt.StartTimeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instance != nil {
		s.closeErr = errors.Join(err, s.leave(ctx, lock != nil))
		s.instance = nil
	}
	if lock != nil {
		return errors.Join(s.closeErr, lock.release())
	}
	return s.closeErr
}

// leave stops the server if no other process uses it. Without the start lock it
// does not stop it, because the holder of the lock is about to use the server.
func (s *Server) leave(ctx context.Context, locked bool) error {
	if !locked {
		return s.users.release()
	}
	last, err := s.users.try(unix.LOCK_EX)
	if err == nil && last && s.instance.ours {
		err = s.instance.stop(ctx)
	}
	return errors.Join(err, s.users.release())
}
