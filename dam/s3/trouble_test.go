package s3

import (
	"context"
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
	"time"

	"damsync/dam"
	"damsync/dam/s3/s3test"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// object is asset id at path with body, from memory.
func object(id, path, body string, generation int64) dam.Object {
	return dam.Object{
		Mark: dam.Mark{
			Instance: "tester", Target: "bucket", AssetID: id, Version: digest(body),
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

// stored reads an object as others see it, "" when there is none.
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

// reached is a reader that tells when so many bytes were read, and waits then.
type reached struct {
	r     io.Reader
	after int64
	tell  func()
	once  sync.Once
}

func (r *reached) Read(p []byte) (int, error) {
	if r.after <= 0 {
		r.once.Do(r.tell)
	}
	n, err := r.r.Read(p[:min(len(p), 64<<10)])
	r.after -= int64(n)
	return n, err
}

// kill -9 of the server in the middle of a body: the old object stays, and the
// next call puts the new one.
func TestServerKilled(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "killed")
	a := newAdapter(t, streamed(server, bucket))
	old, err := a.Put(t.Context(), object("A", "a.bin", "old", 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("new body ", 2<<20)
	for path, current := range map[string]dam.Remote{"a.bin": old, "b.bin": {}} {
		id := strings.ToUpper(path[:1])
		obj := object(id, path, body, 2)
		open := obj.Open
		obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
			s, err := open(ctx, from)
			if err != nil {
				return nil, err
			}
			return dam.NewSource(&reached{r: s, after: 8 << 20, tell: server.Kill}, int64(len(body)), ""), nil
		}
		_, err := a.Put(t.Context(), obj, current)
		if class := dam.Classify(err); class != dam.ClassUnknown && class != dam.ClassUnavailable {
			t.Errorf("%s: class %q, %v", path, class, err)
		}
		if _, err := a.Find(t.Context(), keyOf(id), []string{path}); dam.Classify(err) != dam.ClassUnavailable {
			t.Errorf("find without a server: %v", err)
		}
		server.Restart(t)
		now, err := a.Find(t.Context(), keyOf(id), []string{path})
		if err != nil || now.Mark != current.Mark {
			t.Errorf("%s: after the restart find gives %+v, %v; want %+v", path, now, err, current)
		}
		if _, err := a.Put(t.Context(), object(id, path, body, 2), now); err != nil {
			t.Fatal(err)
		}
		if stored(t, server, bucket, path) != body {
			t.Errorf("%s: not what was put", path)
		}
	}
}

// kill -9 between parts: the upload goes on in another process from the parts
// that are there.
func TestServerKilledBetweenParts(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "parts")
	given := with(streamed(server, bucket), map[string]any{"multipart_threshold": "5MiB", "part_size": "5MiB"})
	body := strings.Repeat("0123456789abcdef", 4*5*mib/16) + "tail"
	obj := object("A", "a.bin", body, 1)
	var session []byte
	obj.Upload.Save = func(_ context.Context, s []byte) error {
		session = append([]byte(nil), s...)
		return nil
	}
	open := obj.Open
	obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
		s, err := open(ctx, from)
		if err != nil {
			return nil, err
		}
		return dam.NewSource(&reached{r: s, after: 16 * mib, tell: server.Kill}, int64(len(body)), ""), nil
	}
	if _, err := newAdapter(t, given).Put(t.Context(), obj, dam.Remote{}); err == nil || len(session) == 0 {
		t.Fatalf("no session, or no error: %v", err)
	}
	server.Restart(t)
	var from int64 = -1
	obj.Upload.Session = session
	obj.Open = func(ctx context.Context, at dam.Checkpoint) (*dam.Source, error) {
		from = at.Offset
		return open(ctx, at)
	}
	if _, err := newAdapter(t, given).Put(t.Context(), obj, dam.Remote{}); err != nil {
		t.Fatal(err)
	}
	if stored(t, server, bucket, "a.bin") != body || from < 5*mib {
		t.Errorf("not what was put, or read again from byte %d", from)
	}
	if notes := keys(t, server, bucket, stateDir); len(notes) != 0 {
		t.Errorf("notes left: %q", notes)
	}
}

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

// through makes an adapter whose requests go through a proxy that interferes
// before it passes them on; false means that it answered itself.
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
		}
	}))
	t.Cleanup(func() { front.Close(); transport.CloseIdleConnections() })
	return newAdapter(t, with(streamed(server, bucket), options, map[string]any{"endpoint": front.URL}))
}

