package store

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// lines returns the one text column that sql selects.
func lines(t tb, pool *pgxpool.Pool, sql string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

// The reporting views are a fixed interface: each gives what reports may query.
func TestReportViews(t *testing.T) {
	pool := pgtest.Pool(t)
	insertReportScenario(t, pool)
	tests := []struct {
		name, sql string
		want      []string
	}{
		{
			"assets",
			`SELECT concat_ws(' ', id, type, title, folder, labels, source_task, description, removed_at IS NOT NULL) FROM report.assets ORDER BY id`,
			[]string{`x image Title of x /Brand/Spring {"Status": ["Approved", "Final"]} task-1 A tree f`, `y image Title of y / {}  t`},
		},
		{
			"placements",
			`SELECT concat_ws(' ', asset_id, state) FROM report.placements ORDER BY desired_generation`,
			[]string{
				"in-sync in_sync", "in-sync-after-trouble in_sync", "removed removed", "pending pending", "pending-removal pending",
				"at-the-guard pending", "to-be-retried pending", "failed failed", "held held", "conflict conflict", "foreign conflict",
			},
		},
		{
			"changes",
			`SELECT concat_ws(' ', entity, entity_id, field, coalesce(old::text, 'null'), new, observation) FROM report.changes ORDER BY entity_id, field`,
			[]string{`asset x added null "Title of x" sweep`, `asset x source_task "" "task-1" webhook`, `asset y added null "Title of y" sweep`},
		},
		{
			"failures",
			`SELECT concat_ws(' ', kind, target, asset_id, error_class) FROM report.failures ORDER BY kind, asset_id`,
			[]string{
				"lookup y temporary", "placement brand conflict conflict", "placement brand failed temporary",
				"placement brand foreign foreign", "placement brand to-be-retried temporary", "target shop configuration",
			},
		},
		{
			"runs",
			`SELECT concat_ws(' ', kind, state, requested_by, requests, seen, changed, suspects) FROM report.runs ORDER BY kind DESC`,
			[]string{"sweep done cron 3 250 7 1", "audit done counts 14 0 0 0"},
		},
		{
			"audits",
			`SELECT concat_ws(' ', scope, state, requests, windows, missing, extra, hidden, suspects, complete_at IS NOT NULL, notes) FROM report.audits`,
			[]string{"library done 14 12 2 1 0 1 t {}"},
		},
		{
			"completeness",
			`SELECT concat_ws(' ', windows, counted_since, read_since IS NULL, complete_at IS NOT NULL) FROM report.completeness`,
			[]string{"2 2026-03-01 00:00:00+00 t t"},
		},
		{
			"drift",
			`SELECT concat_ws(' ', target, asset_id, title, path, kind, differs) FROM report.drift ORDER BY path`,
			[]string{"brand x Title of x a.png missing not there", "brand b.png foreign no mark"},
		},
		{
			"verifications",
			`SELECT concat_ws(' ', target, depth, listed, missing, changed, orphaned, foreign_objects) FROM report.verifications`,
			[]string{"brand token 9 1 0 0 1"},
		},
		{
			"quota_daily",
			`SELECT concat_ws(' ', day, class, used) FROM report.quota_daily ORDER BY day, class`,
			[]string{"2026-02-28 sweep 5", "2026-03-01 sweep 7", "2026-03-01 webhook 1", "2026-03-02 sweep 8"},
		},
		{
			"quota_month",
			`SELECT concat_ws(' ', month, class, used) FROM report.quota_month ORDER BY month, class`,
			[]string{"2026-02-01 sweep 5", "2026-03-01 sweep 15", "2026-03-01 webhook 1"},
		},
		{
			"freshness",
			`SELECT concat_ws(' ', observation, age BETWEEN interval '1 hour' AND interval '2 hours', error) FROM report.freshness ORDER BY observation`,
			[]string{"audit never", "incremental t "},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := gocmp.Diff(tt.want, lines(t, pool, tt.sql)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

// Only details that a target relies on, at the level that it reads, have an age.
func TestReportDetailAge(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	for i, id := range []string{"new", "old", "unwanted"} {
		rule := everything("brand")
		if id == "unwanted" {
			rule = nothing("brand")
		}
		apply(t, s, second(i), rule, summary(id))
		applyFetched(t, s, state.Lookup{AssetID: id}, reading(summary(id), second(i), withFields()), rule)
	}
	exec(t, pool, `UPDATE damsync.asset_detail SET read_at = clock_timestamp() - CASE asset_id WHEN 'new' THEN interval '1 hour' ELSE interval '9 hours' END`)
	exec(t, pool, `INSERT INTO damsync.target (name) VALUES ('brand') ON CONFLICT DO NOTHING`)
	const ages = `SELECT concat_ws(' ', level, assets, round(extract(epoch FROM p50) / 3600), round(extract(epoch FROM oldest) / 3600)) FROM report.detail_age`
	for _, c := range []struct {
		level string
		want  []string
	}{{"summary", []string{}}, {"detail", []string{"detail 2 5 9"}}} {
		must(t, s.SetTargetLevels(t.Context(), []string{"brand"}, []string{c.level}))
		if diff := gocmp.Diff(c.want, lines(t, pool, ages)); diff != "" {
			t.Errorf("level %s (-want +got):\n%s", c.level, diff)
		}
	}
}

// An untested view may break unnoticed.
func TestReportViewsAreAllTested(t *testing.T) {
	want := []string{"assets", "audits", "changes", "completeness", "detail_age", "drift", "failures", "freshness", "placements", "quota_daily", "quota_month", "runs", "verifications"}
	got := lines(t, pgtest.Pool(t), `SELECT table_name::text FROM information_schema.views WHERE table_schema = 'report' ORDER BY 1`)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("views (-want +got):\n%s", diff)
	}
}

func insertReportScenario(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	insertAsset(t, pool, "x")
	insertAsset(t, pool, "y")
	storeEvent(t, New(pool, "a"), Event{Name: "asset_added", AssetID: "x", SourceTask: "task-1"})
	insertPlacements(t, pool)
	for _, sql := range []string{
		`INSERT INTO damsync.folder (id, parent_id, name, path, created_at, modified_at, raw)
			VALUES ('f', 'p', 'Spring', '/Brand/Spring', '2026-01-01', '2026-01-01', '{}')`,
		`UPDATE damsync.asset SET folder_id = 'f', file_location = '/old', labels = '[
			{"group": {"id": "1", "name": "Status"}, "values": [{"id": "2", "name": "Approved"}, {"id": "3", "name": "Final"}]}]' WHERE id = 'x'`,
		`UPDATE damsync.asset SET removed_at = clock_timestamp() WHERE id = 'y'`,
		`INSERT INTO damsync.asset_detail (asset_id, description, alt_text, attribution, tags, public, width, height, size,
			version_number, version_id, owner_id, raw, hash, read_at, of_modified_at, grace_over)
			VALUES ('x', 'A tree', '', '', '{}', false, 1, 1, 1, 1, '', '', '{}', '', '2026-01-03', '2026-01-02', true)`,
		`INSERT INTO damsync.lookup (asset_id, asset_type, self, class, urgency, observation, error_class, error)
			VALUES ('y', 'image', '', 'detail', 3, 'sweep', 'temporary', 'timeout')`,
		`INSERT INTO damsync.target (name, problem) VALUES ('shop', 'label group Status does not exist'), ('brand', '')`,
		`INSERT INTO damsync.run (kind, state, requested_by, requests, seen, changed, suspects) VALUES ('sweep', 'done', 'cron', 3, 250, 7, 1)`,
		`WITH r AS (INSERT INTO damsync.run (kind, state, requested_by, requests) VALUES ('audit', 'done', 'counts', 14) RETURNING id)
			INSERT INTO damsync.audit SELECT id, 'library', 12, 2, 1, 0, 1, clock_timestamp(), '{}' FROM r`,
		`INSERT INTO damsync.audit_window (from_at, to_at, counted_at, read_since) VALUES
			('-infinity', '2026-01-01', '2026-03-01 00:00Z', '2026-02-01'), ('2026-01-02', 'infinity', '2026-03-02', NULL)`,
		`INSERT INTO damsync.verification VALUES ('brand', 7, 'token', '2026-03-01', '2026-03-01', 9, 1, 0, 0, 1, 0)`,
		`INSERT INTO damsync.drift (run_id, target, kind, asset_id, path, differs) VALUES
			(7, 'brand', 'missing', 'x', 'a.png', 'not there'), (7, 'brand', 'foreign', '', 'b.png', 'no mark'), (8, 'brand', 'foreign', '', 'c.png', 'not finished')`,
		`INSERT INTO damsync.quota_day VALUES ('2026-02-28', 'sweep', 5), ('2026-03-01', 'sweep', 7), ('2026-03-01', 'webhook', 1), ('2026-03-02', 'sweep', 8)`,
		`INSERT INTO damsync.observation (kind, last_success, error)
			VALUES ('incremental', clock_timestamp() - interval '90 minutes', ''), ('audit', NULL, 'never')`,
	} {
		exec(t, pool, sql)
	}
}
