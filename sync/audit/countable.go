package audit

import (
	"context"
	"slices"
	"time"

	"damsync/cmp"
)

// Count counts the library and checks, with about six requests, whether its counts can be used for audits: the whole has
// to be the sum of two parts. It needs no mirror. ErrUncountable: they cannot.
func Count(ctx context.Context, lib Library) (int, error) {
	r := (&Auditor{Library: lib}).start()
	page, err := r.request(ctx, Window{}, cmp.AssetQuery{PageSize: pageSize})
	if err != nil || len(page.Items) == 0 {
		return page.Total, err
	}
	if err := r.calibrate(ctx); err != nil {
		return page.Total, err
	}
	first, second := Window{}.cut(medianCreated(page.Items), false)
	return r.compareSums(ctx, first, second)
}

// medianCreated is a created_at that divides the listed assets.
func medianCreated(items []cmp.Item) time.Time {
	times := make([]time.Time, len(items))
	for i, it := range items {
		times[i] = it.CreatedAt
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[len(times)/2].Truncate(time.Second)
}