func TestThrottled(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "throttled")
	a := through(t, server, bucket, nil, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return true
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
		return false
	})
	_, err := a.Put(t.Context(), object("A", "a.bin", strings.Repeat("x", 3*mib), 1), dam.Remote{})
	var throttled *dam.Throttled
	if !errors.As(err, &throttled) || throttled.RetryAfter != 7*time.Second {
		t.Errorf("want throttled for 7 s: %v", err)
	}
}

// A connection that breaks after the server has done its work: the outcome is
// unknown, Find tells it, and the call repeated writes nothing.
func TestAnswerLost(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "lost")
	var puts atomic.Int32
	var lose atomic.Bool
	lose.Store(true)
	a := through(t, server, bucket, nil, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return true
		}
		puts.Add(1)
		if !lose.CompareAndSwap(true, false) {
			return true
		}
		direct := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: strings.TrimPrefix(server.Endpoint, "http://")})
		direct.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // cuts the connection
	})
	obj := object("A", "a.bin", "body", 1)
	if _, err := a.Put(t.Context(), obj, dam.Remote{}); dam.Classify(err) != dam.ClassUnknown {
		t.Fatalf("class %q: %v", dam.Classify(err), err)
	}
	now, err := a.Find(t.Context(), keyOf("A"), []string{"a.bin"})
	if err != nil || now.State != dam.Present {
		t.Fatalf("find gives %+v, %v", now, err)
	}
	if _, err := a.Put(t.Context(), obj, now); err != nil || puts.Load() != 1 {
		t.Errorf("%d PUTs, %v; want none the second time", puts.Load(), err)
	}
}

// A source that breaks off, or is not what was promised, publishes nothing, also
// when all but its last byte was sent. Without checksum it depends on the server
// to refuse a body that is too short; versitygw keeps it at times, and then it
// is found incomplete.
func TestBrokenSourcePublishesNothing(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "broken")
	body := strings.Repeat("x", 3*mib)
	for _, checksum := range []string{"sha256", "crc32c", "none"} {
		a := newAdapter(t, with(streamed(server, bucket), map[string]any{"checksum": checksum}))
		for name, source := range map[string]*dam.Source{
			"cut":           dam.NewSource(strings.NewReader(body[1:]), int64(len(body)), ""),
			"long":          dam.NewSource(strings.NewReader(body+"y"), int64(len(body)), ""),
			"other digest":  dam.NewSource(strings.NewReader(body), int64(len(body)), strings.Repeat("0", 64)),
			"empty, longer": dam.NewSource(strings.NewReader("x"), 0, ""),
		} {
			place := checksum + "/" + name
			obj := object("A", place, body, 1)
			obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) { return source, nil }
			_, err := a.Put(t.Context(), obj, dam.Remote{})
			found, findErr := a.Find(t.Context(), keyOf("A"), []string{place})
			if dam.Classify(err) != dam.ClassSource || findErr != nil || found.State == dam.Present {
				t.Errorf("checksum %s, %s: %v; then find gives %+v, %v", checksum, name, err, found, findErr)
			}
			if there := keys(t, server, bucket, place); checksum != "none" && len(there) != 0 {
				t.Errorf("%s: there is %q", name, there)
			}
		}
	}
}

// Whoever comes when, the highest generation stays at a path.
func TestWorkersRacing(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "racing")
	const n = 8
	errs := make([]error, n)
	var workers sync.WaitGroup
	for i := range n {
		a := newAdapter(t, streamed(server, bucket))
		workers.Go(func() {
			obj := object("A", "a.bin", fmt.Sprintf("body of %d", i+1), int64(i+1))
			current := dam.Remote{}
			for range 20 {
				if _, errs[i] = a.Put(t.Context(), obj, current); dam.Classify(errs[i]) != dam.ClassTemporary {
					return
				}
				if current, errs[i] = a.Find(t.Context(), keyOf("A"), []string{"a.bin"}); errs[i] != nil {
					return
				}
			}
		})
	}
	workers.Wait()
	for i, err := range errs {
		if err != nil && (!errors.Is(err, dam.ErrStale) || i == n-1) {
			t.Errorf("generation %d: %v", i+1, err)
		}
	}
	if got := stored(t, server, bucket, "a.bin"); got != fmt.Sprintf("body of %d", n) {
		t.Errorf("stays: %q", got)
	}
}

