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

// Frequent queries must cost the same in a library of a million assets: none reads a large table from end to end, with
// custom and with generic plans.
func TestHotQueriesUseIndexes(t *testing.T) {
	pool := oneSession(t)
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
				if _, err := s.PathAwaited(ctx, w); err != nil {
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
			_, err := s.Missing(ctx, state.Span{Above: old, UpTo: old.Add(100 * time.Minute), Inclusive: true}, some, time.Now())
			return err
		},
		"plan a chunk": func(ctx context.Context) error {
			_, err := s.PlanNext(ctx, polled(), "8", 100, everything("brand"))
			return err
		},
		"plan assets": func(ctx context.Context) error { return s.PlanAssets(ctx, polled(), some[:3], everything("brand")) },
		"expired":     func(ctx context.Context) error { _, _, err := s.Expired(ctx, brand, 500); return err },
		"within grace": func(ctx context.Context) error {
			_, err := s.RequestWithinGrace(ctx, polled(), time.Second)
			return err
		},
		"guard": func(ctx context.Context) error {
			_, _, err := s.EvaluateRemovals(ctx, "brand", state.GuardLimit{})
			return err
		},
		"take over": func(ctx context.Context) error {
			if err := s.ReleaseLease(ctx, state.LeaseLeader); err != nil {
				return err
			}
			_, err := s.AcquireLease(ctx, state.LeaseLeader, time.Minute)
			return err
		},
		"held": func(ctx context.Context) error { _, err := s.Held(ctx, "brand", 10); return err },
		"backlog": func(ctx context.Context) error {
			_, err := s.Backlog(ctx, state.BacklogScope{Targets: brand, Planned: time.Now(), Requested: time.Now()})
			return err
		},
		"event": func(ctx context.Context) error {
			return s.StoreEvent(ctx, Event{Name: "asset_added", AssetID: some[0], SourceTask: "task"})
		},
		"lookup": func(ctx context.Context) error {
			if err := s.RequestLookups(ctx, swept(), grant.Manual, true, []state.Ref{{ID: some[0]}}); err != nil {
				return err
			}
			claims, err := s.ClaimLookups(ctx, 1, time.Minute)
			for _, l := range claims {
				_, err = s.ApplyFetched(ctx, l, reading(summary(l.AssetID), time.Now()), nil)
			}
			return err
		},
	}
	for name, call := range hot {
		before := seqScans(t, pool)
		for range 8 { // from the sixth on, the plan may be generic
			must(t, call(t.Context()))
		}
		if after := seqScans(t, pool); after != before {
			t.Errorf("%s reads a large table from end to end: %s, before %s", name, after, before)
		}
	}
}

// oneSession returns a pool of one session, which reports what it read.
func oneSession(t *testing.T) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.URL(t))
	must(t, err)
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// seqScans returns how often each large table was read from end to end.
func seqScans(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	exec(t, pool, `SELECT pg_stat_force_next_flush()`)
	return fmt.Sprint(lines(t, pool, `SELECT concat_ws(' ', relname, seq_scan) FROM pg_stat_user_tables
		WHERE schemaname = 'damsync' AND relname IN ('asset', 'asset_detail', 'placement') ORDER BY 1`))
}

// fillLibrary makes n assets that are in sync at two targets, with rows of the usual size.
func fillLibrary(t tb, pool *pgxpool.Pool, n int) {
	t.Helper()
	for _, sql := range []string{
		`INSERT INTO damsync.asset (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location,
			archived, labels, owner_organization_id, self, raw, hash, read_at, first_seen_by)
		SELECT md5(i::text), 'image', 'Title of ' || i, 'image/png', 'png', now() - i * interval '1 minute', now() - i * interval '1 minute', '', '/Brand/' || i % 500,
			false, '[{"group": {"id": "g1", "name": "Status"}, "values": [{"id": "v1", "name": "Approved"}]}]', 'org', 'https://cmp.test/images/' || md5(i::text),
			jsonb_build_object('links', md5(i::text) || md5(i || 'a') || md5(i || 'b') || md5(i || 'c') || md5(i || 'd') || md5(i || 'e')
				|| md5(i || 'f') || md5(i || 'g') || md5(i || 'h') || md5(i || 'i') || md5(i || 'j') || md5(i || 'k')), sha256(i::text::bytea), now(), 'sweep'
		FROM generate_series(1, $1::int) i`,
		`INSERT INTO damsync.asset_detail (asset_id, description, alt_text, attribution, tags, expires_at, public, width, height, size,
			version_number, version_id, owner_id, raw, hash, read_at, of_modified_at, grace_over)
		SELECT id, '', 'alt text of ' || id, '', '{}', CASE WHEN id < '01' THEN clock_timestamp() WHEN id < '02' THEN '2100-01-01' END, false, 1, 1, 7, 1, '', '', '{}', hash, read_at, modified_at, true FROM damsync.asset
			WHERE $1::int > 0`,
		`INSERT INTO damsync.placement (target, asset_id, desired_present, desired_path, desired_version, desired_metadata,
			desired_metadata_hash, desired_generation, desired_reason, desired_at, urgency, guard, applied_state, applied_path, applied_version,
			applied_metadata_hash, applied_generation, next_attempt_at, size, expires_at)
		SELECT target, id, true, '/' || id, '1', jsonb_build_object('title', title), a.hash, 1, '', now(), 5, 'open', 'present', '/' || id, '1', a.hash, 1, now(), 7, d.expires_at
		FROM damsync.asset a JOIN damsync.asset_detail d ON d.asset_id = a.id, (VALUES ('brand'), ('shop')) v (target) WHERE $1::int > 0`,
	} {
		if _, err := pool.Exec(t.Context(), sql, n); err != nil {
			t.Fatalf("fill library: %v", err)
		}
	}
	if _, err := pool.Exec(t.Context(), `VACUUM ANALYZE`); err != nil {
		t.Fatalf("analyze library: %v", err)
	}
}
