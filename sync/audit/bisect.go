package audit

import (
	"context"
	"fmt"
	"math/bits"
	"time"
)

// difference is the library's count of a window less the mirror's, inferred from other windows. The zero value is
// unknown.
type difference struct {
	known bool
	n     int
}

// leafRows is the largest number of assets that a window of the mirror may have to be read as one page when the
// library's count is unknown. It is a little less than a page, to leave room for assets that the mirror lacks.
const leafRows = 97

// slack is the number of assets that editors may change between two counts before the counts are doubted.
const slack = 20

// probeStats counts, for windows of one size, how often one half was counted first and how often that saved reading
// the other half.
type probeStats struct{ tried, saved int }

// shouldProbe reports whether to count a window of n assets before reading its parts. It does until windows of that
// size have repeatedly differed in both halves. A large difference alone is no reason to stop: deletions come in runs.
func (r *run) shouldProbe(n int) bool {
	switch {
	case n <= leafRows:
		return true
	case r.probeLimit > 0 && r.found.Requests > r.probeLimit:
		return false
	}
	s := r.statsOf(n)
	return float64(s.saved+1)/float64(s.tried+1)*float64(n)/leafRows > 1
}

// statsOf returns the statistics for windows of about n assets.
func (r *run) statsOf(n int) *probeStats {
	size := bits.Len(uint(n / leafRows))
	if r.stats[size] == nil {
		r.stats[size] = &probeStats{}
	}
	return r.stats[size]
}

// visit finds the differences in a window that was not counted yet. It returns the window's difference as it was
// before the rows found in it were written.
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
	if leaf || w.oneSecond() || !d.known && r.shouldProbe(n) {
		l, err := r.probe(ctx, w)
		if err != nil {
			return 0, err
		}
		if d.known && abs(l.before-d.n) > slack {
			if err := r.checkSums(ctx); err != nil {
				return 0, err
			}
		}
		return l.before, r.descend(ctx, w, l)
	}
	return r.visitHalves(ctx, w, n, d)
}

// descend finds the differences in a window that was counted.
func (r *run) descend(ctx context.Context, w Window, l counted) error {
	switch {
	case l.exact, r.residual(w, l.diff) == 0:
		return nil
	case w.oneSecond():
		return r.readTies(ctx, w)
	case l.mirror == 0: // none of the page's rows could be written
		r.found.note("none of the %d assets in the window %s can be read", l.total, w)
		r.setHidden(w, l.diff)
		return nil
	}
	_, err := r.visitHalves(ctx, w, l.mirror, difference{known: true, n: l.diff})
	return err
}

// visitHalves cuts a window in two, visits the first half, infers the difference of the second, and visits it.
func (r *run) visitHalves(ctx context.Context, w Window, n int, d difference) (before int, err error) {
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
		left, err = r.probeFirst(ctx, first, second, nFirst, n, d)
	} else {
		left, err = r.visit(ctx, first, difference{})
	}
	if err != nil {
		return left, err
	}
	var rest difference
	if d.known {
		rest = difference{known: true, n: d.n - left}
	}
	right, err := r.visit(ctx, second, rest)
	return left + right, err
}

// probeFirst counts the first half and records whether that saves reading one of the halves.
func (r *run) probeFirst(ctx context.Context, first, second Window, nFirst, n int, d difference) (before int, err error) {
	l, err := r.probe(ctx, first)
	if err != nil {
		return 0, err
	}
	if l.total > n+d.n+slack {
		if err := r.checkSums(ctx); err != nil {
			return 0, err
		}
	}
	if s := r.statsOf(nFirst); !l.exact {
		s.tried++
		if r.residual(first, l.diff) == 0 || r.residual(second, d.n-l.before) == 0 {
			s.saved++
		}
	}
	return l.before, r.descend(ctx, first, l)
}

// split cuts a window where the mirror's rows divide evenly. It cuts at whole pages so that the smallest windows fill
// a page.
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

// maxChecks bounds how often an audit checks whether the parts add up to the whole.
const maxChecks = 4

// checkSums finds out whether counts contradict each other because of editors or because the library does not count. It
// requests the whole and both halves, and returns ErrUncountable when they do not add up.
func (r *run) checkSums(ctx context.Context) error {
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
	_, err = r.compareSums(ctx, first, second)
	return err
}

// compareSums requests the whole and two parts of it, and returns the count of the whole. ErrUncountable: the parts do not
// add up to it.
func (r *run) compareSums(ctx context.Context, first, second Window) (whole int, err error) {
	var totals [3]int
	for i, w := range []Window{{}, first, second} {
		page, err := r.request(ctx, w, r.found.Bounds.query(w))
		if err != nil {
			return 0, err
		}
		totals[i] = page.Total
	}
	if abs(totals[0]-totals[1]-totals[2]) <= slack {
		return totals[0], nil
	}
	return 0, fmt.Errorf("%w: total_count is %d for the whole library, but %d and %d for its two halves", ErrUncountable, totals[0], totals[1], totals[2])
}

func abs(n int) int { return max(n, -n) }
