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

// sendRaw sends bytes over a new connection and returns the status line.
func sendRaw(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	statusLine, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return strings.TrimSpace(statusLine)
}

func TestSlowSenders(t *testing.T) {
	head := "POST /webhooks/cmp HTTP/1.1\r\nHost: x\r\nCallback-Secret: " + callbackSecret + "\r\nContent-Length: 300\r\n"
	const soon, never = 2 * time.Second, time.Minute // the server's read timeout
	tests := map[string]struct {
		request, want string
		wait          time.Duration
	}{
		"body that never ends times out":                     {head + "\r\n{", "HTTP/1.1 408 Request Timeout", soon},
		"unauthorized client is rejected without its body":   {strings.Replace(head, callbackSecret, "x", 1) + "\r\n{", "HTTP/1.1 401 Unauthorized", soon},
		"header that never ends closes the connection":       {head, "", soon},
		"declared length over the limit is rejected at once": {strings.Replace(head, "300", "262145", 1) + "\r\n", "HTTP/1.1 413 Request Entity Too Large", never},
		"huge header is rejected":                            {head + "X: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large", never},
		"invalid chunk is rejected":                          {strings.Replace(head, "Content-Length: 300", "Transfer-Encoding: chunked", 1) + "\r\nzz\r\n", "HTTP/1.1 400 Bad Request", never},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, func(o *Options) { o.ReadTimeout = tt.wait })
			if got := sendRaw(t, r.addr, tt.request); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if len(r.events) != 0 {
				t.Errorf("stored events: %v", r.events)
			}
		})
	}
}
