package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// A reading writes the three levels, logs what differs from the one before, and
// finishes the lookup; one that finds no change writes nothing.
func TestReading(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	var known []state.Snapshot
	see := func(_ time.Time, k state.Snapshot) state.Decisions {
		known = append(known, k)
		return state.Decisions{}
	}
	field := library.FieldValue{ID: "f1", Name: "Market", Type: "choice", Values: []string{"c1"}, Names: []string{"DE"}}
	apply(t, s, second(1), nil, summary("x"))

	want1(t, s, "x")
	// A detail body repeats neither type nor self link.
	bare := summary("x", func(a *library.Asset) { a.Type, a.MIMEType, a.FileExtension, a.Self = "", "", "", "" })
	got := applyFetched(t, s, claimOne(t, s), reading(bare, second(2), withFields(field)), see)
	if diff := gocmp.Diff(state.Applied{Seen: 1}, got); diff != "" {
		t.Errorf("the summary has not changed (-want +got):\n%s", diff)
	}
	if len(known) != 1 || known[0].Detail == nil || known[0].Detail.AltText != "tree" || known[0].Fields == nil ||
		!gocmp.Equal(known[0].Fields.Values, []library.FieldValue{field}) {
		t.Fatalf("the rules saw %+v", known)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 {
		t.Errorf("%d lookups left", n)
	}

	before := unread(t, pool)
	want1(t, s, "x")
	applyFetched(t, s, claimOne(t, s), reading(bare, second(3), withFields(field)), see)
	if diff := gocmp.Diff(before, unread(t, pool)); diff != "" {
		t.Errorf("an unchanged reading wrote more than when it was (-before +after):\n%s", diff)
	}
	if at := query[time.Time](t, pool, `SELECT least(d.read_at, f.read_at) FROM damsync.asset_detail d JOIN damsync.asset_fields f USING (asset_id)`); !at.Equal(second(3)) {
		t.Errorf("the levels were last read at %s", at)
	}

	expires := second(90)
	want1(t, s, "x")
	changed := reading(summary("x", modified(second(5))), second(6), func(r *state.Fetched) {
		r.Detail = library.Detail{
			Description: "An oak", AltText: "oak", Attribution: "Ann", Tags: []string{"brown"}, ExpiresAt: &expires, Public: true,
			Width: 3, Height: 4, Size: 8, VersionNumber: 2, VersionID: "v2", OwnerID: "bob",
		}
	}, withFields(library.FieldValue{ID: "f2", Name: "Season", Type: "text", Values: []string{"Spring"}}))
	if got := applyFetched(t, s, claimOne(t, s), changed, see); got.Changed != 1 || got.New != 0 {
		t.Errorf("applied %+v", got)
	}
	want := []string{
		`asset x modified_at "2026-03-01T11:51:40Z" -> "2026-03-01T12:00:05Z" by sweep`,
		`asset x description "A tree" -> "An oak" by sweep`,
		`asset x alt_text "tree" -> "oak" by sweep`,
		`asset x attribution_text "" -> "Ann" by sweep`,
		`asset x tags ["green"] -> ["brown"] by sweep`,
		`asset x expires_at null -> "2026-03-01T12:01:30Z" by sweep`,
		`asset x is_public false -> true by sweep`,
		`asset x width 0 -> 3 by sweep`,
		`asset x height 0 -> 4 by sweep`,
		`asset x file_size 7 -> 8 by sweep`,
		`asset x version_number 1 -> 2 by sweep`,
		`asset x version_id "v1" -> "v2" by sweep`,
		`asset x owner_id "ann" -> "bob" by sweep`,
		`asset x fields.Season null -> ["Spring"] by sweep`,
		`asset x fields.Market ["c1"] -> null by sweep`,
	}
	if diff := gocmp.Diff(want, changes(t, pool)); diff != "" {
		t.Errorf("change log (-want +got):\n%s", diff)
	}
}

// A file whose size the library does not say has no size, so that nothing is promised of its bytes.
func TestReadingWithoutASize(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(1), everything("brand"), summary("x"))
	for i, size := range []int64{7, library.UnknownSize} {
		want1(t, s, "x")
		applyFetched(t, s, claimOne(t, s), reading(summary("x"), second(2+i), func(r *state.Fetched) { r.Detail.Size = size }), everything("brand"))
	}
	if got := claimOneWork(t, s, "brand").ExpectedSize; got != -1 {
		t.Errorf("%d bytes are promised", got)
	}
	if size := query[*int64](t, pool, `SELECT size FROM report.assets`); size != nil {
		t.Errorf("the report says %d bytes", *size)
	}
	if got, want := changes(t, pool), []string{`asset x file_size 7 -> null by sweep`}; !gocmp.Equal(got, want) {
		t.Errorf("change log %v, want %v", got, want)
	}
}

