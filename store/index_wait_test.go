package store

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/state"
)

// Waiting work costs nothing: placements of a target that is down, assets that expired long ago, and the objects at a
// target with a waiting removal are not read at each wake-up, whatever their number.
func TestWhatWaitsIsNotWalked(t *testing.T) {
	pool := oneSession(t)
	exec(t, pool, `ALTER TABLE damsync.placement SET (autovacuum_enabled = false)`) // its reads would count, too
	exec(t, pool, `ALTER TABLE damsync.asset_detail SET (autovacuum_enabled = false)`)
	const n = 20_000
	fillLibrary(t, pool, n)
	for _, sql := range []string{
		`UPDATE damsync.asset_detail SET expires_at = now() - interval '1 year'`,
		`UPDATE damsync.placement SET expires_at = now() - interval '1 year', desired_present = false, applied_state = 'archived' WHERE target = 'shop'`,
		`UPDATE damsync.placement SET expires_at = NULL, desired_generation = 2, urgency = 3, next_attempt_at = now() + interval '1 hour' WHERE target = 'brand'`,
		`UPDATE damsync.placement SET guard = 'waiting' WHERE (target, asset_id) IN (SELECT target, asset_id FROM damsync.placement WHERE target = 'brand' LIMIT 1)`,
		`VACUUM ANALYZE`,
	} {
		exec(t, pool, sql)
	}
	s := New(pool, "a")
	brand, shop := []string{"brand"}, []string{"shop"}
	for name, call := range map[string]func(context.Context) error{
		"claim placements": func(ctx context.Context) error { _, err := s.ClaimPlacements(ctx, "brand", 8, time.Minute); return err },
		"next placement":   func(ctx context.Context) error { _, _, err := s.NextPlacement(ctx, "brand"); return err },
		"upcoming puts":    func(ctx context.Context) error { _, err := s.UpcomingPuts(ctx, "brand", 100); return err },
		"expired":          func(ctx context.Context) error { _, _, err := s.Expired(ctx, shop, 500); return err },
		"expired and kept": func(ctx context.Context) error { _, _, err := s.Expired(ctx, brand, 500); return err },
		"guard": func(ctx context.Context) error {
			limit := asking(answering(state.GuardWait))
			limit.Enough = func(state.Wave) int { return 1000 }
			_, _, err := s.EvaluateRemovals(ctx, "brand", limit)
			return err
		},
	} {
		const calls, most = 8, 60 // from the sixth on, the plan may be generic
		before := blocks(t, pool)
		for range calls {
			must(t, call(t.Context()))
		}
		if read := blocks(t, pool) - before; read > calls*most {
			t.Errorf("%s reads %d blocks a call, want at most %d", name, read/calls, most)
		}
	}
}

// blocks returns how many blocks of the large tables and of their indexes were read.
func blocks(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	exec(t, pool, `SELECT pg_stat_force_next_flush()`)
	return query[int](t, pool, `SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::int FROM pg_statio_user_tables
		WHERE schemaname = 'damsync' AND relname IN ('asset', 'asset_detail', 'placement')`)
}
