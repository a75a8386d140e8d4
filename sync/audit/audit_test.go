package audit_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"damsync/sync/audit"
	"damsync/sync/audit/audittest"
)

// history is a library with its mirror and the assets that editors touched during an audit.
type history struct {
	*audittest.Library
	mirror  *audittest.Mirror
	touched map[int]bool
}

// draw makes a library whose seconds hold from one asset to hundreds.
func draw(rt *rapid.T) *history {
	l := audittest.NewLibrary(20_000, 60_000)
	for range rapid.IntRange(0, 40).Draw(rt, "imports") {
		l.Sleep(rapid.Int64Range(1, 5000).Draw(rt, "gap"))
		one := rapid.Bool().Draw(rt, "one second")
		for range rapid.SampledFrom([]int{1, 2, 50, 99, 100, 101, 450}).Draw(rt, "size") {
			l.Add()
			if !one {
				l.Sleep(1)
			}
		}
	}
	l.Exclusive = rapid.Bool().Draw(rt, "exclusive")
	m := audittest.NewMirror(l)
	m.Copy()
	return &history{Library: l, mirror: m, touched: map[int]bool{}}
}

// lose deletes assets from the library and others from the mirror.
func (h *history) lose(rt *rapid.T) (gone, unseen []int) {
	if h.Made() == 0 {
		return nil, nil
	}
	for range rapid.IntRange(0, 5).Draw(rt, "losses") {
		i := rapid.IntRange(0, h.Made()-1).Draw(rt, "place")
		for j := i; j < min(h.Made(), i+rapid.SampledFrom([]int{1, 1, 30, 300}).Draw(rt, "run")); j++ {
			if h.Alive(j) && h.mirror.Alive(j) {
				h.Delete(j)
				gone = append(gone, j)
			}
		}
	}
	for range rapid.IntRange(0, 3).Draw(rt, "unseen") {
		if i := rapid.IntRange(0, h.Made()-1).Draw(rt, "place"); h.Alive(i) && h.mirror.Alive(i) {
			h.mirror.Put(i, false)
			unseen = append(unseen, i)
		}
	}
	return gone, unseen
}

func (h *history) auditor() audit.Auditor { return audit.Auditor{Library: h, Mirror: h.mirror} }

// In a library that does not change, an audit finds every difference and nothing else. Where additions and deletions in
// one window cancel, turns find them.
func TestEveryDifferenceIsFound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := draw(rt)
		gone, unseen := h.lose(rt)
		if h.Len() == 0 {
			return // nothing is inferred from an empty library
		}
		a := h.auditor()
		report, err := a.Whole(rt.Context())
		if err != nil || !report.Complete {
			rt.Fatalf("%+v, %v", report, err)
		}
		found := map[int]bool{}
		for _, id := range report.Suspects {
			found[audittest.Place(id)] = true
		}
		turns, rounds := []audit.Turn{{Window: audit.Window{}}}, 0
		for !turns[0].Done {
			var r audit.Report
			a := h.auditor()
			a.Bounds = report.Bounds
			if turns, r, err = a.Windows(rt.Context(), turns); err != nil {
				rt.Fatal(err)
			}
			for _, id := range r.Suspects {
				found[audittest.Place(id)] = true
			}
			if rounds++; rounds > h.Made()/audit.RowsATurn+2 {
				rt.Fatalf("not read to the end in %d turns", rounds)
			}
		}
		for _, i := range gone {
			if !found[i] {
				rt.Fatalf("asset %d was deleted and is no suspect: %+v", i, report)
			}
		}
		for i := range found {
			if h.Alive(i) {
				rt.Fatalf("asset %d exists and is a suspect", i)
			}
		}
		for _, i := range unseen {
			if !h.mirror.Alive(i) {
				rt.Fatalf("asset %d is not in the mirror", i)
			}
		}
	})
}

