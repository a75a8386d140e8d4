package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// changes lists the change log as text.
func changes(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return lines(t, pool, `SELECT concat_ws(' ', entity, entity_id, field, coalesce(old::text, 'null'), '->', coalesce(new::text, 'null'),
		'by', observation, run_id) FROM damsync.change ORDER BY id`)
}

func TestSummariesAreMirrored(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	got := apply(t, s, second(1), nil, summary("x"), summary("y"), summary("x", titled("doubled in the page")))
	if diff := gocmp.Diff(state.Applied{Seen: 2, Changed: 2, New: 2}, got); diff != "" {
		t.Errorf("new rows (-want +got):\n%s", diff)
	}
	rows := lines(t, pool, `SELECT concat_ws(' ', id, type, title, mime_type, file_extension, created_at, modified_at, '[' || folder_id || ']',
		file_location, archived, labels, owner_organization_id, self, raw, first_seen_by, read_at) FROM damsync.asset WHERE id = 'x' ORDER BY id`)
	want := []string{`x image Title of x image/png png 2026-03-01 11:43:20+00 2026-03-01 11:51:40+00 [] / f ` +
		`[{"group": {"id": "g1", "name": "Status"}, "values": [{"id": "v1", "name": "Approved"}, {"id": "v2", "name": "Final"}]}] ` +
		`org https://cmp.test/images/x {"id": "x"} sweep 2026-03-01 12:00:01+00`}
	if diff := gocmp.Diff(want, rows); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if got := changes(t, pool); len(got) != 0 {
		t.Errorf("a new asset shows in first_seen_by, not in %v", got)
	}
	n, err := s.CountAssets(t.Context())
	if err != nil || n != 2 {
		t.Errorf("counted %d assets, %v", n, err)
	}
}

func TestChangesAreLoggedFieldByField(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), nil, summary("x"), summary("y"))
	obs := state.Observation{Kind: "sweep", RunID: 7}
	changed := summary("x", titled("Oak"), modified(second(5)), func(a *library.Asset) {
		a.Type, a.MIMEType, a.FileExtension, a.CreatedAt = "video", "video/mp4", "mp4", second(-999)
		a.FolderID, a.FileLocation, a.Archived, a.OwnerOrganizationID = "f", "/Brand", true, "org2"
		a.Labels = []library.Label{{Group: library.Named{ID: "g1", Name: "Status"}, Values: []library.Named{{ID: "v2", Name: "Final"}}}}
	})
	got, err := s.ApplySummaries(t.Context(), obs, second(10), []library.Asset{changed, summary("y")}, nil)
	if err != nil || got.Changed != 1 || got.New != 0 || got.Seen != 2 || !got.FolderUnknown {
		t.Errorf("applied %+v, %v", got, err)
	}
	want := []string{
		`asset x type "image" -> "video" by sweep 7`,
		`asset x title "Title of x" -> "Oak" by sweep 7`,
		`asset x mime_type "image/png" -> "video/mp4" by sweep 7`,
		`asset x file_extension "png" -> "mp4" by sweep 7`,
		`asset x created_at "2026-03-01T11:43:20Z" -> "2026-03-01T11:43:21Z" by sweep 7`,
		`asset x modified_at "2026-03-01T11:51:40Z" -> "2026-03-01T12:00:05Z" by sweep 7`,
		`asset x folder_id "" -> "f" by sweep 7`,
		`asset x file_location "/" -> "/Brand" by sweep 7`,
		`asset x is_archived false -> true by sweep 7`,
		`asset x labels {"Status": ["Approved", "Final"]} -> {"Status": ["Final"]} by sweep 7`,
		`asset x owner_organization_id "org" -> "org2" by sweep 7`,
	}
	if diff := gocmp.Diff(want, changes(t, pool)); diff != "" {
		t.Errorf("change log (-want +got):\n%s", diff)
	}
}

// Promise 7: a page without changes locks and writes nothing, whatever the order of labels, and calls no rule.
func TestUnchangedPageWritesNothing(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), everything("brand"), summary("x"), summary("y"))
	before := touches(t, pool)
	reordered := summary("x", func(a *library.Asset) {
		v := a.Labels[0].Values
		a.Labels[0].Values = []library.Named{v[1], v[0]}
		a.Raw = json.RawMessage(`{"id": "x", "thumbnail_url": "another each time"}`)
	})
	asked := func(time.Time, state.Snapshot) state.Decisions {
		t.Error("the rules are called for an unchanged asset")
		return state.Decisions{}
	}
	if got := apply(t, s, second(2), asked, reordered, summary("y")); got.Changed != 0 || got.Seen != 2 {
		t.Errorf("applied %+v", got)
	}
	if diff := gocmp.Diff(before, touches(t, pool)); diff != "" {
		t.Errorf("rows were touched (-before +after):\n%s", diff)
	}
	differing, err := s.Differing(t.Context(), []library.Asset{reordered, summary("y", titled("new")), summary("z")})
	if err != nil || len(differing) != 2 || differing[0].ID != "y" || differing[1].ID != "z" {
		t.Errorf("differing %+v, %v", differing, err)
	}
}

