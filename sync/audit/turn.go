package audit

import (
	"context"
	"slices"
	"time"

	"damsync/cmp"
)

// overlap is how many assets of a window a turn reads that the turn before has read: while one of
// them is seen again, none between has been passed over.
const overlap = 3

// RowsATurn is how many assets of a window one turn reads that the turn before has not.
const RowsATurn = pageSize - overlap

// Turn is how far the assets of one window are read, page by page, one with each
// count of the window. It is stored between the turns.
type Turn struct {
	Window
	Offset int       // of the next page; 0 begins a cycle
	LastID string    // of the last asset read in this cycle
	LastAt time.Time // its modified_at
	// Done says that the cycle ended with this turn: every asset of the window that
	// lives was read since its first turn, or has moved to the top since, which the poll reads.
	Done bool
	// Anew says that the cycle has to begin again: more assets have left the window than the overlap
	// can tell.
	Anew bool
}

// turn counts a window, reads its next page, and finds what differs.
func (r *run) turn(ctx context.Context, t *Turn) error {
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
	return r.settle(ctx, t.Window, l)
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

// follows tells whether the page goes on where the turn before has ended.
func (t *Turn) follows(page cmp.AssetPage, offset int) bool {
	if offset == 0 {
		return true
	}
	if slices.ContainsFunc(page.Items, func(it cmp.Item) bool { return it.ID == t.LastID }) {
		return true
	}
	return len(page.Items) > 0 && page.Items[0].ModifiedAt.After(t.LastAt)
}
