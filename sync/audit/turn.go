package audit

import (
	"context"
	"slices"
	"time"

	"damsync/cmp"
)

// overlap is the number of assets that a turn reads again: as long as one of them is seen again, no asset was skipped.
const overlap = 3

// RowsATurn is the number of assets of a window that each turn reads for the first time.
const RowsATurn = pageSize - overlap

// Turn is the progress of reading one window, a page with each count of the window. The caller stores it between turns.
type Turn struct {
	Window
	Offset int       // of the next page; 0 begins a cycle
	LastID string    // of the last asset read in this cycle
	LastAt time.Time // its modified_at
	// Done reports whether the cycle ended with this turn: every living asset of the window was read since the cycle's
	// first turn, or was edited since, so that the poll reads it.
	Done bool
	// Anew reports whether the cycle must begin again because more assets have left the window than the overlap covers.
	Anew bool
}

// takeTurn counts a window, reads its next page, and finds the differences.
func (r *run) takeTurn(ctx context.Context, t *Turn) error {
	offset := max(t.Offset-overlap, 0)
	l, err := r.count(ctx, t.Window, offset)
	if err != nil {
		return err
	}
	if l.mirror > 0 {
		if err := r.compare(ctx, t.Window, l, offset); err != nil {
			return err
		}
	}
	t.advance(l.page, offset, l.exact)
	return r.descend(ctx, t.Window, l)
}

func (t *Turn) advance(page cmp.AssetPage, offset int, exact bool) {
	next := Turn{Window: t.Window}
	last := offset + len(page.Items) + len(page.Bad)
	switch {
	case exact, last >= page.Total && t.follows(page, offset):
		next.Done = true
	case !t.follows(page, offset), len(page.Items) == 0:
		next.Anew = true
	default:
		low := page.Items[len(page.Items)-1]
		next.Offset, next.LastID, next.LastAt = last, low.ID, low.ModifiedAt
	}
	*t = next
}

// follows reports whether the page continues where the previous turn ended.
func (t *Turn) follows(page cmp.AssetPage, offset int) bool {
	if offset == 0 {
		return true
	}
	if slices.ContainsFunc(page.Items, func(it cmp.Item) bool { return it.ID == t.LastID }) {
		return true
	}
	return len(page.Items) > 0 && page.Items[0].ModifiedAt.After(t.LastAt)
}
