package store

import (
	"bytes"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/pgtest"
	"damsync/internal/state"
)

func storeEvent(t *testing.T, s *Store, e Event) {
	t.Helper()
	if err := s.StoreEvent(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// wanted is what tests compare of a row of damsync.lookup.
type wanted struct {
	Type, Self, Class, Observation string
	Urgency                        int
	Requested, Done                int64
	Gone, Due                      bool
}

func lookupOf(t *testing.T, pool *pgxpool.Pool, assetID string) wanted {
	t.Helper()
	rows, err := pool.Query(t.Context(), `
		SELECT asset_type, self, class, observation, urgency, requested % 1000000, done % 1000000, gone, next_attempt_at <= clock_timestamp()
		FROM damsync.lookup WHERE asset_id = $1`, assetID)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[wanted])
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func insertAsset(t *testing.T, pool *pgxpool.Pool, id string) {
	t.Helper()
	exec(t, pool, `
		INSERT INTO damsync.asset (id, type, title, mime_type, file_extension, created_at, modified_at, folder_id, file_location,
			archived, labels, owner_organization_id, self, raw, hash, read_at, first_seen_by)
		VALUES ($1, 'image', 'Title of ' || $1, 'image/png', 'png', '2026-01-01', '2026-01-02', '', '/', false, '[]', 'org', '',
			'{}', '', '2026-01-03', 'sweep')`, id)
}

// All events for one asset before it is read cost one reading; their bodies are kept as received.
func TestStoreEvent(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	l := listen(t, s)
	l.expect(state.Topics()...)
	body := []byte("{\"event_name\": \"asset_added\",\r\n \"odd\":\"\\u0000\" }\xff\x00 ")
	storeEvent(t, s, Event{Name: "asset_added", AssetID: "x", AssetType: "image", Self: "https://cmp.test/x", Body: body})
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	storeEvent(t, s, Event{Name: "asset_removed", AssetID: "x", AssetType: "image"})
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})

	want := wanted{
		Type: "image", Self: "https://cmp.test/x", Class: "webhook", Observation: "webhook", Requested: 4, Gone: true, Due: true,
	}
	if diff := gocmp.Diff(want, lookupOf(t, pool, "x")); diff != "" {
		t.Errorf("lookup (-want +got):\n%s", diff)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.inbox WHERE processed_at IS NULL AND asset_id = 'x'`); n != 4 {
		t.Errorf("%d events in the inbox, want 4", n)
	}
	if got := query[[]byte](t, pool, `SELECT body FROM damsync.inbox ORDER BY id LIMIT 1`); !bytes.Equal(got, body) {
		t.Errorf("the body became %q", got)
	}
	l.expect(state.TopicLookup)
}

// An event makes a waiting bulk lookup urgent and due; the observation that requested it first stays.
func TestStoreEventMakesALookupUrgent(t *testing.T) {
	pool := pgtest.Pool(t)
	exec(t, pool, `
		INSERT INTO damsync.lookup (asset_id, asset_type, self, class, urgency, observation, attempts, error_class, next_attempt_at)
		VALUES ('x', 'video', 'https://cmp.test/x', 'sweep', 5, 'sweep', 3, 'temporary', clock_timestamp() + interval '1 hour')`)
	storeEvent(t, New(pool, "a"), Event{Name: "asset_modified", AssetID: "x"})
	want := wanted{Type: "video", Self: "https://cmp.test/x", Class: "webhook", Observation: "sweep", Requested: 2, Due: true}
	if diff := gocmp.Diff(want, lookupOf(t, pool, "x")); diff != "" {
		t.Errorf("lookup (-want +got):\n%s", diff)
	}
}

// Promise 9: an event that arrives while its asset is being read is not lost, and the reader's lease stays.
func TestStoreEventDuringAReading(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	storeEvent(t, s, Event{Name: "asset_added", AssetID: "x", AssetType: "image"})
	claims, err := s.ClaimLookups(t.Context(), 10, time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %v, %v", claims, err)
	}
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	if again, err := New(pool, "b").ClaimLookups(t.Context(), 10, time.Minute); err != nil || len(again) != 0 {
		t.Errorf("read twice at once: %v, %v", again, err)
	}
	if err := s.inTx(t.Context(), "finish", func(tx pgx.Tx) error { return s.finishLookup(t.Context(), tx, claims[0]) }); err != nil {
		t.Fatal(err)
	}
	if got := lookupOf(t, pool, "x"); got.Requested <= got.Done {
		t.Errorf("the second event is lost: %+v", got)
	}
	if wait, found, err := s.NextLookup(t.Context()); err != nil || !found || wait > state.HoldBack {
		t.Errorf("the second event is acted on in %s, %t, %v; want within %s", wait, found, err, state.HoldBack)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.inbox WHERE processed_at IS NULL`); n != 1 {
		t.Errorf("%d events pending, want the second", n)
	}
}

