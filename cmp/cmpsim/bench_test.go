package cmpsim

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"testing"
	"time"
)

// benchmarkLibrary is a million assets, and the API host in front of them.
func benchmarkLibrary(b *testing.B) (s *Simulator, get func(url.Values)) {
	b.Helper()
	s = New(Options{Seed: 1, Assets: 1_000_000})
	b.Cleanup(func() { _ = s.Close() })
	api, token := s.handlers()[0], s.accounts.newAccess()
	return s, func(query url.Values) {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v3/assets?"+query.Encode(), nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// BenchmarkKeysetWalk reads pages of 100 by modified_at__to, as a sweep does.
func BenchmarkKeysetWalk(b *testing.B) {
	s, get := benchmarkLibrary(b)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	to := s.State().NewestEdit.Unix()
	b.ResetTimer()
	for i := range b.N {
		q := url.Values{"page_size": {"100"}, "modified_at__to": {stamp(to - int64(i%10000)*9000)}}
		get(q)
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "assets/s")
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "MB-heap")
}

// BenchmarkCreatedWindow counts and reads a window of created_at, as an audit
// does: a tenth of the library.
func BenchmarkCreatedWindow(b *testing.B) {
	s, get := benchmarkLibrary(b)
	from, step := s.State().NewestEdit.Add(-librarySpan), librarySpan/10
	b.ResetTimer()
	for i := range b.N {
		at := from.Add(step * time.Duration(i%10))
		q := url.Values{"page_size": {"100"}, "created_at__from": {stamp(at.Unix())}, "created_at__to": {stamp(at.Add(step).Unix())}}
		get(q)
	}
}

// BenchmarkEdit is an editor's change in a big library.
func BenchmarkEdit(b *testing.B) {
	s, _ := benchmarkLibrary(b)
	ids := s.AssetIDs()
	b.ResetTimer()
	for i := range b.N {
		if err := s.EditTitle(ids[(i*7919)%len(ids)], "changed"); err != nil {
			b.Fatal(err)
		}
	}
}
