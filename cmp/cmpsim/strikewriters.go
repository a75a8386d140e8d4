package cmpsim

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// cuttingWriter sends half of the body and closes the connection. It promises the full
// Content-Length, or sends chunks without the last one.
type cuttingWriter struct {
	http.ResponseWriter
	chunked bool
	cuts    bool
	left    int64 // bytes before the cut
}

// WriteHeader is for http.ResponseWriter. Errors are not cut.
func (c *cuttingWriter) WriteHeader(code int) {
	if code == http.StatusOK || code == http.StatusPartialContent {
		length, _ := strconv.ParseInt(c.Header().Get("Content-Length"), 10, 64) // every body has one
		c.cuts, c.left = true, length/2
		if c.chunked {
			c.Header().Del("Content-Length")
		}
	}
	c.ResponseWriter.WriteHeader(code)
}

// Write is for http.ResponseWriter.
func (c *cuttingWriter) Write(p []byte) (int, error) {
	if !c.cuts {
		return c.ResponseWriter.Write(p)
	}
	if int64(len(p)) < c.left {
		c.left -= int64(len(p))
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])                // the connection closes in any case
	_ = http.NewResponseController(c.ResponseWriter).Flush() // likewise
	panic(http.ErrAbortHandler)
}

// drippingWriter spreads each write over a time, in sixteen pieces.
type drippingWriter struct {
	http.ResponseWriter
	ctx  context.Context
	over time.Duration
}

// Write is for http.ResponseWriter.
func (d *drippingWriter) Write(p []byte) (int, error) {
	const pieces = 16
	sent := 0
	for i := range pieces {
		if !pause(d.ctx, d.over/pieces) {
			return sent, d.ctx.Err()
		}
		n, err := d.ResponseWriter.Write(p[sent : len(p)*(i+1)/pieces])
		sent += n
		if err != nil {
			return sent, err
		}
		_ = http.NewResponseController(d.ResponseWriter).Flush() // fails when the client has left
	}
	return sent, nil
}

// corruptingWriter changes one byte in the middle of the first write.
type corruptingWriter struct {
	http.ResponseWriter
	done bool
}

// Write is for http.ResponseWriter.
func (c *corruptingWriter) Write(p []byte) (int, error) {
	if c.done || len(p) == 0 {
		return c.ResponseWriter.Write(p)
	}
	c.done = true
	changed := append([]byte(nil), p...)
	changed[len(changed)/2] ^= 0xff
	return c.ResponseWriter.Write(changed)
}
