package audit

import (
	"context"
	"fmt"
	"slices"

	"damsync/cmp"
	"damsync/internal/state"
	"damsync/sync/walk"
)

// readTies finds the differences within one second that holds more than a page, as after a bulk import.
func (r *run) readTies(ctx context.Context, w Window) error {
	rows, err := r.Mirror.Rows(ctx, w)
	if err != nil {
		return err
	}
	q, err := r.query(ctx, w)
	if err != nil {
		return err
	}
	got, err := walk.ReadTies(ctx, false, func(ctx context.Context, offset int) (cmp.AssetPage, error) {
		q.Offset = offset
		page, err := r.request(ctx, w, q)
		if err == nil {
			_, err = r.apply(ctx, page)
		}
		return page, err
	})
	switch {
	case err != nil:
		return err
	case got.Uncounted:
		return fmt.Errorf("%w: total_count is lower than the number of assets listed for %s", ErrUncountable, w)
	case !got.Complete:
		r.changing = true
		r.found.note("the assets created in the second %s kept changing while they were read", w)
		return nil
	}
	r.missing(rows, got.Items, got.Bad)
	return nil
}

// apply writes a page and counts the assets that the mirror did not have.
func (r *run) apply(ctx context.Context, page cmp.AssetPage) (added int, err error) {
	added, err = r.Mirror.Apply(ctx, page)
	r.found.Extra += added
	return added, err
}

// missing makes suspects of the rows of the mirror that are not among the rows listed.
func (r *run) missing(rows []state.WindowRow, items []cmp.Item, bad []cmp.RowError) {
	if slices.ContainsFunc(bad, unnamed) {
		return
	}
	listed := make(map[string]bool, len(items))
	for _, it := range items {
		listed[it.ID] = true
	}
	for _, row := range bad {
		listed[row.ID] = true
	}
	for _, row := range rows {
		if !listed[row.ID] {
			r.suspect(row)
		}
	}
}
