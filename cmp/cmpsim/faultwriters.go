package cmpsim

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// cuttingWriter sends half of the body and closes the connection: with the whole
// Content-Length promised, or in chunks without the last one.
type cuttingWriter struct {
	http.ResponseWriter
	chunked bool
	left    int64
	started bool
}

func (c *cuttingWriter) start(first []byte) {
	if c.started {
		return
	}
	c.started = true
	length := int64(len(first))
	if n, err := strconv.ParseInt(c.Header().Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	c.left = length / 2
	if c.chunked {
		c.Header().Del("Content-Length")
		return
	}
	c.Header().Set("Content-Length", strconv.FormatInt(length, 10))
}

func (c *cuttingWriter) WriteHeader(code int) {
	if code != http.StatusOK && code != http.StatusPartialContent {
		c.started, c.left = true, 1<<62
	}
	if c.Header().Get("Content-Length") != "" || c.left > 0 {
		c.start(nil)
		c.ResponseWriter.WriteHeader(code)
	}
}

func (c *cuttingWriter) Write(p []byte) (int, error) {
	c.start(p)
	if int64(len(p)) < c.left {
		c.left -= int64(len(p))
		return c.ResponseWriter.Write(p)
	}
	_, _ = c.ResponseWriter.Write(p[:c.left])                // the cut follows in any case
	_ = http.NewResponseController(c.ResponseWriter).Flush() // likewise
	panic(http.ErrAbortHandler)
}

// drippingWriter spreads the body over a time, in sixteen pieces a write.
type drippingWriter struct {
	http.ResponseWriter
	ctx  context.Context
	over time.Duration
}

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
		_ = http.NewResponseController(d.ResponseWriter).Flush() // not every test writer can
	}
	return sent, nil
}

// corruptingWriter changes one byte of the first write, beyond any magic number.
type corruptingWriter struct {
	http.ResponseWriter
	done bool
}

func (c *corruptingWriter) Write(p []byte) (int, error) {
	if c.done || len(p) == 0 {
		return c.ResponseWriter.Write(p)
	}
	c.done = true
	changed := append([]byte(nil), p...)
	changed[len(changed)/2] ^= 0xff
	return c.ResponseWriter.Write(changed)
}
