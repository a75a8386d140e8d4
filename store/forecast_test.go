package store

import (
	"testing"
	"time"

	"damsync/internal/grant"
)

// The days of the month are there, and those of the last 30 days to judge it by.
func TestSpending(t *testing.T) {
	pool, _ := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	for _, day := range []string{"2026-02-08", "2026-02-09", "2026-02-28", "2026-03-01", "2026-03-10"} {
		spend(t, pool, day, grant.Sweep, 5)
	}
	spend(t, pool, "2026-03-01", grant.Webhook, 2)
	for _, c := range []struct {
		rolling      bool
		since, until string
	}{{false, "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"}, {true, "2026-02-09T00:00:00Z", "2026-03-10T12:00:00Z"}} {
		sp, err := New(pool, "a").Spending(t.Context(), c.rolling)
		if err != nil {
			t.Fatal(err)
		}
		if !sp.Since.Equal(utcTime(t, c.since)) || !sp.Until.Equal(utcTime(t, c.until)) || !sp.Now.Equal(utcTime(t, "2026-03-10T12:00:00Z")) {
			t.Errorf("rolling %v: %+v", c.rolling, sp)
		}
		if len(sp.Days) != 4 || sp.Days[0].Day.Format(time.DateOnly) != "2026-02-09" || sp.Days[2].ByClass[grant.Webhook] != 2 || sp.Days[2].ByClass[grant.Sweep] != 5 {
			t.Errorf("days %+v", sp.Days)
		}
	}
	// On the 31st the month is longer than 30 days.
	pool, _ = fakeClock(t, utcTime(t, "2026-03-31T12:00:00Z"))
	spend(t, pool, "2026-03-01", grant.Sweep, 5)
	if sp, err := New(pool, "a").Spending(t.Context(), false); err != nil || len(sp.Days) != 1 {
		t.Errorf("%+v, %v", sp, err)
	}
}

// What the first reading found is no change of the library.
func TestActivity(t *testing.T) {
	pool, _ := fakeClock(t, utcTime(t, "2026-03-10T12:00:00Z"))
	s := New(pool, "a")
	if a, err := s.Activity(t.Context()); err != nil || a != (Activity{}) {
		t.Fatalf("nothing was observed: %+v, %v", a, err)
	}
	asset := func(id, seen, removed string) {
		exec(t, pool, `INSERT INTO damsync.asset (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location, archived,
			labels, owner_organization_id, self, raw, hash, read_at, first_seen_by, first_seen_at, removed_at)
			VALUES ($1, 'image', '', '', '', now(), now(), '', '', false, '[]', '', '', '{}', '', now(), 'sweep', $2::text::timestamptz, nullif($3, '')::timestamptz)`, id, seen, removed)
	}
	change := func(field, seen string) {
		exec(t, pool, `INSERT INTO damsync.change (entity, entity_id, field, observation, seen_at) VALUES ('asset', 'a', $1, 'incremental', $2::text::timestamptz)`, field, seen)
	}
	exec(t, pool, `INSERT INTO damsync.run (kind, state, requested_by, started_at, ended_at) VALUES
		('sweep', 'failed', 'schedule', '2026-03-04', '2026-03-05'), ('sweep', 'done', 'schedule', '2026-03-05', '2026-03-06T12:00Z'), ('sweep', 'done', 'schedule', '2026-03-08', '2026-03-09')`)
	asset("first", "2026-03-05T00:00:00Z", "")
	asset("added", "2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z")
	change("modified_at", "2026-03-06T00:00:00Z")
	change("modified_at", "2026-03-07T00:00:00Z")
	change("title", "2026-03-07T00:00:00Z")
	a, err := s.Activity(t.Context())
	if err != nil || a != (Activity{Days: 4, Changed: 1, Added: 1, Removed: 1}) {
		t.Errorf("%+v, %v", a, err)
	}
}
