package s3

import (
	"context"
	"io"
	"net"
)

// Bodies are sent in pieces of bodyBuffer, four times what http.Transport takes by
// itself: each piece costs system calls and wakes up both ends. There are
// bodyBuffers of them, which bounds the memory; what finds none goes as ever.
const (
	bodyBuffer  = 128 << 10
	bodyBuffers = 8
)

type dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// inLargePieces makes connections that share the buffers. A body over TLS goes by
// its records and gains nothing.
func inLargePieces(next dial) dial {
	buffers := make(chan []byte, bodyBuffers)
	for range bodyBuffers {
		buffers <- nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &bodyConn{Conn: c, buffers: buffers}, nil
	}
}

type bodyConn struct {
	net.Conn
	buffers chan []byte
}

// ReadFrom is what http.Transport sends a body with.
func (c *bodyConn) ReadFrom(r io.Reader) (int64, error) {
	w := struct{ io.Writer }{c.Conn}
	select {
	case buf := <-c.buffers:
		if buf == nil {
			buf = make([]byte, bodyBuffer)
		}
		defer func() { c.buffers <- buf }()
		return io.CopyBuffer(w, r, buf)
	default:
		return io.Copy(w, r)
	}
}
