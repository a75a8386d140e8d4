package main

import (
	"context"
	"crypto/md5" //nolint:gosec // what S3 calls an ETag
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	stdsync "sync"
	"time"
)

// sinkJob describes a distant store that discards the bytes, which leaves a small machine's cores to
// the program measured.
type sinkJob struct {
	Wait time.Duration // before each answer
}

// sinkReport is what the store received.
type sinkReport struct {
	Requests int
	Sizes    map[string]int64 // bytes of each object's content
}

// sink speaks as much of S3 as a transfer needs. It computes what any S3 does, the MD5 of each body,
// and accepts every signature.
type sink struct {
	wait time.Duration

	mu       stdsync.Mutex
	requests int
	objects  map[string]object
}

type object struct {
	size int64
	etag string
	mark http.Header // user metadata
}

func newSink(j sinkJob) *sink { return &sink{wait: j.Wait, objects: map[string]object{}} }

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var answer func()
	switch {
	case key == "" && r.Method == http.MethodGet:
		answer = func() { fmt.Fprint(w, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>") }
	case key == "":
		answer = func() { w.WriteHeader(http.StatusOK) }
	case r.Method == http.MethodPut:
		answer = s.put(w, r, key)
	case r.Method == http.MethodHead:
		answer = func() { s.head(w, key) }
	default:
		answer = func() { w.WriteHeader(http.StatusNotImplemented) }
	}
	pause(r.Context(), s.wait)
	answer()
}

// put reads the body, which may be framed as aws-chunked, and returns the answer to send.
func (s *sink) put(w http.ResponseWriter, r *http.Request, key string) func() {
	var body io.Reader = r.Body
	if strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		body = httputil.NewChunkedReader(r.Body)
	}
	sum := md5.New() //nolint:gosec // as above
	n, err := io.CopyBuffer(sum, body, make([]byte, 128<<10))
	if _, rest := io.Copy(io.Discard, r.Body); err != nil || rest != nil {
		return func() { w.WriteHeader(http.StatusBadRequest) }
	}
	o := object{size: n, etag: `"` + hex.EncodeToString(sum.Sum(nil)) + `"`, mark: http.Header{}}
	for name, values := range r.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") {
			o.mark[name] = values
		}
	}
	s.mu.Lock()
	s.objects[key] = o
	s.mu.Unlock()
	return func() { w.Header().Set("ETag", o.etag) }
}

func (s *sink) head(w http.ResponseWriter, key string) {
	s.mu.Lock()
	o, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	for name, values := range o.mark {
		w.Header()[name] = values
	}
	w.Header().Set("ETag", o.etag)
	w.Header().Set("Content-Length", strconv.FormatInt(o.size, 10))
}

func (s *sink) report() sinkReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := sinkReport{Requests: s.requests, Sizes: map[string]int64{}}
	for key, o := range s.objects {
		r.Sizes[key] = o.size
	}
	return r
}

// serveSink is the part of the distant store.
func serveSink(ctx context.Context, j sinkJob) (string, func() (sinkReport, error), error) {
	s := newSink(j)
	url, stop, err := serve(ctx, s)
	return url, func() (sinkReport, error) { return s.report(), stop() }, err
}
