package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"damsync/dam/s3/s3test"
)

// bucket is a bucket of a real S3 server behind a proxy that records requests and may interfere.
type bucket struct {
	*s3test.Server
	t     *testing.T
	name  string
	front *httptest.Server

	mu        sync.Mutex
	interfere func(http.ResponseWriter, *http.Request) bool // false: it has answered
	log       []asked
}

// asked is one request to the server.
type asked struct {
	method, path, part string
	sent               int64 // bytes of its body
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	b := &bucket{Server: s3test.Start(t), t: t}
	b.name = b.Bucket(t, "brand")
	store, err := url.Parse(b.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = store.Scheme, store.Host, r.In.Host // signed as it came
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
		panic(http.ErrAbortHandler) // no answer of its own
	}}
	b.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		interfere := b.interfere
		b.mu.Unlock()
		body := &counted{ReadCloser: r.Body}
		r.Body = body
		if interfere == nil || interfere(w, r) {
			defer b.note(r, body)
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { b.front.CloseClientConnections(); b.front.Close(); transport.CloseIdleConnections() })
	return b
}

// counted is read by the transport, which may continue after the answer.
type counted struct {
	io.ReadCloser
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (b *bucket) note(r *http.Request, body *counted) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, asked{r.Method, r.URL.Path, r.URL.Query().Get("partNumber"), body.n.Load()})
}

// requests returns the requests since its last call.
func (b *bucket) requests() []asked {
	b.mu.Lock()
	defer b.mu.Unlock()
	log := b.log
	b.log = nil
	return log
}

// meddle lets f answer requests or pass them on. nil passes all on.
func (b *bucket) meddle(f func(http.ResponseWriter, *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.interfere = f
}

// refuse rejects every request that would change something.
func (b *bucket) refuse(status int, code string) {
	b.meddle(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return true
		}
		_, _ = io.Copy(io.Discard, r.Body) // the client writes it all first
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
		return false
	})
}

// target returns the configuration of a target that pushes to the bucket, with options and rest added.
func (b *bucket) target(name string, options M, rest string) string {
	b.t.Helper()
	given := b.Options(b.name)
	given["endpoint"] = b.front.URL
	for k, v := range options {
		given[k] = v
	}
	text, err := json.Marshal(given)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("\n  - name: %s\n    adapter: s3\n    options: %s%s", name, text, rest)
}

// objects returns the keys by asset id, without the adapter's internal objects. Objects without a mark have
// the id "".
func (b *bucket) objects() (map[string][]string, error) {
	out := map[string][]string{}
	pages := s3.NewListObjectsV2Paginator(b.Client(), &s3.ListObjectsV2Input{Bucket: &b.name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.t.Context())
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			if strings.HasSuffix(*o.Key, ".damsync.json") || strings.HasPrefix(*o.Key, ".damsync/") {
				continue
			}
			head, err := b.Client().HeadObject(b.t.Context(), &s3.HeadObjectInput{Bucket: &b.name, Key: o.Key})
			if err != nil {
				return nil, err
			}
			id := head.Metadata["damsync-asset"]
			out[id] = append(out[id], *o.Key)
		}
	}
	return out, nil
}

// equal waits until each wanted asset is there once, and nothing else.
func (b *bucket) equal(s *site) {
	b.t.Helper()
	eventually(b.t, "the bucket equals the library", func() error {
		have, err := b.objects()
		if err != nil {
			return err
		}
		want := s.sim.wanted()
		for id := range want {
			if len(have[id]) != 1 {
				err = errors.Join(err, fmt.Errorf("asset %s is there %d times", id, len(have[id])))
			}
		}
		if len(have) != len(want) {
			err = errors.Join(err, fmt.Errorf("%d assets are there, want %d", len(have), len(want)))
		}
		return err
	})
}

// content returns the bytes of an object, or "" if there is none.
func (b *bucket) content(key string) string {
	b.t.Helper()
	out, err := b.Client().GetObject(b.t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return ""
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(body)
}

// put writes an object without a mark.
func (b *bucket) put(key, body string) {
	b.t.Helper()
	if _, err := b.Client().PutObject(b.t.Context(), &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: strings.NewReader(body)}); err != nil {
		b.t.Fatal(err)
	}
}