// PostgreSQL's text accepts neither NUL nor broken UTF-8; the webhook still counts.
func TestStoreEventOddBytes(t *testing.T) {
	pool := pgtest.Pool(t)
	odd := "a\x00b\xffc"
	storeEvent(t, New(pool, "a"), Event{Name: odd, AssetID: odd, AssetType: odd, Self: odd, SourceTask: odd, Body: []byte(odd)})
	if got := lookupOf(t, pool, "a\uFFFDb\uFFFDc"); got.Requested != 1 {
		t.Errorf("got %+v", got)
	}
}

// An event that is not about an asset, or whose id cannot be one, is kept and needs no processing.
func TestStoreEventWithoutAsset(t *testing.T) {
	for name, id := range map[string]string{"none": "", "absurd": strings.Repeat("0123456789", 20_000)} {
		t.Run(name, func(t *testing.T) {
			pool := pgtest.Pool(t)
			storeEvent(t, New(pool, "a"), Event{Name: "task_removed", AssetID: id, SourceTask: "t"})
			if n := query[int](t, pool, `SELECT count(*) FROM damsync.inbox WHERE processed_at IS NOT NULL`); n != 1 {
				t.Errorf("%d done in the inbox, want 1", n)
			}
			if n := query[int](t, pool, `SELECT count(*) FROM damsync.lookup`); n != 0 {
				t.Errorf("%d lookups, want none", n)
			}
		})
	}
}

// Only the event names the task that an asset came from: it is stored at once, and the change is logged.
func TestStoreEventKeepsTheSourceTask(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	insertAsset(t, pool, "x")
	for range 2 { // delivered twice
		storeEvent(t, s, Event{Name: "asset_added", AssetID: "x", SourceTask: "task-1"})
	}
	storeEvent(t, s, Event{Name: "asset_modified", AssetID: "x"})
	if task := query[string](t, pool, `SELECT source_task FROM damsync.asset`); task != "task-1" {
		t.Errorf("source task %q", task)
	}
	changes := query[string](t, pool, `SELECT string_agg(concat_ws(' ', entity_id, field, old, new, observation), '; ') FROM damsync.change`)
	if want := `x source_task "" "task-1" webhook`; changes != want {
		t.Errorf("changes %q, want %q", changes, want)
	}
}

func TestPruneInbox(t *testing.T) {
	pool := pgtest.Pool(t)
	exec(t, pool, `
		INSERT INTO damsync.inbox (event_name, asset_id, asset_type, source_task, body, processed_at)
		SELECT 'asset_modified', 'x', '', '', '', processed_at
		FROM (VALUES (clock_timestamp() - interval '31 days', 5001), (clock_timestamp() - interval '29 days', 2), (NULL, 3)) v (processed_at, n),
			generate_series(1, v.n)`)
	pruned, err := New(pool, "a").PruneInbox(t.Context(), 30*24*time.Hour)
	if err != nil || pruned != 5001 {
		t.Errorf("pruned %d, %v", pruned, err)
	}
	if n := query[int](t, pool, `SELECT count(*) FROM damsync.inbox`); n != 5 {
		t.Errorf("%d events left, want 5", n)
	}
}
