package store

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// What is asked all day must cost the same in a library of a million assets: no
// large table is read from end to end, with the plans that are made for one
// call and with those that are kept.
func TestHotQueriesUseIndexes(t *testing.T) {
	cfg, err := pgxpool.ParseConfig(pgtest.URL(t))
	must(t, err)
	cfg.MaxConns = 1 // the session that reports what it scanned
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	const n = 20_000
	fillLibrary(t, pool, n)
	s := New(pool, "a")
	row := summary("new")
	brand := []string{"brand", "shop"}
	some := lines(t, pool, `SELECT id FROM damsync.asset ORDER BY md5(id) LIMIT 100`)
	hot := map[string]func(context.Context) error{
		"compare a page": func(ctx context.Context) error { _, err := s.Differing(ctx, pages(100, 100)[0]); return err },
		"write a row": func(ctx context.Context) error {
			row.Title += "'"
			_, err := s.ApplySummaries(ctx, swept(), time.Now().Add(time.Hour), []library.Asset{row}, everything("brand"))
			return err
		},
		"find nothing to push": func(ctx context.Context) error { _, err := s.ClaimPlacements(ctx, "shop", 8, time.Minute); return err },
		"push": func(ctx context.Context) error {
			for _, w := range claimWork(t, s, "brand", 3) {
				if _, _, err := s.ClaimPath(ctx, w, w.Desired.Path); err != nil {
					return err
				}
				if _, err := s.PathWanted(ctx, w); err != nil {
					return err
				}
				if err := s.FinishPlacement(ctx, w, done(w)); err != nil {
					return err
				}
			}
			return nil
		},
		"next placement":          func(ctx context.Context) error { _, _, err := s.NextPlacement(ctx, "brand"); return err },
		"find nothing to look up": func(ctx context.Context) error { _, err := s.ClaimLookups(ctx, 8, time.Minute); return err },
		"next lookup":             func(ctx context.Context) error { _, _, err := s.NextLookup(ctx); return err },
		"missing of a page": func(ctx context.Context) error {
			old := time.Now().Add(-n / 2 * time.Minute)
			_, err := s.Missing(ctx, old, old.Add(100*time.Minute), true, some, time.Now())
			return err
		},
		"plan a chunk": func(ctx context.Context) error {
			_, err := s.PlanNext(ctx, polled(), "8", 100, everything("brand"))
			return err
		},
		"plan assets": func(ctx context.Context) error { return s.PlanAssets(ctx, polled(), some[:3], everything("brand")) },
		"expired":     func(ctx context.Context) error { _, _, err := s.Expired(ctx, brand, 500); return err },
		"unsettled":   func(ctx context.Context) error { _, err := s.WantUnsettled(ctx, polled(), time.Second); return err },
		"gate":        func(ctx context.Context) error { _, _, err := s.JudgeRemovals(ctx, "brand", nil); return err },
		"held":        func(ctx context.Context) error { _, err := s.Held(ctx, "brand", 10); return err },
		"backlog":     func(ctx context.Context) error { _, err := s.Backlog(ctx, brand, time.Now()); return err },
		"event": func(ctx context.Context) error {
			return s.StoreEvent(ctx, Event{Name: "asset_added", AssetID: some[0], SourceTask: "task"})
		},
		"lookup": func(ctx context.Context) error {
			if err := s.WantLookups(ctx, swept(), grant.Manual, true, []state.Ref{{ID: some[0]}}); err != nil {
				return err
			}
			claims, err := s.ClaimLookups(ctx, 1, time.Minute)
			for _, l := range claims {
				_, err = s.ApplyReading(ctx, l, reading(summary(l.AssetID), time.Now()), nil)
			}
			return err
		},
	}
	for name, call := range hot {
		before := seqScans(t, pool)
		for range 8 { // from the sixth on, a plan may be kept
			must(t, call(t.Context()))
		}
		if after := seqScans(t, pool); after != before {
			t.Errorf("%s reads a large table from end to end: %s, before %s", name, after, before)
		}
	}
}

// seqScans tells how often each large table was read from end to end.
func seqScans(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	exec(t, pool, `SELECT pg_stat_force_next_flush()`)
	return fmt.Sprint(lines(t, pool, `SELECT concat_ws(' ', relname, seq_scan) FROM pg_stat_user_tables
		WHERE schemaname = 'damsync' AND relname IN ('asset', 'asset_detail', 'placement') ORDER BY 1`))
}
