package store

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// placement is a row of damsync.placement as far as scenarios vary it.
type placement struct {
	target, asset    string
	present          bool
	desired, applied int64 // generations
	guard            string
	errorClass       string
	attempts         int
}

func insertPlacement(t *testing.T, pool *pgxpool.Pool, p placement) {
	t.Helper()
	exec(t, pool, `
		INSERT INTO damsync.placement (target, asset_id, desired_present, desired_path, desired_version, desired_metadata,
			desired_metadata_hash, desired_generation, desired_reason, desired_at, urgency, applied_generation, guard, error_class,
			error, attempts, next_attempt_at)
		VALUES ($1, $2, $3, '/' || $2, '1', '{}', '', $4, '', clock_timestamp(), 2, $5, $6, $7, 'what went wrong', $8, clock_timestamp())`,
		p.target, p.asset, p.present, p.desired, p.applied, p.guard, p.errorClass, p.attempts)
}

// insertPlacements inserts one placement of every kind at target brand.
func insertPlacements(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, p := range []placement{
		{asset: "in-sync", present: true, desired: 1, applied: 1, guard: "open"},
		{asset: "in-sync-after-trouble", present: true, desired: 2, applied: 2, guard: "open", errorClass: "temporary", attempts: 2},
		{asset: "removed", desired: 3, applied: 3, guard: "open"},
		{asset: "pending", present: true, desired: 4, guard: "open"},
		{asset: "pending-removal", desired: 5, applied: 1, guard: "open"},
		{asset: "at-the-guard", desired: 6, applied: 1, guard: "waiting"},
		{asset: "to-be-retried", present: true, desired: 7, guard: "open", errorClass: "temporary"},
		{asset: "failed", present: true, desired: 8, guard: "open", errorClass: "temporary", attempts: 1},
		{asset: "held", desired: 9, applied: 1, guard: "held"},
		{asset: "conflict", present: true, desired: 10, guard: "open", errorClass: "conflict", attempts: 1},
		{asset: "foreign", present: true, desired: 11, guard: "open", errorClass: "foreign", attempts: 4},
	} {
		p.target = "brand"
		insertPlacement(t, pool, p)
	}
}

