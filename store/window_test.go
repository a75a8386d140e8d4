package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// Whatever is written, restored, moved and removed: windows count what the table has, and NthCreated finds the n-th asset.
func TestWindowsCountTheMirror(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	start := time.Date(1969, 12, 31, 20, 0, 0, 0, time.UTC) // hours before 1970 count, too
	read := second(0)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 3).Draw(rt, "pages") {
			read = read.Add(time.Second)
			var rows []library.Asset
			for range rapid.IntRange(1, 20).Draw(rt, "rows") {
				at := start.Add(time.Duration(rapid.IntRange(0, 10*3600).Draw(rt, "created")) * time.Second)
				rows = append(rows, summary(fmt.Sprint("a", rapid.IntRange(0, 60).Draw(rt, "id")), func(a *library.Asset) { a.CreatedAt = at }))
			}
			apply(rt, s, read, nothing("t"), rows...)
		}
		read = read.Add(time.Second)
		gone := state.Lookup{AssetID: fmt.Sprint("a", rapid.IntRange(0, 60).Draw(rt, "gone")), Mirrored: true}
		must(rt, s.ApplyGone(rt.Context(), gone, read, nothing("t")))
		var from, to time.Time
		if rapid.Bool().Draw(rt, "from") {
			from = start.Add(time.Duration(rapid.IntRange(0, 10*3600).Draw(rt, "low")) * time.Second)
		}
		if rapid.Bool().Draw(rt, "to") {
			to = start.Add(time.Duration(rapid.IntRange(0, 10*3600).Draw(rt, "high")) * time.Second)
		}
		checkWindow(rt, s, from, to)
	})
}

func checkWindow(rt *rapid.T, s *Store, from, to time.Time) {
	rows, err := s.WindowRows(rt.Context(), from, to)
	must(rt, err)
	n, err := s.CountWindow(rt.Context(), from, to)
	must(rt, err)
	if n != len(rows) {
		rt.Fatalf("%d counted, %d listed in [%s, %s)", n, len(rows), from, to)
	}
	if n > 0 {
		k := rapid.IntRange(0, n-1).Draw(rt, "n")
		at, err := s.NthCreated(rt.Context(), from, to, k)
		must(rt, err)
		before, same := 0, 0
		for _, row := range rows {
			if row.CreatedAt.Before(at) {
				before++
			} else if row.CreatedAt.Equal(at) {
				same++
			}
		}
		if k < before || k >= before+same {
			rt.Fatalf("asset %d is said to be of %s, which %d precede and %d share", k, at, before, same)
		}
	}
	if all, err := s.CountAssets(rt.Context()); err != nil || from.IsZero() && to.IsZero() && all != n {
		rt.Fatalf("%d assets in all, %d in the open window (%v)", all, n, err)
	}
}

// manyAssets fills the mirror by SQL; the triggers count the assets.
func manyAssets(t *testing.T, pool *pgxpool.Pool, n int) {
	t.Helper()
	for _, sql := range []string{
		fmt.Sprintf(`INSERT INTO damsync.asset (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location,
			archived, labels, owner_organization_id, self, raw, hash, read_at, first_seen_by)
			SELECT i::text, 'image', '', '', '', timestamptz '2020-01-01Z' + i * interval '40 seconds', timestamptz '2024-01-01Z' + i * interval '1 second',
			'', '/', false, '[]', '', '', '{}', '', now(), 'sweep' FROM generate_series(1, %d) AS i`, n),
		`VACUUM ANALYZE damsync.asset`, `ANALYZE damsync.asset_hour`,
	} {
		if _, err := pool.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

// Counting and splitting windows reads the index alone, and only what the two ends of a window hold.
func TestWindowsAreCountedInTheIndex(t *testing.T) {
	pool := pgtest.Pool(t)
	manyAssets(t, pool, 30_000)
	from, to := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2020, 1, 2, 3, 50, 0, 0, time.UTC)
	for name, sql := range map[string]string{"count": countSQL, "nth": nthSQL} {
		args := []any{from, to}
		if name == "nth" {
			args = append(args, 10)
		}
		plan := strings.Join(explain(t, pool, sql, args...), "\n")
		if !strings.Contains(plan, "Index Only Scan using asset_created") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
	w := timeRangeOf(from, to.AddDate(0, 0, 3))
	if w.head[1].Sub(w.head[0]) >= time.Hour || w.tail[1].Sub(w.tail[0]) >= time.Hour {
		t.Errorf("the ends are not of an hour: %+v", w)
	}
}

func explain(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) `+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// A write that changes no count writes no count.
func TestUnchangedCountsAreNotWritten(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	apply(t, s, second(0), nothing("t"), summary("x"), summary("y"))
	before := lines(t, pool, `SELECT concat_ws(' ', ctid, xmin, xmax, hour, count) FROM damsync.asset_hour`)
	apply(t, s, second(1), nothing("t"), summary("x", titled("another")), summary("y"))
	if after := lines(t, pool, `SELECT concat_ws(' ', ctid, xmin, xmax, hour, count) FROM damsync.asset_hour`); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%v, before %v", after, before)
	}
}

// The windows of audits are stored as they are, including open ends and unset times.
func TestAuditWindowsAreKept(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	first := state.AuditWindow{To: second(9)}
	rest := state.AuditWindow{
		From: second(10), CountedAt: second(30), Page: 97, LastID: "x", LastAt: second(20), CycleAt: second(29), ReadSince: second(21),
	}
	must(t, s.ReplaceAuditWindows(t.Context(), nil, []state.AuditWindow{rest, first}))
	got, err := s.AuditWindows(t.Context())
	if err != nil || len(got) != 2 || got[0] != first || got[1] != rest {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, s.ReplaceAuditWindows(t.Context(), got, []state.AuditWindow{{}}))
	if got, err := s.AuditWindows(t.Context()); err != nil || len(got) != 1 || got[0] != (state.AuditWindow{}) {
		t.Errorf("%+v, %v", got, err)
	}
}
