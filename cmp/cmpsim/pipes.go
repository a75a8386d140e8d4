package cmpsim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// Dial connects to one of the simulator's hosts; it fits http.Transport's
// DialContext.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// StartPipes serves the four hosts over in-memory connections and returns the
// only way to them. It is for tests in a testing/synctest bubble, where real
// sockets keep fake time from moving; the HTTP is the same. Close ends it.
func (s *Simulator) StartPipes() (Endpoints, Dial) {
	names := []string{"api.cmp.test:80", "accounts.cmp.test:80", "files.cmp.test:80", "control.cmp.test:80"}
	handlers := []http.Handler{s.api, s.accountsHost, s.files, s.control}
	listeners := map[string]*pipeListener{}
	for i, name := range names {
		l := &pipeListener{addr: pipeAddr(name), conns: make(chan net.Conn), done: make(chan struct{})}
		listeners[name] = l
		s.serve(l, handlers[i])
	}
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		l, ok := listeners[addr]
		if !ok {
			return nil, fmt.Errorf("dial %s: %w", addr, ErrNotFound)
		}
		return l.dial(ctx)
	}
	return s.setHosts("api.cmp.test", "accounts.cmp.test", "files.cmp.test", "control.cmp.test"), dial
}

// pipeListener hands the far end of every dialed pipe to a server.
type pipeListener struct {
	addr  pipeAddr
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, fmt.Errorf("dial %s: %w", l.addr, net.ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("dial %s: %w", l.addr, ctx.Err())
	}
}

// Accept is for net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close is for net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr is for net.Listener.
func (l *pipeListener) Addr() net.Addr { return l.addr }

type pipeAddr string

// Network is for net.Addr.
func (pipeAddr) Network() string { return "pipe" }

// String is for net.Addr.
func (a pipeAddr) String() string { return string(a) }