func status(t *testing.T, pool *pgxpool.Pool, q LedgerConfig, targets ...string) Status {
	t.Helper()
	st, err := New(pool, "a").Status(t.Context(), q, targets...)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// Every placement is counted once.
func TestStatusTargets(t *testing.T) {
	pool := pgtest.Pool(t)
	insertPlacements(t, pool)
	insertPlacement(t, pool, placement{target: "no-longer-configured", asset: "x", present: true, desired: 1, applied: 1, guard: "open"})
	paused := time.Now().UTC().Add(5 * time.Minute).Truncate(time.Second)
	exec(t, pool, `INSERT INTO damsync.target (name, problem, paused_until, pause_reason) VALUES
		('empty', 'folder /Brand does not exist', NULL, ''), ('brand', '', $1, 'full'), ('no-longer-configured', '', NULL, '')`, paused)
	want := []TargetStatus{
		{Name: "brand", Desired: 7, InSync: 2, Pending: 4, Failed: 1, Held: 1, Conflicts: 2, PausedUntil: &paused, PauseReason: "full"},
		{Name: "empty", Problem: "folder /Brand does not exist"},
		{Name: "no-longer-configured", Desired: 1, InSync: 1},
	}
	if diff := gocmp.Diff(want, status(t, pool, LedgerConfig{PerMonth: 1}, "empty", "brand").Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

func TestStatusCounts(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	for _, id := range []string{"x", "y", "z"} {
		insertAsset(t, pool, id)
	}
	exec(t, pool, `UPDATE damsync.asset SET removed_at = clock_timestamp() WHERE id = 'z'`)
	exec(t, pool, `INSERT INTO damsync.folder (id, parent_id, name, path, created_at, modified_at, raw) VALUES ('f', '', 'F', '/F', '2026-01-01', '2026-01-01', '{}')`)
	for _, id := range []string{"x", "x", "y", ""} {
		storeEvent(t, s, Event{Name: "asset_modified", AssetID: id})
	}
	exec(t, pool, `UPDATE damsync.lookup SET error_class = 'temporary' WHERE asset_id = 'y'`)
	exec(t, pool, `INSERT INTO damsync.observation (kind, last_attempt, error) VALUES ('sweep', '2026-03-01', 'timeout'), ('refresh', NULL, '')`)
	if _, err := s.AcquireLease(t.Context(), state.LeaseLeader, time.Minute); err != nil {
		t.Fatal(err)
	}

	st := status(t, pool, LedgerConfig{PerMonth: 1})
	attempt := utcTime(t, "2026-03-01T00:00:00Z")
	if got, want := st.Mirror, (MirrorStatus{Assets: 2, Folders: 1}); got != want {
		t.Errorf("mirror %+v, want %+v", got, want)
	}
	if got, want := st.Inbox, (InboxStatus{Pending: 3}); got != want {
		t.Errorf("inbox %+v, want %+v", got, want)
	}
	if got, want := st.Lookups, (LookupStatus{Pending: 1, Failed: 1}); got != want {
		t.Errorf("lookups %+v, want %+v", got, want)
	}
	if st.Leader.Holder != "a" || st.Leader.Until == nil {
		t.Errorf("leader %+v", st.Leader)
	}
	observations := map[string]ObservationStatus{
		"incremental": {}, "audit": {}, "refresh": {}, "sweep": {LastAttempt: &attempt, Error: "timeout"},
	}
	if diff := gocmp.Diff(observations, st.Observations); diff != "" {
		t.Errorf("observations (-want +got):\n%s", diff)
	}
}

func TestStatusQuota(t *testing.T) {
	tests := []struct {
		name     string
		rolling  bool
		limit    int64
		used     int64
		sweep    int64
		resets   string
		deferred bool
	}{
		{name: "calendar", limit: 31, used: 30, sweep: 30, resets: "2026-04-01T00:00:00Z"},
		{name: "calendar spent", limit: 30, used: 30, sweep: 30, resets: "2026-04-01T00:00:00Z", deferred: true},
		{name: "rolling", rolling: true, limit: 100, used: 70, sweep: 50, resets: "2026-03-12T00:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool, _ := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
			exec(t, pool, `INSERT INTO damsync.quota_day (day, class, used) VALUES
				('2026-02-08', 'sweep', 1000), ('2026-02-10', 'webhook', 20), ('2026-02-28', 'sweep', 20), ('2026-03-01', 'sweep', 10), ('2026-03-10', 'sweep', 20)`)
			q := status(t, pool, LedgerConfig{PerMonth: tt.limit, Rolling: tt.rolling}).Quota
			if q.Limit != tt.limit || q.Used != tt.used || q.ByClass["sweep"] != tt.sweep || q.Deferred != tt.deferred {
				t.Errorf("got %+v", q)
			}
			if q.ResetsAt == nil || !q.ResetsAt.Equal(utcTime(t, tt.resets)) {
				t.Errorf("resets at %v, want %s", q.ResetsAt, tt.resets)
			}
		})
	}
}

// Status shows a pause exactly as long as the ledger obeys it.
func TestStatusPause(t *testing.T) {
	pool, clock := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	if err := New(pool, "a").Ledger(LedgerConfig{PerSecond: 1, PerMonth: 1}).Pause(t.Context(), time.Minute, "429"); err != nil {
		t.Fatal(err)
	}
	if got := status(t, pool, LedgerConfig{PerMonth: 1}).Quota.PausedUntil; got == nil || !got.Equal(utcTime(t, "2026-03-10T12:01:00Z")) {
		t.Errorf("paused until %v", got)
	}
	clock.advance(time.Minute)
	if got := status(t, pool, LedgerConfig{PerMonth: 1}).Quota.PausedUntil; got != nil {
		t.Errorf("paused until %v after the end", got)
	}
}

// The documented keys are there on an empty database too.
func TestStatusJSON(t *testing.T) {
	pool, _ := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	text, err := json.Marshal(status(t, pool, LedgerConfig{PerMonth: 200_000}, "brand"))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
		"mirror": {"assets": 0, "folders": 0},
		"targets": [{"name": "brand", "desired": 0, "in_sync": 0, "pending": 0, "failed": 0, "held": 0, "conflicts": 0, "problem": "", "paused_until": null, "pause_reason": ""}],
		"quota": {"limit": 200000, "reserved": 0, "used": 0, "balance": 200000,
			"by_class": {"webhook": 0, "manual": 0, "incremental": 0, "detail": 0, "audit": 0, "sweep": 0, "backfill": 0},
			"resets_at": "2026-04-01T00:00:00Z", "deferred": false, "paused_until": null,
			"pace": {"limit": 0, "share": 1, "throttled": 0, "throttled_at": null},
			"classes": {
				"webhook": {"floor": 0, "left_month": 200000, "left_today": 200000, "deferred_until": null, "reason": ""},
				"manual": {"floor": 0, "left_month": 200000, "left_today": 200000, "deferred_until": null, "reason": ""},
				"incremental": {"floor": 0, "left_month": 200000, "left_today": 200000, "deferred_until": null, "reason": ""},
				"detail": {"floor": 0, "left_month": 200000, "left_today": 200000, "deferred_until": null, "reason": ""},
				"audit": {"floor": 0, "left_month": 200000, "left_today": 200000, "deferred_until": null, "reason": ""},
				"sweep": {"floor": 0, "left_month": 200000, "left_today": 200000, "deferred_until": null, "reason": ""},
				"backfill": {"floor": 0, "left_month": 200000, "left_today": 200000, "deferred_until": null, "reason": ""}}},
		"observations": {
			"incremental": {"last_attempt": null, "last_success": null, "error": ""},
			"audit": {"last_attempt": null, "last_success": null, "error": ""},
			"sweep": {"last_attempt": null, "last_success": null, "error": ""}},
		"inbox": {"pending": 0},
		"lookups": {"pending": 0, "failed": 0},
		"leader": {"holder": "", "until": null}
	}`
	if diff := gocmp.Diff(decode(t, want), decode(t, string(text))); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What makes a whole target unusable is not listed as failures of its placements.
func TestFailuresOfAPausedTarget(t *testing.T) {
	_, _, s := planned(t, "x", "y")
	for i, w := range claimWork(t, s, "brand", 2) {
		must(t, s.FailPlacement(t.Context(), w, state.Failure{Class: []string{"auth", "invalid"}[i], Reason: "a reason", After: time.Hour}, false))
	}
	classes := func() []string {
		failures, err := s.Failures(t.Context(), 9)
		must(t, err)
		var all []string
		for _, f := range failures {
			all = append(all, f.Class)
		}
		slices.Sort(all)
		return all
	}
	if diff := gocmp.Diff([]string{"auth", "invalid"}, classes()); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	if _, err := s.PauseTarget(t.Context(), "brand", "wrong key", 0); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]string{"invalid"}, classes()); diff != "" {
		t.Errorf("failures of a paused target (-want +got):\n%s", diff)
	}
}
