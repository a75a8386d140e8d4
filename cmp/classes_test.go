package cmp_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
)

// wire answers requests from a handler in the calling goroutine, so that fake time
// runs. It truncates the body where the handler panics.
type wire struct{ handle http.HandlerFunc }

func (w wire) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	rec := httptest.NewRecorder()
	defer func() {
		if recover() != nil {
			resp = rec.Result()
			resp.Body = io.NopCloser(io.MultiReader(resp.Body, cut{}))
		}
	}()
	w.handle(rec, req)
	return rec.Result(), nil
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func offline(t *testing.T, handle http.HandlerFunc) fixture {
	t.Helper()
	f := fixture{grants: &openGrants{}, tokens: &numberedTokens{}}
	client, err := cmp.New(cmp.Options{APIURL: "http://api.test/v3", Tokens: f.tokens, Grants: f.grants, Transport: wire{handle}})
	if err != nil {
		t.Fatal(err)
	}
	f.Client = client
	return f
}

func TestClassOfEveryAnswer(t *testing.T) {
	all := []error{
		cmp.ErrNotFound, cmp.ErrForbidden, cmp.ErrAuth, cmp.ErrBadRequest, cmp.ErrThrottled,
		cmp.ErrServer, cmp.ErrBadResponse, cmp.ErrExpiredURL, cmp.ErrForeignHost,
	}
	const html = "<html><body>404 Not Found</body></html>"
	for _, c := range []struct {
		name      string
		handle    http.HandlerFunc
		want      error
		temporary bool
		requests  int // grants taken: attempts made
	}{
		{"400", answer(400, `{"message":"Unsupported arguments: a"}`), cmp.ErrBadRequest, false, 1},
		{"401 twice", answer(401, `{"message":"Unauthorized"}`), cmp.ErrAuth, false, 2},
		{"403", answer(403, `{"message":"no"}`), cmp.ErrForbidden, false, 1},
		{"404 in JSON", answer(404, `{"message":"Resource not found"}`), cmp.ErrNotFound, false, 1},
		{"404 in HTML", answer(404, html), cmp.ErrBadResponse, true, 5},
		{"404 empty", answer(404, ""), cmp.ErrBareNotFound, false, 1},
		{"404 in plain text", answer(404, "404 page not found\n"), cmp.ErrBareNotFound, false, 1},
		{"410 in JSON", answer(410, `{"message":"Gone"}`), cmp.ErrNotFound, false, 1},
		{"410 in HTML", answer(410, html), cmp.ErrBadResponse, true, 5},
		{"404 half a JSON object", answer(404, `{"message":`), cmp.ErrBadResponse, true, 5},
		{"422", answer(422, `{"message":"cannot"}`), cmp.ErrBadRequest, false, 1},
		{"429", answer(429, ""), cmp.ErrThrottled, true, 5},
		{"500", answer(500, html), cmp.ErrServer, true, 5},
		{"503", answer(503, ""), cmp.ErrServer, true, 5},
		{"302", answer(302, "", "Location", "http://api.test/v3/assets"), cmp.ErrBadResponse, true, 1},
		{"HTML with 200", answer(200, html), cmp.ErrBadResponse, true, 5},
		{"empty 200", answer(200, ""), cmp.ErrBadResponse, true, 5},
		{"no data", answer(200, `{"pagination":{"next":null}}`), cmp.ErrBadResponse, true, 5},
		{"data null", answer(200, `{"data":null,"pagination":{"next":null}}`), cmp.ErrBadResponse, true, 5},
		{"data no array", answer(200, `{"data":{},"pagination":{"next":null}}`), cmp.ErrBadResponse, true, 5},
		{"an array", answer(200, `[]`), cmp.ErrBadResponse, true, 5},
		{"half a page", answer(200, page(row("a", ""))[:200]), cmp.ErrBadResponse, true, 5},
		{"negative total", answer(200, `{"data":[],"total_count":-3}`), cmp.ErrBadResponse, true, 5},
		{"cut body", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, emptyPage[:10])
			panic(http.ErrAbortHandler)
		}, nil, true, 5},
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}, nil, true, 5},
		{"over the size limit", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(endless{}, 33<<20))
		}, cmp.ErrBadResponse, true, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := offline(t, c.handle)
				_, err := f.Assets(t.Context(), cmp.AssetQuery{})
				if err == nil {
					t.Fatal("no error")
				}
				for _, class := range all {
					if errors.Is(err, class) != (class == c.want) {
						t.Errorf("errors.Is(%v, %v) = %v", err, class, !errors.Is(err, c.want))
					}
				}
				if errors.Is(err, cmp.ErrTemporary) != c.temporary {
					t.Errorf("temporary is %v: %v", !c.temporary, err)
				}
				if n := f.grants.count(); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			})
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAPIErrorHasStatusAndMessage(t *testing.T) {
	f := newFixture(t, answer(400, `{"message":"Unsupported arguments: a\u0007,b","errors":{"x":1}}`))
	_, err := f.Assets(t.Context(), cmp.AssetQuery{})
	var api *cmp.APIError
	if !errors.As(err, &api) || api.Status != 400 || api.Message != "Unsupported arguments: a ,b" || api.Op != "list assets" {
		t.Errorf("got %#v", err)
	}
}

