package walk

import (
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/cmp"
	"damsync/internal/library"
)

// shelf is a library in memory that changes before each request.
type shelf struct {
	Reader    // only Assets is called
	rows      []cmp.Item
	tick      time.Duration // the resolution of modified_at
	exclusive bool
	totals    bool
	churn     func()
	requests  int
	touched   map[string]bool
	clock     time.Time
	lies      map[int]func(*cmp.AssetPage) // by number of the request, from 1
}

func (l *shelf) Assets(_ context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	if l.churn != nil {
		l.churn()
	}
	l.requests++
	byTime := func(a, b cmp.Item) int {
		return stdcmp.Or(b.ModifiedAt.Compare(a.ModifiedAt), strings.Compare(a.ID, b.ID))
	}
	if !slices.IsSortedFunc(l.rows, byTime) {
		slices.SortFunc(l.rows, byTime)
	}
	var match []cmp.Item
	for _, it := range l.rows {
		if l.within(it.ModifiedAt, q) {
			match = append(match, it)
		}
	}
	page := cmp.AssetPage{Total: len(match)}
	from := min(q.Offset, len(match))
	to := min(from+q.PageSize, len(match))
	page.Items, page.More = slices.Clone(match[from:to]), to < len(match)
	if !l.totals {
		page.Total = -1
	}
	if lie := l.lies[l.requests]; lie != nil {
		lie(&page)
	}
	return page, nil
}

func (l *shelf) within(at time.Time, q cmp.AssetQuery) bool {
	from, to := at.Compare(q.ModifiedFrom), at.Compare(q.ModifiedTo)
	if l.exclusive {
		return (q.ModifiedFrom.IsZero() || from > 0) && (q.ModifiedTo.IsZero() || to < 0)
	}
	return (q.ModifiedFrom.IsZero() || from >= 0) && (q.ModifiedTo.IsZero() || to <= 0)
}

// touch moves the row to the top, as an edit does.
func (l *shelf) touch(i int) {
	l.touched[l.rows[i].ID] = true
	l.rows[i].ModifiedAt = l.clock
}

func (l *shelf) drop(from, to int) {
	for _, it := range l.rows[from:to] {
		l.touched[it.ID] = true
	}
	l.rows = slices.Delete(l.rows, from, to)
}

func (l *shelf) add(id string, at time.Time) {
	l.rows = append(l.rows, cmp.Item{Asset: library.Asset{ID: id, ModifiedAt: at}})
}

// drawShelf draws a library whose seconds hold from one row to thousands.
func drawShelf(rt *rapid.T) *shelf {
	l := &shelf{
		tick:      rapid.SampledFrom([]time.Duration{time.Second, time.Second, time.Millisecond}).Draw(rt, "tick"),
		exclusive: rapid.Bool().Draw(rt, "exclusive"), totals: true, touched: map[string]bool{},
		clock: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC),
	}
	at := l.clock.Add(-time.Hour)
	if l.tick < time.Second {
		at = at.Add(500 * time.Millisecond) // so that fractions show from the first page on
	}
	for i := range rapid.IntRange(0, 14).Draw(rt, "groups") {
		size := rapid.SampledFrom([]int{1, 1, 1, 2, 30, 99, 100, 101, 250, 1500}).Draw(rt, "size")
		for n := range size {
			l.add(fmt.Sprintf("%03d-%04d", i, n), at)
		}
		at = at.Add(-time.Duration(rapid.SampledFrom([]int{1, 1, 2, 60}).Draw(rt, "gap")) * l.tick)
	}
	return l
}

// drawChurn makes an editor change the library while it is read.
func drawChurn(rt *rapid.T, l *shelf) {
	mean := rapid.IntRange(1, 8).Draw(rt, "requests between edits")
	l.churn = func() {
		l.clock = l.clock.Add(time.Second)
		if rapid.IntRange(1, mean).Draw(rt, "edit") != 1 {
			return
		}
		n := len(l.rows)
		what := rapid.IntRange(0, 3).Draw(rt, "what")
		if n == 0 || what == 0 {
			l.touched[fmt.Sprint("new ", l.requests)] = true
			l.add(fmt.Sprint("new ", l.requests), l.clock)
			return
		}
		i := rapid.IntRange(0, n-1).Draw(rt, "row")
		switch what {
		case 1:
			l.touch(i)
		case 2:
			l.drop(i, i+1)
		default:
			l.drop(i, min(n, i+rapid.SampledFrom([]int{2, 50, 300}).Draw(rt, "bulk")))
		}
	}
}

