package s3

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"damsync/dam"
	"damsync/dam/s3/s3test"
	"damsync/dam/sidecar"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// states lists the objects of an adapter by path.
func states(t *testing.T, a *Adapter) (map[string]dam.State, error) {
	t.Helper()
	all := map[string]dam.State{}
	for r, err := range a.List(t.Context()) {
		if err != nil {
			return all, err
		}
		all[r.Path] = r.State
	}
	return all, nil
}

// A listing repeats a request that fails once, because its caller cannot.
func TestListingRepeatsRequests(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "moment")
	var failed sync.Map
	var listing atomic.Bool
	a := through(t, server, bucket, nil, func(w http.ResponseWriter, r *http.Request) bool {
		if _, again := failed.LoadOrStore(r.Method+r.URL.String(), true); again || !listing.Load() {
			return true
		}
		refuse(w, http.StatusServiceUnavailable, "")
		return false
	})
	for _, id := range []string{"A", "B", "C"} {
		if _, err := a.Put(t.Context(), object(id, id+".bin", "body", 1), dam.Remote{}); err != nil {
			t.Fatal(err)
		}
	}
	listing.Store(true)
	if all, err := states(t, a); err != nil || len(all) != 3 {
		t.Errorf("listed %v, %v", all, err)
	}
}

// An object that the server does not show is foreign, and only that one. When the server shows no
// object, the credentials are wrong.
func TestRefusedObject(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "refused")
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden} {
		var all atomic.Bool
		hidden := "B.bin"
		a := through(t, server, bucket, map[string]any{"prefix": fmt.Sprint(status)}, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead && (all.Load() || strings.HasSuffix(r.URL.Path, hidden)) || r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, hidden) {
				refuse(w, status, "")
				return false
			}
			return true
		})
		long := object("C", "C.bin", "body", 1)
		long.Metadata["description"] = strings.Repeat("x", 3000)
		for _, obj := range []dam.Object{object("A", "A.bin", "body", 1), object("B", "B.bin", "body", 1), long} {
			if _, err := a.Put(t.Context(), obj, dam.Remote{}); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(fmt.Sprintf("%d for one object makes it foreign", status), func(t *testing.T) {
			want := map[string]dam.State{"A.bin": dam.Present, "B.bin": dam.Foreign, "C.bin": dam.Present}
			if got, err := states(t, a); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("listed %v, %v", got, err)
			}
			_, err := a.Find(t.Context(), keyOf("B"), []string{"B.bin"})
			_, readErr := a.ReadBack(t.Context(), dam.Remote{Path: "B.bin"})
			if dam.Classify(err) != dam.ClassForeign || dam.Classify(readErr) != dam.ClassForeign {
				t.Errorf("find: %v; read back: %v", err, readErr)
			}
		})
		t.Run(fmt.Sprintf("%d for a sidecar makes its object incomplete", status), func(t *testing.T) {
			hidden = "C.bin" + sidecar.Suffix
			if r, err := a.Find(t.Context(), keyOf("C"), []string{"C.bin"}); err != nil || r.State != dam.Incomplete {
				t.Errorf("state %s, %v", r.State, err)
			}
		})
		t.Run(fmt.Sprintf("%d for all objects is an error", status), func(t *testing.T) {
			all.Store(true)
			_, err := states(t, a)
			_, findErr := a.Find(t.Context(), keyOf("A"), []string{"A.bin"})
			if dam.Classify(err) != dam.ClassAuth || dam.Classify(findErr) != dam.ClassAuth {
				t.Errorf("list: %v; find: %v", err, findErr)
			}
			if status == http.StatusBadRequest && fmt.Sprint(needs(findErr)) != fmt.Sprint([]dam.Need{dam.NeedCredentials}) {
				t.Errorf("advice: %v", findErr)
			}
			if checkErr := a.Check(t.Context(), false); dam.Classify(checkErr) != dam.ClassAuth {
				t.Errorf("check: %v", checkErr)
			}
		})
	}
}

// A connection that times out makes the target unavailable. It is not the end of the caller's
// context, although the error is context.DeadlineExceeded too.
func TestConnectionTimesOut(t *testing.T) {
	a := newAdapter(t, map[string]any{
		"bucket": "b", "endpoint": "http://127.0.0.1:9", "path_style": true, "access_key_id": "a", "secret_access_key": "s", "sign_payload": false,
	})
	a.client.conn.intercept = func(s3.HTTPClient) s3.HTTPClient {
		return doer(func(req *http.Request) (*http.Response, error) {
			dialer := net.Dialer{Timeout: 1}
			c, err := dialer.DialContext(req.Context(), "tcp", "127.0.0.1:9")
			if err == nil {
				_ = c.Close()
			}
			return nil, errors.Join(err, closeBody(req))
		})
	}
	_, err := a.Put(t.Context(), object("A", "a.bin", "body", 1), dam.Remote{})
	if dam.Classify(err) != dam.ClassUnavailable {
		t.Errorf("class %q: %v", dam.Classify(err), err)
	}
}

// Where there are no credentials, the error says what to do.
func TestNoCredentials(t *testing.T) {
	server := s3test.Start(t)
	given := server.Options(server.Bucket(t, "nobody"))
	delete(given, "access_key_id")
	delete(given, "secret_access_key")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true", "HOME": t.TempDir(),
		"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent",
	} {
		t.Setenv(name, value)
	}
	err := newAdapter(t, given).Check(t.Context(), false)
	if fmt.Sprint(needs(err)) != fmt.Sprint([]dam.Need{dam.NeedCredentials}) || !strings.Contains(fmt.Sprint(err), "access_key_id") {
		t.Errorf("no advice: %v", err)
	}
}

// Rejected credentials are read again, so that a change of them needs no restart.
func TestRotatedCredentials(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "rotated")
	file, tokens := filepath.Join(t.TempDir(), "secret"), filepath.Join(t.TempDir(), "token")
	save := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(file, "old")
	given := streamed(server, bucket)
	delete(given, "secret_access_key")
	given["secret_access_key_file"] = file
	a := newAdapter(t, given)
	for range 2 {
		if _, err := a.Put(t.Context(), object("A", "a.bin", "body", 1), dam.Remote{}); dam.Classify(err) != dam.ClassAuth {
			t.Fatalf("with an old secret: %v", err)
		}
	}
	save(file, s3test.SecretKey)
	if _, err := a.Put(t.Context(), object("A", "a.bin", "body", 1), dam.Remote{}); err != nil {
		t.Errorf("with the new secret: %v", err)
	}

	save(tokens, "expired")
	given["session_token_file"] = tokens
	a = newAdapter(t, given)
	var sent atomic.Value // requests go out together
	a.client.conn.intercept = func(s3.HTTPClient) s3.HTTPClient {
		return doer(func(req *http.Request) (*http.Response, error) {
			sent.Store(req.Header.Get("X-Amz-Security-Token"))
			return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}, closeBody(req)
		})
	}
	for _, token := range []string{"expired", "renewed"} {
		save(tokens, token)
		_, err := a.Find(t.Context(), keyOf("A"), []string{"a.bin"})
		if sent.Load() != token || dam.Classify(err) != dam.ClassAuth {
			t.Errorf("sent token %q, want %q; error: %v", sent.Load(), token, err)
		}
	}
}
