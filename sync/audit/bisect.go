package audit

import (
	"context"
	"fmt"
	"math/bits"
	"time"
)

// difference is what a window is inferred to differ by, the library's count less the
// mirror's.
type difference struct {
	known bool
	n     int
}

var unknown = difference{} //nolint:gochecknoglobals // a constant, which a struct cannot be

// leafRows is how many assets of the mirror a window may have to be asked for as one page without
// knowing how many the library has: a little less than a page, for those the mirror lacks.
const leafRows = 97

// slack is what editors may change between two counts without anything being wrong with them.
const slack = 20

// level remembers of windows of one size whether it paid to count one half before the other.
type level struct{ tried, paid int }

// shouldProbe reports whether a window of n assets is counted on its own, instead of reading its
// parts: always, until windows of that size, again and again, turned out to differ in both halves. A
// large difference by itself is no reason: deletions come in runs.
func (r *run) shouldProbe(n int) bool {
	switch {
	case n <= leafRows:
		return true
	case r.limit > 0 && r.found.Requests > r.limit:
		return false
	}
	l := r.level(n)
	return float64(l.paid+1)/float64(l.tried+1)*float64(n)/leafRows > 1
}

func (r *run) level(n int) *level {
	size := bits.Len(uint(n / leafRows))
	if r.levels[size] == nil {
		r.levels[size] = &level{}
	}
	return r.levels[size]
}

// visit finds what differs in a window that was not asked for on its own. It returns by how
// much the window differed before anything it showed was written.
func (r *run) visit(ctx context.Context, w Window, d difference) (before int, err error) {
	if d.known && r.residual(w, d.n) == 0 {
		return d.n, nil
	}
	n, err := r.Mirror.Count(ctx, w)
	if err != nil {
		return 0, err
	}
	expected := n
	if d.known {
		expected = n + d.n
	}
	leaf := d.known && expected <= pageSize || n <= leafRows
	if leaf || w.second() || !d.known && r.shouldProbe(n) {
		l, err := r.probe(ctx, w)
		if err != nil {
			return 0, err
		}
		if d.known && abs(l.before-d.n) > slack {
			if err := r.addUp(ctx); err != nil {
				return 0, err
			}
		}
		return l.before, r.settle(ctx, w, l)
	}
	return r.halves(ctx, w, n, d)
}

// settle goes on below a window that was asked for.
func (r *run) settle(ctx context.Context, w Window, l look) error {
	switch {
	case l.exact, r.residual(w, l.diff) == 0:
		return nil
	case w.second():
		return r.readTies(ctx, w)
	case l.mirror == 0: // a page that could be written would have left some
		r.found.note("none of the %d assets in the window %s can be read", l.total, w)
		r.hide(w, l.diff)
		return nil
	}
	_, err := r.halves(ctx, w, l.mirror, difference{known: true, n: l.diff})
	return err
}

// halves cuts a window in two and infers the second from the whole and the first.
func (r *run) halves(ctx context.Context, w Window, n int, d difference) (before int, err error) {
	first, second, err := r.split(ctx, w, n)
	if err != nil {
		return 0, err
	}
	var left int
	nFirst, err := r.Mirror.Count(ctx, first)
	if err != nil {
		return 0, err
	}
	if d.known && r.shouldProbe(nFirst) {
		left, err = r.half(ctx, first, second, nFirst, n, d)
	} else {
		left, err = r.visit(ctx, first, unknown)
	}
	if err != nil {
		return left, err
	}
	rest := unknown
	if d.known {
		rest = difference{known: true, n: d.n - left}
	}
	right, err := r.visit(ctx, second, rest)
	return left + right, err
}

// half asks for the first half and learns whether that saves reading one.
func (r *run) half(ctx context.Context, first, second Window, nFirst, n int, d difference) (before int, err error) {
	l, err := r.probe(ctx, first)
	if err != nil {
		return 0, err
	}
	if l.total > n+d.n+slack {
		if err := r.addUp(ctx); err != nil {
			return 0, err
		}
	}
	if size := r.level(nFirst); !l.exact {
		size.tried++
		if r.residual(first, l.diff) == 0 || r.residual(second, d.n-l.before) == 0 {
			size.paid++
		}
	}
	return l.before, r.settle(ctx, first, l)
}

// split cuts a window where the mirror's rows divide evenly, in whole pages, so that the last windows are full ones.
func (r *run) split(ctx context.Context, w Window, n int) (first, second Window, err error) {
	half := n / 2
	if pages := (n + pageSize - 1) / pageSize; pages > 2 {
		half = pages / 2 * pageSize
	}
	middle, err := r.Mirror.Nth(ctx, w, min(half, n-1))
	if err != nil {
		return first, second, err
	}
	at := middle.Truncate(time.Second)
	switch {
	case at.Equal(w.From):
		first, second = w.cut(at, true)
	case at.Equal(w.To):
		first, second = w.cut(at, false)
	default:
		first, second = w.cut(at, false)
		before, err := r.Mirror.Count(ctx, first)
		if err != nil {
			return first, second, err
		}
		if before == 0 {
			first, second = w.cut(at, true)
		}
	}
	return first, second, nil
}

// maxChecks is how often an audit asks whether the parts add up to the whole.
const maxChecks = 4

// addUp finds out why counts contradict each other: editors, or a library whose counts are not
// counts. It asks for the whole and both its halves.
func (r *run) addUp(ctx context.Context) error {
	if r.checks++; r.checks > maxChecks {
		return nil
	}
	var all Window
	n, err := r.Mirror.Count(ctx, all)
	if err != nil {
		return err
	}
	first, second, err := r.split(ctx, all, n)
	if err != nil {
		return err
	}
	var totals [3]int
	for i, w := range []Window{all, first, second} {
		page, err := r.ask(ctx, w, r.found.Bounds.query(w))
		if err != nil {
			return err
		}
		totals[i] = page.Total
	}
	whole, parts := totals[0], totals[1]+totals[2]
	if abs(whole-parts) <= slack {
		return nil
	}
	return fmt.Errorf("%w: total_count is %d of the whole, %d and %d of its halves, which do not add up to it", ErrUncountable, whole, totals[1], totals[2])
}

func abs(n int) int { return max(n, -n) }
