package store

import (
	"context"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// inSpring is an asset in the folder that renamed gives another path.
func inSpring() library.Asset {
	return summary("x", func(a *library.Asset) { a.FolderID, a.FileLocation = "f2", "/Brand/Spring" })
}

func renamed() state.References {
	refs := references()
	refs.Folders[1].Name, refs.Folders[1].Path = "Summer", "/Brand/Summer"
	return refs
}

// byFolder belongs at the target under the path of its folder.
func byFolder() state.Evaluate {
	return at("brand", func(k state.Snapshot) string { return k.Folder + "/" + k.Asset.ID })
}

// writers returns the calls that plan the asset in the transaction that writes it.
func writers() map[string]func(ctx context.Context, s *Store, evaluate state.Evaluate) error {
	return map[string]func(ctx context.Context, s *Store, evaluate state.Evaluate) error{
		"page": func(ctx context.Context, s *Store, evaluate state.Evaluate) error {
			changed := inSpring()
			changed.Title = "Another"
			_, err := s.ApplySummaries(ctx, swept(), second(2), []library.Asset{changed}, evaluate)
			return err
		},
		"reading": func(ctx context.Context, s *Store, evaluate state.Evaluate) error {
			_, err := s.ApplyFetched(ctx, state.Lookup{AssetID: "x"}, reading(inSpring(), second(2)), evaluate)
			return err
		},
		"plan": func(ctx context.Context, s *Store, evaluate state.Evaluate) error {
			return s.PlanAssets(ctx, swept(), []string{"x"}, evaluate)
		},
	}
}

func paths(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return lines(t, pool, `SELECT desired_path FROM damsync.placement`)
}

// A plan made with the old path of a folder is committed before the epoch rises, so that the planner, which starts then,
// finds it.
func TestFolderIsRenamedWhileAnAssetIsJudged(t *testing.T) {
	for name, write := range writers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			s := New(pool, "a")
			applyReferences(t, s, references())
			apply(t, s, second(1), nil, inSpring())

			judging, goOn, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			go func() {
				written <- write(t.Context(), s, func(now time.Time, k state.Snapshot) state.Decisions {
					close(judging)
					<-goOn
					return byFolder()(now, k)
				})
			}()
			<-judging
			applied := make(chan error, 1)
			go func() {
				_, err := s.ApplyReferences(t.Context(), state.Observation{Kind: "references"}, renamed())
				applied <- err
			}()
			mustWait(t, pool, applied)
			close(goOn)
			must(t, <-written)
			must(t, <-applied)
			if _, err := s.PlanNext(t.Context(), swept(), "", 10, byFolder()); err != nil {
				t.Fatal(err)
			}
			if got, want := paths(t, pool), []string{"/Brand/Summer/x"}; !gocmp.Equal(got, want) {
				t.Errorf("planned %v, want %v", got, want)
			}
		})
	}
}

// An asset that is written while a folder's new path is being committed is planned with the new path.
func TestAssetIsJudgedWhileAFolderIsRenamed(t *testing.T) {
	for name, write := range writers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			s := New(pool, "a")
			applyReferences(t, s, references())
			apply(t, s, second(1), nil, inSpring())

			tx, err := pool.Begin(t.Context())
			must(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			for _, sql := range []string{
				`UPDATE damsync.folder SET path = '/Brand/Summer' WHERE id = 'f2'`,
				`SELECT pg_advisory_xact_lock(` + referencesLock + `)`,
			} {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			written := make(chan error, 1)
			go func() { written <- write(t.Context(), s, byFolder()) }()
			mustWait(t, pool, written)
			must(t, tx.Commit(t.Context()))
			must(t, <-written)
			if got, want := paths(t, pool), []string{"/Brand/Summer/x"}; !gocmp.Equal(got, want) {
				t.Errorf("planned %v, want %v", got, want)
			}
		})
	}
}

// mustWait returns when a session waits for an advisory lock of the database. The test fails when ended delivers first;
// what it delivers is put back.
func mustWait(t *testing.T, pool *pgxpool.Pool, ended chan error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			t.Error("it did not wait")
			ended <- err
			return
		case <-tick.C:
			if lockAwaited(t, pool) {
				return
			}
		}
	}
}
