package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// The benchmarks report ratios of two things measured in one run, since a
// machine that is busy or has another disk changes both. The server is that of
// the tests: with its durability off, which is off for both sides then.
// DAMSYNC_BENCH_ASSETS sets the size of the library.

const benchPage = 100 // rows, what one API request gives

func benchAssets(b *testing.B) int {
	b.Helper()
	text := os.Getenv("DAMSYNC_BENCH_ASSETS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		b.Fatalf("DAMSYNC_BENCH_ASSETS=%q is not a number of assets", text)
	}
	return n
}

// benchRow is a list row of the size that the API gives, 1.5 KB.
func benchRow(i int, r *rand.Rand) library.Asset {
	id := fmt.Sprintf("%016x%016x", r.Uint64(), i)
	a := summary(id, titled(fmt.Sprintf("Spring campaign %d, %x", i, r.Uint64())), modified(second(-i)))
	a.CreatedAt = second(-2 * i)
	a.FolderID, a.FileLocation = "", "/Brand/Spring/"+strconv.Itoa(i%500)
	a.Raw = json.RawMessage(fmt.Sprintf(`{"id":%q,"title":%q,"type":"image","mime_type":"image/png","file_extension":"png",`+
		`"created_at":%q,"modified_at":%q,"folder_id":null,"file_location":%q,"is_archived":false,"owner_organization_id":"org",`+
		`"labels":[{"group":{"id":"%[8]x","name":"Status"},"values":[{"id":"%[9]x","name":"Approved"},{"id":"%[10]x","name":"Final"}]},`+
		`{"group":{"id":"%[11]x","name":"Audience"},"values":[{"id":"%[12]x","name":"Retail customers in the region %[7]d"}]}],`+
		`"content":{"type":"url","value":"https://images.cmp.test/v1/assets/%[1]s/content?width=2400&format=png&fingerprint=%[13]x%[14]x"},`+
		`"thumbnail_url":"https://images.cmp.test/v1/assets/%[1]s/thumbnail?fingerprint=%[15]x%[16]x",`+
		`"links":{"self":"https://api.cmp.test/v3/images/%[1]s","urls":"https://api.cmp.test/v3/assets/%[1]s/urls","rights":"https://api.cmp.test/v3/assets/%[1]s/rights"},`+
		`"description_excerpt":"%[17]x %[18]x %[19]x %[20]x %[21]x %[22]x"}`,
		id, a.Title, a.CreatedAt.Format(time.RFC3339), a.ModifiedAt.Format(time.RFC3339), a.FileLocation, 0, i%50,
		r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(),
		r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()))
	return a
}

func benchRows(from, n int) []library.Asset {
	r := rand.New(rand.NewPCG(1, uint64(from)))
	rows := make([]library.Asset, n)
	for i := range rows {
		rows[i] = benchRow(from+i, r)
	}
	return rows
}

// BenchmarkMirror writes a library page by page and, by turns, copies the same
// rows into a table of the same shape; then it passes over the unchanged library.
//
//	x_of_copy    rate of writing pages as a part of COPY's     at least 0.55
//	wal_B/row    WAL an unchanged row costs                    at most 1
//	x_of_insert  rate of the unchanged pass over the writing   at least 4
func BenchmarkMirror(b *testing.B) {
	const slice = 5000
	n := benchAssets(b)
	for b.Loop() {
		pool := pgtest.Pool(b)
		s := New(pool, "a")
		benchExec(b, pool, `CREATE TABLE public.copied (LIKE damsync.asset INCLUDING ALL)`)
		var upsert, copied, unchanged time.Duration
		for from := 0; from < n; from += slice {
			rows := benchRows(from, min(slice, n-from))
			upsert += benchApply(b, s, second(1), rows)
			copied += benchCopy(b, pool, rows)
		}
		benchExec(b, pool, `VACUUM ANALYZE damsync.asset`)
		var wal int64
		for from := 0; from < n; from += slice {
			rows := benchRows(from, min(slice, n-from))
			before := benchWAL(b, pool)
			unchanged += benchApply(b, s, second(2), rows)
			wal += benchWAL(b, pool) - before
		}
		b.ReportMetric(float64(copied)/float64(upsert), "x_of_copy")
		b.ReportMetric(float64(n)/upsert.Seconds(), "upsert_rows/s")
		b.ReportMetric(float64(n)/copied.Seconds(), "copy_rows/s")
		b.ReportMetric(float64(n)/unchanged.Seconds(), "unchanged_rows/s")
		b.ReportMetric(float64(upsert)/float64(unchanged), "x_of_insert")
		b.ReportMetric(float64(wal)/float64(n), "wal_B/row")
	}
}

func benchApply(b *testing.B, s *Store, readAt time.Time, rows []library.Asset) time.Duration {
	b.Helper()
	start := time.Now()
	for from := 0; from < len(rows); from += benchPage {
		apply(b, s, readAt, nil, rows[from:min(from+benchPage, len(rows))]...)
	}
	return time.Since(start)
}