// Promise 7 in bytes. The server counts WAL of all its databases, so a pass is valid only while nothing else writes.
func TestUnchangedPassWritesNoWAL(t *testing.T) {
	const rows, page = 20_000, 1000
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	all := pages(rows, page)
	for _, p := range all {
		apply(t, s, second(1), nil, p...)
	}
	exec(t, pool, `VACUUM ANALYZE damsync.asset`)
	quiet := 0
	for range 20 {
		before := walOf(t, pool)
		for _, p := range all {
			apply(t, s, second(2), nil, p...)
		}
		after := walOf(t, pool)
		if after.bytes-before.bytes <= rows {
			return
		}
		if after.others == before.others {
			quiet++
		}
	}
	if quiet >= 5 { // a checkpoint may fall into one, not into each
		t.Fatalf("%d unchanged rows write WAL, each time", rows)
	}
	t.Skip("other sessions write to the server all the time: their WAL cannot be separated")
}

type walCount struct{ bytes, others int64 }

func walOf(t *testing.T, pool *pgxpool.Pool) walCount {
	t.Helper()
	return walCount{
		bytes: query[int64](t, pool, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`),
		others: query[int64](t, pool, `SELECT coalesce(sum(xact_commit + xact_rollback + tup_inserted), 0)::bigint
			FROM pg_stat_database WHERE datname IS DISTINCT FROM current_database()`),
	}
}

// pages returns a library of n rows in pages.
func pages(n, page int) [][]library.Asset {
	var out [][]library.Asset
	for i := 0; i < n; i += page {
		var p []library.Asset
		for j := i; j < min(i+page, n); j++ {
			p = append(p, summary(fmt.Sprintf("%032x", j), modified(second(-j))))
		}
		out = append(out, p)
	}
	return out
}

func TestOlderReadingDoesNotOverwrite(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(5), nil, summary("x", titled("new")))
	if got := apply(t, s, second(4), everything("brand"), summary("x", titled("old"))); got.Changed != 0 {
		t.Errorf("applied %+v", got)
	}
	if title := query[string](t, pool, `SELECT title FROM damsync.asset`); title != "new" {
		t.Errorf("title %q", title)
	}
	if n := query[int](t, pool, `SELECT (SELECT count(*) FROM damsync.placement) + (SELECT count(*) FROM damsync.change)`); n != 0 {
		t.Errorf("an old page planned or logged %d rows", n)
	}
}

// Promise 11: a row that the database rejects fails alone and is reported.
func TestRefusedRowDoesNotStopThePage(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	long := summary(incompressible(9000))
	far := summary("far", modified(time.Date(294400, 1, 1, 0, 0, 0, 0, time.UTC)))
	bad := summary("bad", func(a *library.Asset) { a.Raw = json.RawMessage(`{"number": 1e200000}`) })
	got := apply(t, s, second(1), everything("brand"), summary("a"), long, far, bad, summary("z"))
	if got.Seen != 5 || got.New != 2 || got.Changed != 2 || len(got.Failed) != 3 {
		t.Errorf("applied %d of %d, failed %+v", got.Changed, got.Seen, got.Failed)
	}
	for _, f := range got.Failed {
		if f.Err == nil || !(f.AssetID == long.ID || f.AssetID == "far" || f.AssetID == "bad") {
			t.Errorf("failed %.20q: %v", f.AssetID, f.Err)
		}
	}
	if ids := lines(t, pool, `SELECT asset_id FROM damsync.placement ORDER BY 1`); !gocmp.Equal(ids, []string{"a", "z"}) {
		t.Errorf("planned %v", ids)
	}
	if got := apply(t, s, second(2), nil, bad); len(got.Failed) != 1 {
		t.Errorf("a page of one bad row: %+v", got)
	}
}

// incompressible returns a text of n characters that stays too long for a key even when compressed.
func incompressible(n int) string {
	var b strings.Builder
	for x := uint64(1); b.Len() < n; x = x*6364136223846793005 + 1442695040888963407 {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x>>58])
	}
	return b.String()
}

// Odd text is stored as far as PostgreSQL can hold it, and reading it again is no change.
func TestOddTextIsStored(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	odd := func() []library.Asset {
		return []library.Asset{
			summary("nul\x00id", titled("a\x00b")),
			summary("utf8", titled("caf\xe9 \xff")),
			summary("raw", func(a *library.Asset) {
				a.Raw = json.RawMessage(`{"nul": "a\u0000b", "lone": "\ud83d", "pair": "\ud83d\uDE00", "back": "\\u0000", "big": 12345678901234567890, "k\u0000": 1}`)
			}),
			summary("label", func(a *library.Asset) {
				a.Labels = []library.Label{{Group: library.Named{ID: "g\x00", Name: "\xfe"}, Values: []library.Named{{ID: "\x00", Name: "v\xff"}}}}
			}),
			summary("empty", titled(""), func(a *library.Asset) { a.Raw, a.Labels = nil, nil }),
		}
	}
	if got := apply(t, s, second(1), everything("brand"), odd()...); got.Changed != 5 || len(got.Failed) != 0 {
		t.Fatalf("applied %+v", got)
	}
	want := []string{
		`empty  [] null`,
		`label Title of label [{"group": {"id": "g�", "name": "�"}, "values": [{"id": "�", "name": "v�"}]}] {"id": "label"}`,
		`nul�id a�b`, `raw Title of raw`, `utf8 caf� �`,
	}
	got := lines(t, pool, `SELECT CASE WHEN id IN ('empty', 'label') THEN concat_ws(' ', id, title, labels, raw) ELSE concat_ws(' ', id, title) END
		FROM damsync.asset ORDER BY id COLLATE "C"`)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	raw := query[string](t, pool, `SELECT raw::text FROM damsync.asset WHERE id = 'raw'`)
	if diff := gocmp.Diff(decode(t, `{"nul": "a�b", "lone": "�", "pair": "😀", "back": "\\u0000", "big": 12345678901234567890, "k�": 1}`), decode(t, raw)); diff != "" {
		t.Errorf("raw (-want +got):\n%s", diff)
	}
	if got := apply(t, s, second(2), nil, odd()...); got.Changed != 0 {
		t.Errorf("read again, %d rows differ", got.Changed)
	}
}

// ApplySummaries leaves the caller's rows alone.
func TestRowsOfTheCallerAreLeft(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	row := summary("x", func(a *library.Asset) { a.Labels[0].Group.Name = "Sta\x00tus" })
	apply(t, s, second(1), nil, row)
	if row.Labels[0].Group.Name != "Sta\x00tus" {
		t.Errorf("label became %q", row.Labels[0].Group.Name)
	}
}

func TestGoneAssetComesBack(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), everything("brand"), summary("x"))
	want1(t, s, "x")
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(2), everything("brand")))
	if n, err := s.CountAssets(t.Context()); err != nil || n != 0 {
		t.Errorf("%d living assets, %v", n, err)
	}
	if got := apply(t, s, second(1), everything("brand"), summary("x")); got.Changed != 0 {
		t.Errorf("an older page restored it: %+v", got)
	}
	if got := apply(t, s, second(3), everything("brand"), summary("x")); got.Changed != 1 || got.New != 0 {
		t.Errorf("applied %+v", got)
	}
	want := []string{`asset x removed null -> true by sweep`, `asset x restored null -> "Title of x" by sweep`}
	if diff := gocmp.Diff(want, changes(t, pool)); diff != "" {
		t.Errorf("change log (-want +got):\n%s", diff)
	}
	if got := lines(t, pool, `SELECT concat_ws(' ', desired_present, guard) FROM damsync.placement`); !gocmp.Equal(got, []string{"t open"}) {
		t.Errorf("placement %v", got)
	}
}

// Two replicas that read the same new assets in different orders do not block each other.
func TestWritersDoNotDeadlock(t *testing.T) {
	pool := pgtest.Pool(t)
	const n = 40
	for round := range 5 {
		var up, down []library.Asset
		for i := range n {
			row := summary(fmt.Sprintf("%d-%02d", round, i))
			up, down = append(up, row), append([]library.Asset{row}, down...)
		}
		errs := make(chan error, 2)
		for i, rows := range [][]library.Asset{up, down} {
			go func() {
				_, err := New(pool, fmt.Sprint(i)).ApplySummaries(t.Context(), swept(), second(round), rows, everything("brand"))
				errs <- err
			}()
		}
		for range 2 {
			must(t, <-errs)
		}
	}
	if got := query[int](t, pool, `SELECT count(*) FROM damsync.placement`); got != 5*n {
		t.Errorf("%d placements, want %d", got, 5*n)
	}
}