// walked is the result of a whole walk: the rows it found, and the suspects, which the mirror had at the start and the
// walk did not find.
type walked struct {
	seen, suspects map[string]bool
	requests       int
}

func walkAll(t interface {
	Helper()
	Fatalf(string, ...any)
}, lib Reader, mirror []cmp.Item,
) walked {
	t.Helper()
	out := walked{seen: map[string]bool{}, suspects: map[string]bool{}}
	w, c := Walker{Library: lib}, Cursor{}
	for unstable := 0; ; {
		s, next, err := w.Step(context.Background(), c)
		out.requests += s.Requests
		if errors.Is(err, ErrUnstable) && unstable < 50 {
			unstable++
			continue
		}
		if err != nil {
			t.Fatalf("step from %+v: %v", c, err)
		}
		for _, it := range s.Items {
			out.seen[it.ID] = true
		}
		if s.Complete {
			missing(s, mirror, out.suspects)
		}
		if s.End {
			return out
		}
		c = next
	}
}

// missing implements the query of store.Missing.
func missing(s Span, mirror []cmp.Item, into map[string]bool) {
	seen := make(map[string]bool, len(s.Seen))
	for _, id := range s.Seen {
		seen[id] = true
	}
	for _, it := range mirror {
		low := it.ModifiedAt.After(s.Above) || s.Inclusive && it.ModifiedAt.Equal(s.Above)
		high := s.UpTo.IsZero() || !it.ModifiedAt.After(s.UpTo)
		if low && high && !seen[it.ID] {
			into[it.ID] = true
		}
	}
}

// No edit during a walk hides an untouched asset or makes it a suspect.
func TestWalkFindsEveryUntouchedAsset(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := drawShelf(rt)
		mirror := slices.Clone(l.rows)
		drawChurn(rt, l)
		got := walkAll(rt, l, mirror)
		for _, it := range l.rows {
			if !l.touched[it.ID] && !got.seen[it.ID] {
				rt.Fatalf("%s of %s is missed", it.ID, it.ModifiedAt)
			}
		}
		for id := range got.suspects {
			if !l.touched[id] {
				rt.Fatalf("%s exists and was not touched, but is a suspect", id)
			}
		}
	})
}

// A walk of an unchanging library finds every asset and every deletion. It costs a request for 97 assets and a few for
// each second that many assets share.
func TestWalkOfAnUnchangingLibrary(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := drawShelf(rt)
		l.totals = rapid.Bool().Draw(rt, "totals")
		mirror := slices.Clone(l.rows)
		gone := map[string]bool{}
		for range rapid.IntRange(0, min(5, len(l.rows))).Draw(rt, "deleted") {
			i := rapid.IntRange(0, len(l.rows)-1).Draw(rt, "row")
			gone[l.rows[i].ID] = true
			l.drop(i, i+1)
		}
		got := walkAll(rt, l, mirror)
		if len(got.seen) != len(l.rows) {
			rt.Fatalf("%d of %d assets found", len(got.seen), len(l.rows))
		}
		for _, it := range mirror {
			if gone[it.ID] != got.suspects[it.ID] {
				rt.Fatalf("%s: deleted %t, missed %t", it.ID, gone[it.ID], got.suspects[it.ID])
			}
		}
		if limit := requestLimit(l); float64(got.requests) > limit {
			rt.Fatalf("%d requests for %d assets, want at most %.1f", got.requests, len(l.rows), limit)
		}
	})
}

func requestLimit(l *shelf) float64 {
	perSecond := map[time.Time]int{}
	for _, it := range l.rows {
		perSecond[it.ModifiedAt]++
	}
	limit := 1.05*float64(len(l.rows))/97 + 5 // the kind of bounds, and an end that is empty, cost a few
	for _, n := range perSecond {
		switch {
		case n > PageSize:
			limit += float64(n)/PageSize + 6
		case n > 1:
			limit += 2 * float64(n) / PageSize
		}
	}
	return limit
}