// No edit during an audit makes a suspect of an asset that was not touched.
func TestEditorsMakeNoSuspects(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := draw(rt)
		gone, unseen := h.lose(rt)
		mean := rapid.IntRange(1, 10).Draw(rt, "requests between edits")
		h.Before = func() {
			h.Sleep(1)
			if rapid.IntRange(1, mean).Draw(rt, "edit") > 1 || h.Made() == 0 {
				return
			}
			i := rapid.IntRange(0, h.Made()-1).Draw(rt, "place")
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				h.touched[h.Add()] = true
			case 1:
				if h.Alive(i) {
					h.touched[i] = true
					h.Edit(i)
				}
			default:
				h.touched[i] = true
				h.Delete(i)
			}
		}
		a := h.auditor()
		report, err := a.Whole(rt.Context())
		if errors.Is(err, audit.ErrUncountable) {
			if h.Len() > 100 {
				rt.Fatalf("%+v, %v", report, err)
			}
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		found := map[int]bool{}
		for _, id := range report.Suspects {
			i := audittest.Place(id)
			found[i] = true
			if h.Alive(i) && !h.touched[i] {
				rt.Fatalf("asset %d exists, was not touched, and is a suspect", i)
			}
		}
		for _, i := range gone {
			if report.Complete && !found[i] && len(h.touched) == 0 && len(unseen) == 0 {
				rt.Fatalf("asset %d was deleted and a complete audit did not find it", i)
			}
		}
	})
}

// An audit detects wrong counts with few requests.
func TestWrongCountsAreDetected(t *testing.T) {
	for name, total := range map[string]func(int) int{
		"missing":  func(int) int { return -1 },
		"too low":  func(n int) int { return n / 200 },
		"absurd":   func(int) int { return 1 << 30 },
		"constant": func(int) int { return 2500 },
		"doubled":  func(n int) int { return n + n*n/3000 },
		"capped":   func(n int) int { return min(n, 500) },
	} {
		t.Run(name, func(t *testing.T) {
			l := audittest.NewLibrary(3000, 6000)
			for range 3000 {
				l.Sleep(60)
				l.Add()
			}
			m := audittest.NewMirror(l)
			m.Copy()
			l.Delete(1234)
			l.Total = total
			a := audit.Auditor{Library: l, Mirror: m}
			report, err := a.Whole(t.Context())
			if !errors.Is(err, audit.ErrUncountable) || report.Complete || report.Requests > 60 {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

// Count finds out without a mirror what an audit would: whether the counts can be used.
func TestCountNeedsNoMirror(t *testing.T) {
	for name, test := range map[string]struct {
		total     func(int) int
		unbounded bool
		countable bool
	}{
		"sound counts":           {total: func(n int) int { return n }, countable: true},
		"no total_count":         {total: func(int) int { return -1 }},
		"a capped total_count":   {total: func(n int) int { return min(n, 500) }},
		"a constant total_count": {total: func(int) int { return 2500 }},
		"an ignored filter":      {total: func(n int) int { return n }, unbounded: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := audittest.NewLibrary(3000, 6000)
			for range 3000 {
				l.Sleep(60)
				l.Add()
			}
			for i := range 100 { // the newest page shows assets of every age
				l.Edit(i * 30)
			}
			l.Total, l.Unbounded = test.total, test.unbounded
			n, err := audit.Count(t.Context(), l)
			if countable := err == nil; countable != test.countable || countable && n != 3000 || !countable && !errors.Is(err, audit.ErrUncountable) {
				t.Errorf("%d, %v", n, err)
			}
			if l.Requests > 8 {
				t.Errorf("%d requests", l.Requests)
			}
		})
	}
}

// An audit detects an ignored filter before it infers anything.
func TestIgnoredFilterIsDetected(t *testing.T) {
	l := audittest.NewLibrary(3000, 6000)
	for range 3000 {
		l.Sleep(60)
		l.Add()
	}
	m := audittest.NewMirror(l)
	m.Copy()
	l.Delete(1234)
	l.Unbounded = true
	a := audit.Auditor{Library: l, Mirror: m}
	report, err := a.Whole(t.Context())
	if !errors.Is(err, audit.ErrUncountable) || !strings.Contains(err.Error(), "created_at") || len(report.Suspects) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// A page with fewer rows than its count is requested again.
func TestShortPageIsRequestedAgain(t *testing.T) {
	l := audittest.NewLibrary(900, 2000)
	for range 900 {
		l.Sleep(60)
		l.Add()
	}
	for at := 2; at < 12; at++ {
		m := audittest.NewMirror(l)
		m.Copy()
		l.Delete(50)
		l.Requests = 0
		a := audit.Auditor{Library: l, Mirror: m, Bounds: audit.Bounds{Known: true}}
		l.Total = func(n int) int {
			if l.Requests == at {
				return n + 5 // more than it lists
			}
			return n
		}
		report, err := a.Whole(t.Context())
		if err != nil || !slices.Equal(report.Suspects, []string{audittest.ID(50)}) {
			t.Errorf("at %d: %+v, %v", at, report, err)
		}
		l.Return(50)
	}
}
