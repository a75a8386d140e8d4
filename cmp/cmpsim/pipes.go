package cmpsim

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Dial connects to one of the simulator's hosts. It fits http.Transport.DialContext.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

func pipeHosts() hosts {
	return hosts{"api.cmp.test", "accounts.cmp.test", "files.cmp.test", "control.cmp.test"}
}

// StartPipes serves the four hosts over in-memory connections, and returns the only way to reach
// them. It is for tests in a testing/synctest bubble, where real sockets keep the fake clock from
// moving; the HTTP is the same. The simulator ends with Close.
func (s *Simulator) StartPipes() (Endpoints, Dial) {
	at := pipeHosts()
	var listeners [4]net.Listener
	byAddr := map[string]*pipeListener{}
	for i, host := range []string{at.api, at.accounts, at.files, at.control} {
		l := &pipeListener{addr: pipeAddr(host + ":80"), conns: make(chan net.Conn), done: make(chan struct{})}
		listeners[i], byAddr[string(l.addr)] = l, l
	}
	s.setHosts(at)
	s.serve(listeners)
	return s.endpoints, func(ctx context.Context, _, addr string) (net.Conn, error) {
		l, ok := byAddr[addr]
		if !ok {
			return nil, fmt.Errorf("dial %s: %w", addr, ErrNotFound)
		}
		return l.dial(ctx)
	}
}

// pipeListener hands one end of every dialed pipe to a server.
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