// A request fails in the middle of a call, at each in turn; the core looks and
// repeats.
func TestFailingForAMoment(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "moment")
	for n := int32(1); n < 10; n++ {
		id := fmt.Sprint("A", n)
		var left atomic.Int32
		a := through(t, server, bucket, nil, func(w http.ResponseWriter, _ *http.Request) bool {
			if left.Add(-1) == 0 {
				w.WriteHeader(http.StatusInternalServerError)
				return false
			}
			return true
		})
		r, err := a.Put(t.Context(), object(id, id+"/a.bin", "old", 1), dam.Remote{})
		if err != nil {
			t.Fatal(err)
		}
		next := object(id, id+"/b.bin", "next", 2)
		left.Store(n)
		_, err = a.Put(t.Context(), next, r)
		failed := err != nil
		left.Store(0)
		if failed {
			now, err := a.Find(t.Context(), keyOf(id), []string{next.Path, id + "/a.bin"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Put(t.Context(), next, now); err != nil {
				t.Fatal(err)
			}
		}
		if got := keys(t, server, bucket, id+"/"); fmt.Sprint(got) != fmt.Sprint([]string{next.Path}) {
			t.Errorf("failed at request %d, then there is %q", n, got)
		}
		if !failed {
			return
		}
	}
}

// A worker that is overtaken while its body is on the way, by one that only
// describes the same bytes anew, gives up before the last byte.
func TestOvertakenByMetadata(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "overtaken")
	a, other := newAdapter(t, streamed(server, bucket)), newAdapter(t, streamed(server, bucket))
	r, err := a.Put(t.Context(), object("A", "a.bin", "old", 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	late := object("A", "a.bin", "late body", 2)
	open := late.Open
	late.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
		mark := late.Mark
		mark.Generation = 3
		if _, err := other.SetMetadata(ctx, r, mark, "New", nil); err != nil {
			t.Error(err)
		}
		return open(ctx, from)
	}
	if _, err := a.Put(t.Context(), late, r); !errors.Is(err, dam.ErrStale) {
		t.Errorf("want stale: %v", err)
	}
	if stored(t, server, bucket, "a.bin") != "old" {
		t.Error("the late worker's bytes are there")
	}
}

// Full, read-only and other answers that a test server cannot be brought to.
func TestAnswersHaveClasses(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		class  error
	}{
		{http.StatusInsufficientStorage, "", dam.ErrFull},
		{http.StatusForbidden, "QuotaExceeded", dam.ErrFull},
		{http.StatusForbidden, "AccessDenied", dam.ErrAuth},
		{http.StatusForbidden, "InvalidObjectState", dam.ErrInvalid}, // a copy of what is in GLACIER
		{http.StatusBadRequest, "EntityTooLarge", dam.ErrInvalid},
		{http.StatusBadRequest, "KeyTooLongError", dam.ErrInvalid},
		{http.StatusBadRequest, "MetadataTooLarge", dam.ErrInvalid},
		{http.StatusBadRequest, "BadDigest", dam.ErrTemporary},
		{http.StatusBadGateway, "", dam.ErrTemporary},
		{http.StatusNotFound, "NoSuchBucket", dam.ErrAuth},
		{http.StatusMovedPermanently, "PermanentRedirect", dam.ErrAuth},
	} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			if c.code != "" {
				_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", c.code)
			}
		}))
		a := newAdapter(t, map[string]any{
			"bucket": "b", "endpoint": front.URL, "path_style": true, "access_key_id": "a", "secret_access_key": "s", "sign_payload": false,
		})
		if _, err := a.Put(t.Context(), object("A", "a.bin", "body", 1), dam.Remote{}); !errors.Is(err, c.class) {
			t.Errorf("%d %s: %v, want %v", c.status, c.code, err, c.class)
		}
		front.Close()
	}
}
