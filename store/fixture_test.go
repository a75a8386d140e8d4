package store

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
)

// tb is what helpers need of a test, a benchmark or a rapid check.
type tb interface {
	Helper()
	Context() context.Context
	Fatalf(format string, args ...any)
}

// second returns a time n seconds after noon of the day on which tests read the library.
func second(n int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, n, 0, time.UTC)
}

func swept() state.Observation { return state.Observation{Kind: "sweep", Class: grant.Sweep} }
func polled() state.Observation {
	return state.Observation{Kind: "incremental", Class: grant.Incremental}
}

// summary returns a list row of the library.
func summary(id string, changes ...func(*library.Asset)) library.Asset {
	a := library.Asset{
		ID: id, Type: "image", Title: "Title of " + id, MIMEType: "image/png", FileExtension: "png",
		CreatedAt: second(-1000), ModifiedAt: second(-500), FileLocation: "/", OwnerOrganizationID: "org",
		Self: "https://cmp.test/images/" + id, Raw: json.RawMessage(`{"id":"` + id + `"}`),
		Labels: []library.Label{{
			Group:  library.Named{ID: "g1", Name: "Status"},
			Values: []library.Named{{ID: "v1", Name: "Approved"}, {ID: "v2", Name: "Final"}},
		}},
	}
	for _, change := range changes {
		change(&a)
	}
	return a
}

func titled(title string) func(*library.Asset) {
	return func(a *library.Asset) { a.Title = title }
}

func modified(at time.Time) func(*library.Asset) {
	return func(a *library.Asset) { a.ModifiedAt = at }
}

func apply(t tb, s *Store, readAt time.Time, evaluate state.Evaluate, rows ...library.Asset) state.Applied {
	t.Helper()
	applied, err := s.ApplySummaries(t.Context(), swept(), readAt, rows, evaluate)
	if err != nil {
		t.Fatalf("apply summaries: %v", err)
	}
	return applied
}

// at is a rule for tests: path returns where an asset belongs at target; empty when it does not belong there.
func at(target string, path func(state.Snapshot) string) state.Evaluate {
	return func(_ time.Time, k state.Snapshot) state.Decisions {
		next := state.Desired{}
		if p := path(k); p != "" && !k.Gone {
			metadata := json.RawMessage(fmt.Sprintf(`{"title":%q}`, k.Asset.Title))
			next = state.Desired{Present: true, Path: p, Version: "1", Metadata: metadata, MetadataHash: sha256.Sum256(metadata)}
		}
		before := k.Desired[target]
		if before.Present == next.Present && before.Path == next.Path && before.MetadataHash == next.MetadataHash {
			return state.Decisions{}
		}
		if !next.Present {
			next.Metadata, next.Reason = json.RawMessage("{}"), "does not belong there"
		}
		return state.Decisions{Changes: []state.Change{{Target: target, Desired: next, Guarded: before.Present && !next.Present}}}
	}
}

// everything is a rule by which each asset belongs at target, under its id.
func everything(target string) state.Evaluate {
	return at(target, func(k state.Snapshot) string { return "/" + k.Asset.ID })
}

// nothing is a rule by which no asset belongs at target.
func nothing(target string) state.Evaluate {
	return at(target, func(state.Snapshot) string { return "" })
}

// needing is a rule that reads level.
func needing(level library.Level) state.Evaluate {
	return func(time.Time, state.Snapshot) state.Decisions { return state.Decisions{Needs: level} }
}

func claimOne(t *testing.T, s *Store) state.Lookup {
	t.Helper()
	claims, err := s.ClaimLookups(t.Context(), 10, time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %+v, %v, want one lookup", claims, err)
	}
	return claims[0]
}

func want1(t *testing.T, s *Store, id string) {
	t.Helper()
	must(t, s.RequestLookups(t.Context(), swept(), "sweep", false, []state.Ref{{ID: id}}))
}

// reading returns what a lookup of the asset finds. Its detail repeats neither all of the summary nor the fields.
func reading(a library.Asset, readAt time.Time, changes ...func(*state.Fetched)) state.Fetched {
	r := state.Fetched{Asset: a, ReadAt: readAt, GraceOver: true, Detail: library.Detail{
		Description: "A tree", AltText: "tree", Tags: []string{"green"}, Size: 7, VersionNumber: 1, VersionID: "v1",
		OwnerID: "ann", Raw: json.RawMessage(`{"alt_text":"tree"}`),
	}}
	for _, change := range changes {
		change(&r)
	}
	r.Detail.Hash = sha256.Sum256(fmt.Append(nil, r.Detail))
	return r
}

func described(text string) func(*state.Fetched) {
	return func(r *state.Fetched) { r.Detail.Description = text }
}

func withFields(values ...library.FieldValue) func(*state.Fetched) {
	return func(r *state.Fetched) {
		r.Fields = &library.Fields{Values: values, Raw: json.RawMessage(`{}`), Hash: sha256.Sum256(fmt.Append(nil, values))}
	}
}

func applyFetched(t *testing.T, s *Store, l state.Lookup, r state.Fetched, evaluate state.Evaluate) state.Applied {
	t.Helper()
	applied, err := s.ApplyFetched(t.Context(), l, r, evaluate)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func claimWork(t tb, s *Store, target string, n int) []state.Work {
	t.Helper()
	work, err := s.ClaimPlacements(t.Context(), target, n, time.Minute)
	if err != nil {
		t.Fatalf("claim placements: %v", err)
	}
	return work
}

func claimOneWork(t tb, s *Store, target string) state.Work {
	t.Helper()
	work := claimWork(t, s, target, 10)
	if len(work) != 1 {
		t.Fatalf("claimed %+v, want one placement", work)
	}
	return work[0]
}

// done is what is at the target when the work is done.
func done(w state.Work) state.Object {
	if !w.Desired.Present {
		return state.Object{State: "absent"}
	}
	return state.Object{
		State: "present", Path: w.Desired.Path, Version: w.Desired.Version, MetadataHash: w.Desired.MetadataHash,
		Generation: w.Generation, SHA256: "00ff", Size: 7, Ref: "ref-" + w.AssetID,
		Token: "token-" + w.AssetID, Hash: "md5:00ff",
	}
}

// place carries out all dirty placements at target.
func place(t tb, s *Store, target string) {
	t.Helper()
	for {
		work := claimWork(t, s, target, 100)
		for _, w := range work {
			must(t, s.FinishPlacement(t.Context(), w, done(w)))
		}
		if len(work) == 0 {
			return
		}
	}
}

func must(t tb, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// versions returns the version of every row of the tables that observations write. Rewriting a row changes it.
func versions(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return rowsOf(t, pool, "ctid, xmin")
}

// touches is like versions, but locking a row changes it, too.
func touches(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return rowsOf(t, pool, "ctid, xmin, xmax")
}

func rowsOf(t *testing.T, pool *pgxpool.Pool, columns string) []string {
	t.Helper()
	var all []string
	for _, table := range []string{"asset", "asset_detail", "asset_fields", "placement", "lookup", "change", "decision_failure", "folder"} {
		all = append(all, lines(t, pool, `SELECT concat_ws(' ', '`+table+`', `+columns+`) FROM damsync.`+table+` ORDER BY ctid`)...)
	}
	return all
}

// soon is where a fake clock starts: a little after the times of column defaults, which it does not control.
func soon() time.Time { return time.Now().Add(time.Hour).Truncate(time.Second) }
