// Package roomtest is what the tests of single rooms of the engine share: a database in which a test says itself what
// a target should hold, and a library that only gives bytes. No observation is involved.
package roomtest

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
	"damsync/store"
	"damsync/sync/plan"
)

// The installation and the target of every test.
const (
	Instance = "installation"
	Target   = "target"
)

// Database is a store with what its assets should be at Target.
type Database struct {
	*store.Store
	Pool *pgxpool.Pool
	tb   testing.TB
}

// NewDatabase returns a new database, which ends with the test.
func NewDatabase(tb testing.TB) *Database {
	tb.Helper()
	pool := pgtest.Pool(tb)
	return &Database{Store: store.New(pool, "this process"), Pool: pool, tb: tb}
}

// Asset returns an image that was last modified on 2026-03-01.
func Asset(id string) library.Asset {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return library.Asset{
		ID: id, Type: library.TypeImage, Title: "Title of " + id, MIMEType: "image/png", CreatedAt: at, ModifiedAt: at,
		FileLocation: "/", OwnerOrganizationID: "org", Raw: json.RawMessage(`{"id":` + strconv.Quote(id) + `}`),
	}
}

// Mirror writes assets to the mirror and plans nothing.
func (d *Database) Mirror(assets ...library.Asset) {
	d.tb.Helper()
	now, err := d.Now(d.tb.Context())
	d.must(err)
	_, err = d.ApplySummaries(d.tb.Context(), state.Observation{Kind: state.KindSweep, Class: grant.Sweep}, now, assets,
		func(time.Time, state.Snapshot) state.Decisions { return state.Decisions{} })
	d.must(err)
}

// At is an asset that should be at the target: at path, in a version of its bytes, with title as its metadata.
func At(path, version, title string) state.Desired {
	metadata, err := json.Marshal(map[string]string{"title": title})
	if err != nil {
		panic(err) // text is always encoded
	}
	return state.Desired{Present: true, Path: path, Version: version, Metadata: metadata, MetadataHash: sha256.Sum256(metadata)}
}

// Want plans what should be at the target, by asset, and mirrors the assets that are new.
func (d *Database) Want(want map[string]state.Desired) {
	d.tb.Helper()
	ids := slices.Sorted(maps.Keys(want))
	for _, id := range ids {
		if Query[int](d, `SELECT count(*) FROM damsync.asset WHERE id = $1`, id) == 0 {
			d.Mirror(Asset(id))
		}
	}
	d.plan(ids, func(id string) state.Change { return state.Change{Target: Target, Desired: want[id]} })
}

// Remove plans that assets leave the target. Guarded removals wait for the removal guard.
func (d *Database) Remove(guarded bool, ids ...string) {
	d.tb.Helper()
	d.plan(ids, func(string) state.Change {
		gone := state.Desired{Metadata: json.RawMessage("{}"), Reason: "no longer selected"}
		return state.Change{Target: Target, Desired: gone, Guarded: guarded}
	})
}

func (d *Database) plan(ids []string, change func(id string) state.Change) {
	d.tb.Helper()
	evaluate := func(_ time.Time, k state.Snapshot) state.Decisions {
		return state.Decisions{Changes: []state.Change{change(k.Asset.ID)}}
	}
	d.must(d.PlanAssets(d.tb.Context(), state.Observation{Kind: state.KindPlan, Class: grant.Sweep}, ids, evaluate))
}

// Hurry ends every wait for another attempt, the target's pause included.
func (d *Database) Hurry() {
	d.tb.Helper()
	d.Exec(`UPDATE damsync.placement SET next_attempt_at = clock_timestamp()`)
	d.Exec(`UPDATE damsync.target SET paused_until = clock_timestamp()`)
}

// Exec changes the database behind the store's back.
func (d *Database) Exec(sql string, args ...any) {
	d.tb.Helper()
	if _, err := d.Pool.Exec(d.tb.Context(), sql, args...); err != nil {
		d.tb.Fatalf("%s: %v", sql, err)
	}
}

// Query returns the one value of the one row that sql finds.
func Query[T any](d *Database, sql string, args ...any) T {
	d.tb.Helper()
	var v T
	if err := d.Pool.QueryRow(d.tb.Context(), sql, args...).Scan(&v); err != nil {
		d.tb.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (d *Database) must(err error) {
	d.tb.Helper()
	if err != nil {
		d.tb.Fatal(err)
	}
}

// Rule is the compiled rule of Target. The zero limit is the default one.
func Rule(tb testing.TB, mode plan.RemoveMode, limit plan.RemovalLimit) *plan.Target {
	tb.Helper()
	rule, problems := plan.Compile(plan.Spec{Name: Target, OnRemove: mode, RemovalLimit: limit})
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	return rule
}
