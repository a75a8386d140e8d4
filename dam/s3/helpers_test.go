package s3

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"damsync/dam"
	"damsync/dam/naming"
	"damsync/dam/s3/s3test"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func newAdapter(t *testing.T, given map[string]any) *Adapter {
	t.Helper()
	a, err := New(given, "bucket", "tester")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func with(maps ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, m := range maps {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// object returns asset id at path, with body from memory.
func object(id, path, body string, generation int64) dam.Object {
	return dam.Object{
		Mark: dam.OwnerMark{
			Instance: "tester", Target: "bucket", AssetID: id, Version: naming.Digest(body),
			Size: int64(len(body)), MetadataHash: "h", Generation: generation,
		},
		Path: path, Title: "Title", MIMEType: "image/png", Metadata: dam.Metadata{"alt": "Ünï"},
		Open: dam.Opener(int64(len(body)), "", reader(body)),
	}
}

func reader(body string) func(context.Context, int64) (io.ReadCloser, error) {
	return func(_ context.Context, at int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(body[at:])), nil
	}
}

func streamed(server *s3test.Server, bucket string) map[string]any {
	return with(server.Options(bucket), map[string]any{"sign_payload": false})
}

func keyOf(id string) dam.Key { return dam.Key{Instance: "tester", AssetID: id} }

// stored reads an object as other programs do. It returns "" when there is none.
func stored(t *testing.T, server *s3test.Server, bucket, key string) string {
	t.Helper()
	out, err := server.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if isMissing(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func inParts(server *s3test.Server, bucket string) map[string]any {
	return with(streamed(server, bucket), map[string]any{"multipart_threshold": "5MiB", "part_size": "5MiB"})
}

// keys lists the objects below a prefix.
func keys(t *testing.T, server *s3test.Server, bucket, prefix string) []string {
	t.Helper()
	out, err := server.Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &prefix})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, o := range out.Contents {
		all = append(all, *o.Key)
	}
	return all
}

// put writes an object as another program does.
func put(t *testing.T, server *s3test.Server, bucket, key, body string) {
	t.Helper()
	_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
}

// through returns an adapter whose requests go through a proxy. The proxy passes a request on
// unless interfere returns false, which means that it has answered. Then it reads the body to its end: closing a
// connection with bytes unread resets it, and the answer may be lost with it.
func through(t *testing.T, server *s3test.Server, bucket string, options map[string]any, interfere func(http.ResponseWriter, *http.Request) bool) *Adapter {
	t.Helper()
	store, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = store.Scheme, store.Host, r.In.Host
	}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if interfere(w, r) {
			proxy.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(func() { front.Close(); transport.CloseIdleConnections() })
	return newAdapter(t, with(streamed(server, bucket), options, map[string]any{"endpoint": front.URL}))
}

// refuse answers with an error of S3.
func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	if code != "" {
		_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
	}
}

// meter counts the requests of an adapter.
type meter struct {
	requests atomic.Int64
	sent     atomic.Int64 // bytes of bodies
}

func metered(t *testing.T, given map[string]any) (*Adapter, *meter) {
	t.Helper()
	m := &meter{}
	a := newAdapter(t, given)
	a.client.conn.intercept = func(next s3.HTTPClient) s3.HTTPClient {
		return doer(func(r *http.Request) (*http.Response, error) {
			m.requests.Add(1)
			m.sent.Add(max(r.ContentLength, 0))
			return next.Do(r)
		})
	}
	return a, m
}