// unread returns the rows that a reading without changes leaves alone, and the levels without their times.
func unread(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows := slices.DeleteFunc(versions(t, pool), func(row string) bool { return strings.HasPrefix(row, "asset_") })
	return append(rows, lines(t, pool, `SELECT (to_jsonb(d) - 'read_at')::text FROM damsync.asset_detail d
		UNION ALL SELECT (to_jsonb(f) - 'read_at')::text FROM damsync.asset_fields f`)...)
}

// A detail may be read by another link, and as another type, than the list gives. The mirror must not alternate between
// them: each sweep would write every such row.
func TestReadingKeepsTheLinkAndTypeOfTheList(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	row := summary("x")
	apply(t, s, second(1), nil, row)
	must(t, s.RequestLookups(t.Context(), polled(), grant.Detail, false, []state.Ref{{ID: "x"}}))
	rebuilt := row
	rebuilt.Type, rebuilt.Self = "picture", "https://api.test/v3/images/x"
	applyFetched(t, s, claimOne(t, s), reading(rebuilt, second(2)), nil)
	if got := query[string](t, pool, `SELECT concat_ws(' ', type, self) FROM damsync.asset`); got != "image "+row.Self {
		t.Errorf("the mirror has the type and the link %s", got)
	}
	if applied := apply(t, s, second(3), nil, row); applied.Changed != 0 {
		t.Error("the next sweep writes the row again")
	}
}

// A webhook may name an asset that no list has shown yet.
func TestReadingOfAnUnknownAsset(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	storeEvent(t, s, Event{Name: "asset_added", AssetID: "x", SourceTask: "task-1"})
	got := applyFetched(t, s, claimOne(t, s), reading(summary("x\x00"), second(1)), everything("brand"))
	if got.New != 1 || got.Changed != 1 {
		t.Errorf("applied %+v", got)
	}
	storeEvent(t, s, Event{Name: "asset_added", AssetID: "y", SourceTask: "task-2"})
	applyFetched(t, s, claimOne(t, s), reading(summary("y"), second(1)), everything("brand"))
	if task := query[string](t, pool, `SELECT source_task FROM damsync.asset WHERE id = 'y'`); task != "task-2" {
		t.Errorf("source task %q", task)
	}
	if by := query[string](t, pool, `SELECT first_seen_by FROM damsync.asset WHERE id = 'y'`); by != "webhook" {
		t.Errorf("first seen by %q", by)
	}
	if urgency := query[int](t, pool, `SELECT urgency FROM damsync.placement WHERE asset_id = 'y'`); urgency != 0 {
		t.Errorf("an editor waits behind a backfill: urgency %d", urgency)
	}
}

// A list page that was read after the detail but written first keeps its summary. What only the detail contains is
// written all the same, and so is the task that the event named.
func TestOvertakenReadingKeepsItsDetail(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	storeEvent(t, s, Event{Name: "asset_added", AssetID: "x", SourceTask: "task-1"})
	l := claimOne(t, s)
	apply(t, s, second(9), nil, summary("x", titled("newer")))
	applyFetched(t, s, l, reading(summary("x", titled("older")), second(5)), nil)
	got := lines(t, pool, `SELECT concat_ws(' ', title, source_task, description) FROM report.assets`)
	if want := []string{"newer task-1 A tree"}; !gocmp.Equal(got, want) {
		t.Errorf("mirror %v, want %v", got, want)
	}

	// Of a reading that is older than a change nothing is kept, and an older detail never replaces a newer one.
	want1(t, s, "x")
	applyFetched(t, s, claimOne(t, s), reading(summary("x", modified(second(-900)), titled("older still")), second(6), described("before the change")), nil)
	want1(t, s, "x")
	applyFetched(t, s, claimOne(t, s), reading(summary("x", titled("newer")), second(4), described("late")), nil)
	got = lines(t, pool, `SELECT concat_ws(' ', title, description) FROM report.assets`)
	if want := []string{"newer A tree"}; !gocmp.Equal(got, want) {
		t.Errorf("mirror %v, want %v", got, want)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 || inboxPending(t, pool) != 0 {
		t.Errorf("%d lookups and %d events left", n, inboxPending(t, pool))
	}
}