// A single wrong answer neither ends a walk nor changes its queries.
func TestWalkSurvivesOneWrongAnswer(t *testing.T) {
	lies := map[string]func(*cmp.AssetPage){
		"empty":       func(p *cmp.AssetPage) { *p = cmp.AssetPage{} },
		"half a page": func(p *cmp.AssetPage) { p.Items = p.Items[:len(p.Items)/2] },
	}
	for name, lie := range lies {
		for at := 1; at <= 12; at++ {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				l := &shelf{totals: true, touched: map[string]bool{}, lies: map[int]func(*cmp.AssetPage){at: lie}}
				start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
				for i := range 150 {
					l.add(fmt.Sprintf("a%03d", i), start.Add(-time.Duration(i)*time.Second))
				}
				for i := range 350 {
					l.add(fmt.Sprintf("b%03d", i), start.Add(-time.Hour))
				}
				for i := range 150 {
					l.add(fmt.Sprintf("c%03d", i), start.Add(-2*time.Hour-time.Duration(i)*time.Second))
				}
				got := walkAll(t, l, l.rows)
				if len(got.seen) != len(l.rows) {
					t.Errorf("%d of %d assets found", len(got.seen), len(l.rows))
				}
				if len(got.suspects) > 0 {
					t.Errorf("%d existing assets are suspects", len(got.suspects))
				}
			})
		}
	}
}

// miscounting is a library whose total_count differs from the rows it lists.
type miscounting struct {
	*shelf
	count func(n int) int
}

func (l miscounting) Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	page, err := l.shelf.Assets(ctx, q)
	page.Total = l.count(page.Total)
	return page, err
}

// A count that includes hidden assets or is capped neither hides an asset nor makes a walk endless.
func TestWalkWithWrongCounts(t *testing.T) {
	for name, count := range map[string]func(int) int{
		"more":    func(n int) int { return n + 7 },
		"capped":  func(n int) int { return min(n, 120) },
		"nothing": func(int) int { return 0 },
		"absurd":  func(int) int { return 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			l := &shelf{totals: true, touched: map[string]bool{}}
			start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
			for i := range 150 {
				l.add(fmt.Sprintf("a%03d", i), start.Add(-time.Duration(i)*time.Second))
			}
			for i := range 350 {
				l.add(fmt.Sprintf("b%03d", i), start.Add(-time.Hour))
			}
			got := walkAll(t, miscounting{l, count}, l.rows)
			if len(got.seen) != len(l.rows) || len(got.suspects) > 0 || got.requests > 25 {
				t.Errorf("%d of %d assets found, %d suspects, %d requests", len(got.seen), len(l.rows), len(got.suspects), got.requests)
			}
		})
	}
}

// An unreadable row makes its span incomplete and changes nothing else.
func TestWalkWithAnUnreadableRow(t *testing.T) {
	l := &shelf{totals: true, touched: map[string]bool{}, lies: map[int]func(*cmp.AssetPage){}}
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for i := range 250 {
		l.add(fmt.Sprintf("a%03d", i), start.Add(-time.Duration(i)*time.Second))
	}
	l.lies[2] = func(p *cmp.AssetPage) {
		p.Bad = []cmp.RowError{{Index: 10, ID: p.Items[10].ID, Reason: "no type"}}
		p.Items = slices.Delete(p.Items, 10, 11)
	}
	got := walkAll(t, l, l.rows)
	if len(got.seen) != 249 || len(got.suspects) != 0 {
		t.Errorf("%d found, %d suspects; want 249 and none", len(got.seen), len(got.suspects))
	}
}

// A page that is not sorted or not within its bound is an error.
func TestWalkRejectsUnsortedPages(t *testing.T) {
	l := &shelf{totals: true, touched: map[string]bool{}, lies: map[int]func(*cmp.AssetPage){}}
	start := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for i := range 150 {
		l.add(fmt.Sprintf("a%03d", i), start.Add(-time.Duration(i)*time.Second))
	}
	for name, lie := range map[string]func(*cmp.AssetPage){
		"unsorted": func(p *cmp.AssetPage) { slices.Reverse(p.Items) },
		"too many": func(p *cmp.AssetPage) { p.Items = append(p.Items, p.Items...) },
	} {
		l.requests, l.lies[1] = 0, lie
		w := Walker{Library: l}
		if _, c, err := w.Step(t.Context(), Cursor{}); !errors.Is(err, ErrUnstable) || !c.To.IsZero() {
			t.Errorf("%s: error %v, cursor %+v", name, err, c)
		}
	}
}
