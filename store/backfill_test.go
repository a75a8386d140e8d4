package store

import (
	"testing"
	"time"

	"damsync/internal/grant"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// Status shows the backfill as it is at that moment, and nothing of it once nothing is left. What was read
// before ten minutes is done, and no part of the rate.
func TestBackfillIsShownAsItIs(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	apply(t, s, second(0), nothing("brand"), summary("a"), summary("b"), summary("c"))
	must(t, s.RequestLookups(t.Context(), swept(), grant.Backfill, false, []state.Ref{{ID: "a"}, {ID: "b"}}))
	must(t, s.RequestLookups(t.Context(), state.Observation{Kind: state.KindRefresh}, grant.Backfill, false, []state.Ref{{ID: "c"}}))
	shows := func(want state.Backfill) {
		t.Helper()
		d, err := s.Details(t.Context())
		must(t, err)
		switch {
		case want == state.Backfill{}:
			if d.Backfill != nil {
				t.Errorf("shows %+v while nothing is left", *d.Backfill)
			}
		case d.Backfill == nil || *d.Backfill != want:
			t.Errorf("shows %+v, want %+v", d.Backfill, want)
		}
	}
	shows(state.Backfill{Left: 2})
	claims, err := s.ClaimLookups(t.Context(), 3, time.Minute)
	must(t, err)
	for i, want := range []state.Backfill{{Done: 1, Left: 1, PerMinute: 0.1}, {}} {
		applyFetched(t, s, claims[i], reading(summary(claims[i].AssetID), now(t, s)), nothing("brand"))
		shows(want)
	}
	must(t, s.RequestLookups(t.Context(), swept(), grant.Backfill, false, []state.Ref{{ID: "d"}}))
	exec(t, s.pool, `UPDATE damsync.asset_detail SET read_at = read_at - interval '11 minutes' WHERE asset_id = $1`, claims[0].AssetID)
	shows(state.Backfill{Done: 2, Left: 1, PerMinute: 0.1})
}
