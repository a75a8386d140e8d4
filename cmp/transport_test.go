package cmp

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A host that offers HTTP/2 is spoken to by HTTP/1.1, so that no request shares its connection with
// one that is held back.
func TestTransportSpeaksHTTP1(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto) // the client tells
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	theirs := server.Client().Transport.(*http.Transport)
	if proto := protocolOf(t, theirs, server.URL); proto != "HTTP/2.0" {
		t.Fatalf("the server speaks %s to who can do more", proto)
	}

	ours := newTransport()
	t.Cleanup(ours.CloseIdleConnections)
	ours.TLSClientConfig.RootCAs = theirs.TLSClientConfig.RootCAs
	if proto := protocolOf(t, ours, server.URL); proto != "HTTP/1.1" {
		t.Errorf("the transport speaks %s", proto)
	}
}

// protocolOf is the protocol by which a request arrives.
func protocolOf(t *testing.T, transport http.RoundTripper, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close() // it has been read
	return string(body)
}
