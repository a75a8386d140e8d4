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
)

// callingReader calls a function once, after so many bytes were read.
type callingReader struct {
	r     io.Reader
	after int64
	call  func()
	once  sync.Once
}

func (r *callingReader) Read(p []byte) (int, error) {
	if r.after <= 0 {
		r.once.Do(r.call)
	}
	n, err := r.r.Read(p[:min(len(p), 64<<10)])
	r.after -= int64(n)
	return n, err
}

// After kill -9 of the server in the middle of a body the old object is still there, and the next
// call puts the new one.
func TestServerKilledInTheMiddleOfABody(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "killed")
	a := newAdapter(t, streamed(server, bucket))
	old, err := a.Put(t.Context(), object("A", "a.bin", "old", 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("new body ", 2<<20)
	for name, c := range map[string]struct {
		id, path string
		current  dam.Remote
	}{
		"of a new object":      {"B", "b.bin", dam.Remote{}},
		"of a replaced object": {"A", "a.bin", old},
	} {
		t.Run(name, func(t *testing.T) {
			obj := object(c.id, c.path, body, 2)
			open := obj.Open
			obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
				s, err := open(ctx, from)
				if err != nil {
					return nil, err
				}
				return dam.NewSource(&callingReader{r: s, after: 8 * mib, call: server.Kill}, int64(len(body)), ""), nil
			}
			_, err := a.Put(t.Context(), obj, c.current)
			if class := dam.Classify(err); class != dam.ClassUnknown && class != dam.ClassUnavailable {
				t.Errorf("class %q, %v", class, err)
			}
			if _, err := a.Find(t.Context(), keyOf(c.id), []string{c.path}); dam.Classify(err) != dam.ClassUnavailable {
				t.Errorf("find without a server: %v", err)
			}
			server.Restart(t)
			now, err := a.Find(t.Context(), keyOf(c.id), []string{c.path})
			if err != nil || now.Mark != c.current.Mark {
				t.Errorf("after the restart find returns %+v, %v; want %+v", now, err, c.current)
			}
			if _, err := a.Put(t.Context(), object(c.id, c.path, body, 2), now); err != nil {
				t.Fatal(err)
			}
			if stored(t, server, bucket, c.path) != body {
				t.Error("stored is not what was put")
			}
		})
	}
}

// After kill -9 between parts another process resumes the upload after the parts that are stored.
func TestServerKilledBetweenParts(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "parts")
	given := inParts(server, bucket)
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
		return dam.NewSource(&callingReader{r: s, after: 16 * mib, call: server.Kill}, int64(len(body)), ""), nil
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
		t.Errorf("stored is not what was put, or the source was read from byte %d", from)
	}
	if notes := keys(t, server, bucket, stateDir); len(notes) != 0 {
		t.Errorf("notes left: %q", notes)
	}
}

// The wait that the server asks for reaches the core.
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

// When the connection breaks after the server has done its work, the outcome is unknown. Find
// shows it, and the repeated call writes nothing.
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
		t.Fatalf("find returns %+v, %v", now, err)
	}
	if _, err := a.Put(t.Context(), obj, now); err != nil || puts.Load() != 1 {
		t.Errorf("%d PUTs, %v; want none the second time", puts.Load(), err)
	}
}

// A source that ends early or is not what was promised publishes nothing, even when all but its
// last byte was sent. Without checksum this depends on the server to reject a body that is too
// short; versitygw stores it sometimes, and then it is found Incomplete.
func TestBrokenSourcePublishesNothing(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "broken")
	body := strings.Repeat("x", 3*mib)
	for _, checksum := range []string{"sha256", "crc32c", "none"} {
		a := newAdapter(t, with(streamed(server, bucket), map[string]any{"checksum": checksum}))
		for name, source := range map[string]*dam.Source{
			"one byte short":    dam.NewSource(strings.NewReader(body[1:]), int64(len(body)), ""),
			"one byte long":     dam.NewSource(strings.NewReader(body+"y"), int64(len(body)), ""),
			"another digest":    dam.NewSource(strings.NewReader(body), int64(len(body)), strings.Repeat("0", 64)),
			"promised as empty": dam.NewSource(strings.NewReader("x"), 0, ""),
		} {
			t.Run(name+" with checksum "+checksum, func(t *testing.T) {
				path := checksum + "/" + name
				obj := object("A", path, body, 1)
				obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) { return source, nil }
				_, err := a.Put(t.Context(), obj, dam.Remote{})
				found, findErr := a.Find(t.Context(), keyOf("A"), []string{path})
				if dam.Classify(err) != dam.ClassSource || findErr != nil || found.State == dam.Present {
					t.Errorf("%v; then find returns %+v, %v", err, found, findErr)
				}
				if there := keys(t, server, bucket, path); checksum != "none" && len(there) != 0 {
					t.Errorf("stored: %q", there)
				}
			})
		}
	}
}

// In whatever order workers write, the highest generation is at the path in the end.
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
		t.Errorf("stored in the end: %q", got)
	}
}

// Each request of a call fails in turn. When the core looks and repeats the call, one object is
// left.
func TestRequestFailsOnce(t *testing.T) {
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
			t.Errorf("request %d failed, then there is %q", n, got)
		}
		if !failed {
			return
		}
	}
}

// A worker stops before its last byte when another one has written newer metadata meanwhile, which
// leaves the ETag unchanged.
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
		t.Errorf("want ErrStale, got %v", err)
	}
	if stored(t, server, bucket, "a.bin") != "old" {
		t.Error("the late worker's bytes are stored")
	}
}
