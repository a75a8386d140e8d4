package httpserver

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// raw sends bytes over a connection of its own and returns the status line.
func raw(t *testing.T, addr, request string) (statusLine string, conn net.Conn) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	statusLine, err = bufio.NewReader(conn).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return strings.TrimSpace(statusLine), conn
}

func TestSlowSenders(t *testing.T) {
	head := "POST /webhooks/cmp HTTP/1.1\r\nHost: x\r\nCallback-Secret: " + hunter + "\r\nContent-Length: 300\r\n"
	const soon, never = 2 * time.Second, time.Minute // how long the server waits
	tests := map[string]struct {
		request, want string
		wait          time.Duration
	}{
		"body never ends":             {head + "\r\n{", "HTTP/1.1 408 Request Timeout", soon},
		"stranger whose body is late": {strings.Replace(head, hunter, "x", 1) + "\r\n{", "HTTP/1.1 401 Unauthorized", soon},
		"header never ends":           {head, "", soon},
		"declared too large":          {strings.Replace(head, "300", "262145", 1) + "\r\n", "HTTP/1.1 413 Request Entity Too Large", never},
		"huge header":                 {head + "X: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large", never},
		"invalid chunk":               {strings.Replace(head, "Content-Length: 300", "Transfer-Encoding: chunked", 1) + "\r\nzz\r\n", "HTTP/1.1 400 Bad Request", never},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *Options) { o.ReadTimeout = tt.wait })
			if got, _ := raw(t, r.addr, tt.request); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if len(r.events) != 0 {
				t.Errorf("stored %v", r.events)
			}
		})
	}
}
