package cmpsim

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"testing"
	"time"
)

func benchmarkLibrary(b *testing.B, assets int) (*Simulator, string) {
	b.Helper()
	s := New(Options{Seed: 1, Assets: assets})
	b.Cleanup(func() { _ = s.Close() })
	return s, s.accounts.newAccess()
}

// BenchmarkKeysetWalk reads pages of 100 by modified_at__to, as a sweep does.
func BenchmarkKeysetWalk(b *testing.B) {
	s, token := benchmarkLibrary(b, 1_000_000)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	to := epoch(s).Unix()
	b.ResetTimer()
	for i := range b.N {
		q := url.Values{"page_size": {"100"}, "modified_at__to": {stamp(to - int64(i%10000)*9000)}}
		serveOnce(b, s, token, "/v3/assets?"+q.Encode())
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "assets/s")
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB-heap")
}

// BenchmarkCreatedWindow counts and reads a window of created_at, as an audit
// does: a tenth of the library.
func BenchmarkCreatedWindow(b *testing.B) {
	s, token := benchmarkLibrary(b, 1_000_000)
	from, step := epoch(s).Add(-librarySpan), librarySpan/10
	b.ResetTimer()
	for i := range b.N {
		at := from.Add(step * time.Duration(i%10))
		q := url.Values{"page_size": {"100"}, "created_at__from": {stamp(at.Unix())}, "created_at__to": {stamp(at.Add(step).Unix())}}
		serveOnce(b, s, token, "/v3/assets?"+q.Encode())
	}
}

// BenchmarkEdit is an editor's change in a big library.
func BenchmarkEdit(b *testing.B) {
	s, _ := benchmarkLibrary(b, 1_000_000)
	ids := s.AssetIDs()
	b.ResetTimer()
	for i := range b.N {
		if err := s.EditTitle(ids[(i*7919)%len(ids)], "changed"); err != nil {
			b.Fatal(err)
		}
	}
}

func epoch(s *Simulator) time.Time { return s.opts.Now().UTC().Truncate(24 * time.Hour) }

func serveOnce(b *testing.B, s *Simulator, token, path string) {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
}