func benchCopy(b *testing.B, pool *pgxpool.Pool, rows []library.Asset) time.Duration {
	b.Helper()
	start := time.Now()
	source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
		a := rows[i]
		hash := a.Digest()
		labels, err := labelsJSON(a.Labels)
		return []any{
			a.ID, a.Type, a.Title, a.MIMEType, a.FileExtension, a.CreatedAt, a.ModifiedAt, a.FolderID, a.FileLocation, a.Archived,
			labels, a.OwnerOrganizationID, a.Self, string(a.Raw), hash[:], second(1), "sweep",
		}, err
	})
	columns := []string{
		"id", "type", "title", "mime_type", "file_extension", "created_at", "modified_at", "folder_id", "file_location", "archived",
		"labels", "owner_organization_id", "self", "raw", "hash", "read_at", "first_seen_by",
	}
	if _, err := pool.CopyFrom(b.Context(), pgx.Identifier{"public", "copied"}, columns, source); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

func benchExec(b *testing.B, pool *pgxpool.Pool, sql string, args ...any) {
	b.Helper()
	if _, err := pool.Exec(b.Context(), sql, args...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

func benchWAL(b *testing.B, pool *pgxpool.Pool) int64 {
	b.Helper()
	var n int64
	if err := pool.QueryRow(b.Context(), `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// fillLibrary makes n assets that are in sync at two targets, with rows of the
// usual size.
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
			version_number, version_id, owner_id, raw, hash, read_at, of_modified_at, settled)
		SELECT id, '', 'alt text of ' || id, '', '{}', CASE WHEN id < '01' THEN clock_timestamp() WHEN id < '02' THEN '2100-01-01' END, false, 1, 1, 7, 1, '', '', '{}', hash, read_at, modified_at, true FROM damsync.asset
			WHERE $1::int > 0`,
		`INSERT INTO damsync.placement (target, asset_id, desired_present, desired_path, desired_version, desired_metadata,
			desired_metadata_hash, desired_generation, desired_reason, desired_at, urgency, gate, applied_state, applied_path, applied_version,
			applied_metadata_hash, applied_generation, next_attempt_at, size)
		SELECT target, id, true, '/' || id, '1', jsonb_build_object('title', title), hash, 1, '', now(), 5, 'open', 'present', '/' || id, '1', hash, 1, now(), 7
		FROM damsync.asset, (VALUES ('brand'), ('shop')) v (target) WHERE $1::int > 0`,
	} {
		if _, err := pool.Exec(t.Context(), sql, n); err != nil {
			t.Fatalf("fill library: %v", err)
		}
	}
	if _, err := pool.Exec(t.Context(), `VACUUM ANALYZE`); err != nil {
		t.Fatalf("analyze library: %v", err)
	}
}

// BenchmarkPlan judges a whole library at two targets, finding nothing to change,
// and looks for work at one of them.
//
//	assets/s       judged
//	heap_MB        by which the heap grew                      at most 32
//	no_work_ms     to find that nothing is dirty               at most 5
func BenchmarkPlan(b *testing.B) {
	n := benchAssets(b)
	pool := pgtest.Pool(b)
	s := New(pool, "a")
	fillLibrary(b, pool, n)
	decide := func(_ time.Time, k state.Known) state.Verdict {
		for _, target := range []string{"brand", "shop"} {
			if d := k.Desired[target]; !d.Present || d.Path != "/"+k.Asset.ID || k.Detail == nil {
				b.Errorf("known %+v", k)
			}
		}
		return state.Verdict{}
	}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		judged := 0
		for last := ""; ; {
			next, err := s.PlanNext(b.Context(), state.Observation{Kind: "plan"}, last, 2000, func(now time.Time, k state.Known) state.Verdict {
				judged++
				return decide(now, k)
			})
			if err != nil {
				b.Fatal(err)
			}
			if next == "" {
				break
			}
			last = next
		}
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if judged != n {
			b.Fatalf("judged %d of %d", judged, n)
		}
		b.ReportMetric(float64(n)/took.Seconds(), "assets/s")
		b.ReportMetric(float64(after.HeapSys-before.HeapSys)/(1<<20), "heap_MB")
		b.ReportMetric(float64(benchNoWork(b, s))/float64(time.Millisecond), "no_work_ms")
	}
}

// benchNoWork is the median of many claims that find nothing.
func benchNoWork(b *testing.B, s *Store) time.Duration {
	b.Helper()
	var best []time.Duration
	for range 51 {
		start := time.Now()
		work, err := s.ClaimPlacements(context.WithoutCancel(b.Context()), "brand", 8, time.Minute)
		if err != nil || len(work) != 0 {
			b.Fatalf("claimed %d, %v", len(work), err)
		}
		best = append(best, time.Since(start))
	}
	slices.Sort(best)
	return best[len(best)/2]
}
