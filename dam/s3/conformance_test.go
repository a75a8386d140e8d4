package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"

	"damsync/dam"
	"damsync/dam/damtest"
	"damsync/dam/s3/s3test"
	"damsync/dam/sidecar"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	server := s3test.Start(t)
	for name, more := range map[string]map[string]any{
		"streamed": {"sign_payload": false},
		"signed":   {"sidecar": "always", "checksum": "crc32c"},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := server.Bucket(t, name)
			damtest.Run(t, func(*testing.T) damtest.Target {
				prefix := strings.ToLower(rand.Text())
				at := &interception{api: server.Client()}
				return damtest.Target{
					Name: "bucket",
					Open: func(instance string) (dam.Adapter, error) {
						given := with(server.Options(bucket), more, map[string]any{
							"prefix": prefix, "multipart_threshold": "5MiB", "part_size": "5MiB",
						})
						return openAt(given, instance, at)
					},
					Backdoor: backdoor{server.Client(), bucket, prefix + "/"},
					OnStep:   at.onStep,
					Refuse:   at.refuse,
				}
			})
		})
	}
}

// openAt returns an adapter whose requests pass through at.
func openAt(given map[string]any, instance string, at *interception) (*Adapter, error) {
	a, err := New(given, "bucket", instance)
	if err != nil {
		return nil, err
	}
	if at != nil {
		a.client.conn.intercept = at.around
	}
	return a, nil
}

// interception is between an adapter and the network.
type interception struct {
	api *s3.Client

	mu       sync.Mutex
	before   func(step string) error
	refusal  damtest.Refusal
	refusals int
}

func (i *interception) onStep(before func(step string) error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.before = before
}

func (i *interception) refuse(how damtest.Refusal, n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.refusal, i.refusals = how, n
}

// around returns a client whose requests pass through i.
func (i *interception) around(next s3.HTTPClient) s3.HTTPClient {
	return doer(func(req *http.Request) (*http.Response, error) {
		if err := i.step(req); err != nil {
			return nil, errors.Join(err, closeBody(req))
		}
		if res := i.refused(req); res != nil {
			return res, closeBody(req)
		}
		return next.Do(req)
	})
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(req *http.Request) (*http.Response, error) { return d(req) }

func closeBody(req *http.Request) error {
	if req.Body == nil {
		return nil
	}
	return req.Body.Close()
}

// step calls before for each request that will change something: not for one that the server will
// reject because an object exists, nor for those of Check.
func (i *interception) step(req *http.Request) error {
	i.mu.Lock()
	before := i.before
	i.mu.Unlock()
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	if before == nil || reads || strings.HasSuffix(req.URL.Path, unusedName) || i.exists(req) {
		return nil
	}
	return before(req.Method + " " + req.URL.Path)
}

// exists reports whether there is an object that a request requires to be absent.
func (i *interception) exists(req *http.Request) bool {
	if req.Header.Get("If-None-Match") == "" || i.api == nil {
		return false
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	_, err := i.api.HeadObject(req.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	return err == nil
}

func (i *interception) refused(req *http.Request) *http.Response {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refusals == 0 {
		return nil
	}
	i.refusals--
	code, status := "SlowDown", http.StatusServiceUnavailable
	if i.refusal == damtest.ServerError {
		code, status = "InternalError", http.StatusInternalServerError
	}
	body := "<Error><Code>" + code + "</Code><Message>please</Message></Error>"
	if req.Method == http.MethodHead {
		body = ""
	}
	return &http.Response{
		StatusCode: status, Request: req, Header: http.Header{"Content-Type": {"application/xml"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

// backdoor reads and writes the bucket as another program.
type backdoor struct {
	api    *s3.Client
	bucket string
	prefix string
}

func (b backdoor) Write(ctx context.Context, path string, body []byte) error {
	_, err := b.api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &b.bucket, Key: aws.String(b.prefix + path), Body: bytes.NewReader(body),
	})
	return err
}

func (b backdoor) Remove(ctx context.Context, path string) error {
	_, err := b.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.bucket, Key: aws.String(b.prefix + path)})
	return err
}

func (b backdoor) Look(ctx context.Context, path string) (damtest.Seen, error) {
	out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: aws.String(b.prefix + path)})
	if isMissing(err) {
		return damtest.Seen{}, fs.ErrNotExist
	}
	if err != nil {
		return damtest.Seen{}, err
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		return damtest.Seen{}, err
	}
	seen := damtest.Seen{Body: body}
	r, _, ours := parseUserMetadata(out.Metadata)
	if !ours {
		return seen, nil
	}
	return b.describe(ctx, seen, path, r)
}

func (b backdoor) Paths(ctx context.Context) ([]string, error) {
	var paths []string
	pages := s3.NewListObjectsV2Paginator(b.api, &s3.ListObjectsV2Input{Bucket: &b.bucket, Prefix: &b.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			path := strings.TrimPrefix(*o.Key, b.prefix)
			if !strings.HasSuffix(path, sidecar.Suffix) && !strings.HasPrefix(path, stateDir) {
				paths = append(paths, path)
			}
		}
	}
	return paths, nil
}

// describe reads title and metadata from where the object says they are.
func (b backdoor) describe(ctx context.Context, seen damtest.Seen, path string, r record) (damtest.Seen, error) {
	if r.overflow != "" {
		out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.bucket, Key: aws.String(b.prefix + path + sidecar.Suffix)})
		if err != nil {
			return seen, err
		}
		defer out.Body.Close()
		if err := json.NewDecoder(out.Body).Decode(&r); err != nil {
			return seen, err
		}
	}
	seen.Title = r.Title
	return seen, json.Unmarshal(r.Metadata, &seen.Metadata)
}