func TestRecoversFromEachFault(t *testing.T) {
	for name, fault := range map[string]http.HandlerFunc{
		"500":  answer(500, "boom"),
		"html": answer(200, "<html>"),
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "70")
			_, _ = io.WriteString(w, emptyPage[:10])
			panic(http.ErrAbortHandler)
		},
		"dropped": func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
		"cut gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, emptyPage)
			_ = z.Flush() // the trailer is missing
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for a real back-off
			f := newFixture(t, script(fault, answer(200, page(row("a", "")))))
			got, err := f.Assets(t.Context(), cmp.AssetQuery{})
			if err != nil || len(got.Items) != 1 {
				t.Fatalf("got %d items, %v", len(got.Items), err)
			}
			if n := f.grants.count(); n != 2 {
				t.Errorf("%d grants for 2 requests", n)
			}
			if seen := *f.seen; len(seen) != 2 || seen[1].Attempt != 2 || seen[1].Status != 200 || seen[1].Path != "/v3/assets" {
				t.Errorf("observed %+v", seen)
			}
		})
	}
}

func TestGzipIsDecompressed(t *testing.T) {
	f := newFixture(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		_, _ = io.WriteString(z, page(row("a", "")))
	})
	if got, err := f.Assets(t.Context(), cmp.AssetQuery{}); err != nil || len(got.Items) != 1 {
		t.Fatalf("got %d items, %v", len(got.Items), err)
	}
}

func TestThrottlingPausesAllCallers(t *testing.T) {
	for _, c := range []struct {
		name    string
		header  []string
		status  int
		failing int // answers before the good one
		want    []time.Duration
	}{
		{"seconds", []string{"Retry-After", "7"}, 429, 1, []time.Duration{7 * time.Second}},
		{"date", []string{"Retry-After", "Sat, 01 Jan 2000 00:00:09 GMT"}, 429, 1, []time.Duration{9 * time.Second}},
		{"date by the server's clock", []string{"Retry-After", "Thu, 01 Jan 2015 00:00:09 GMT", "Date", "Thu, 01 Jan 2015 00:00:00 GMT"}, 429, 1, []time.Duration{9 * time.Second}},
		{"past date", []string{"Retry-After", "Sat, 01 Jan 1999 00:00:09 GMT"}, 429, 1, []time.Duration{time.Second}},
		{"503", []string{"Retry-After", "3"}, 503, 1, []time.Duration{3 * time.Second}},
		{"503 without", nil, 503, 1, nil},
		{"nonsense", []string{"Retry-After", "soon"}, 429, 1, []time.Duration{time.Second}},
		{"none, growing", nil, 429, 3, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the bubble's clock starts at 2000-01-01
				handlers := []http.HandlerFunc{}
				for range c.failing {
					handlers = append(handlers, answer(c.status, "", c.header...))
				}
				f := offline(t, script(append(handlers, answer(200, emptyPage))...))
				start := time.Now()
				if _, err := f.Assets(t.Context(), cmp.AssetQuery{}); err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(f.grants.pauses) != fmt.Sprint(c.want) {
					t.Errorf("pauses %v, want %v", f.grants.pauses, c.want)
				}
				if lowered := f.grants.throttled > 0; lowered != (c.status == http.StatusTooManyRequests) {
					t.Errorf("%d lowers the pace: %v", c.status, lowered)
				}
				if len(c.want) > 0 && time.Since(start) < c.want[0] {
					t.Errorf("asked again after %s", time.Since(start))
				}
			})
		})
	}
}

// A call does not wait for a pause of an hour: it returns, and all callers are paused.
func TestLongPauseReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := offline(t, answer(429, "", "Retry-After", "3600"))
		start := time.Now()
		_, err := f.Assets(t.Context(), cmp.AssetQuery{})
		if !errors.Is(err, cmp.ErrThrottled) || time.Since(start) > time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		if fmt.Sprint(f.grants.pauses) != "[1h0m0s]" {
			t.Errorf("pauses %v", f.grants.pauses)
		}
	})
}

// Ten requests that are throttled together lengthen the pause by one step, not ten.
func TestThrottledTogetherIsOneStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := offline(t, script(append(repeat(answer(429, ""), 10), answer(200, emptyPage))...))
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := f.Assets(t.Context(), cmp.AssetQuery{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, p := range f.grants.pauses {
			if p > time.Second {
				t.Errorf("a pause of %s", p)
			}
		}
	})
}

func repeat(h http.HandlerFunc, n int) []http.HandlerFunc {
	out := make([]http.HandlerFunc, n)
	for i := range out {
		out[i] = h
	}
	return out
}

func TestDeferredReachesTheCaller(t *testing.T) {
	f := newFixture(t, answer(200, emptyPage))
	f.grants.err = &grant.Deferred{Until: time.Unix(1, 0), Reason: "month"}
	_, err := f.Assets(t.Context(), cmp.AssetQuery{})
	var deferred *grant.Deferred
	if !errors.As(err, &deferred) || errors.Is(err, cmp.ErrTemporary) {
		t.Errorf("got %v", err)
	}
}

func TestCanceledCallStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := offline(t, answer(500, ""))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := f.Assets(ctx, cmp.AssetQuery{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestGrantIsOfTheContextsClass(t *testing.T) {
	f := newFixture(t, answer(200, emptyPage))
	if _, err := f.Assets(grant.WithClass(t.Context(), grant.Audit), cmp.AssetQuery{}); err != nil {
		t.Fatal(err)
	}
	if len(f.grants.taken) != 1 || f.grants.taken[0] != grant.Audit {
		t.Errorf("took %v", f.grants.taken)
	}
}

// When a kept-alive connection breaks, net/http would send a GET again by itself. That
// would be one more arrival at the API without a grant.
func TestEveryArrivalHasAGrant(t *testing.T) {
	var arrivals atomic.Int32
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if arrivals.Add(1) == 2 { // read, then dropped without an answer
			panic(http.ErrAbortHandler)
		}
		answer(200, emptyPage)(w, r)
	}, func(o *cmp.Options) { o.Transport = nil })
	for range 2 {
		if _, err := f.Assets(t.Context(), cmp.AssetQuery{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.grants.count(); n != int(arrivals.Load()) || n != 3 {
		t.Errorf("%d grants for %d arrivals", n, arrivals.Load())
	}
	if seen := len(*f.seen); seen != 3 {
		t.Errorf("%d requests were observed", seen)
	}
}

// Requested is the time of the attempt that was answered, not of the call.
func TestRequestedIsTheAnsweredAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := offline(t, script(answer(429, "", "Retry-After", "50"), answer(200, emptyPage)))
		start := time.Now()
		page, err := f.Assets(t.Context(), cmp.AssetQuery{})
		if err != nil || page.Requested.Sub(start) < 50*time.Second {
			t.Errorf("requested %s after the call, %v", page.Requested.Sub(start), err)
		}
	})
}
