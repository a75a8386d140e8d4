package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"damsync/internal/pgtest"
	"damsync/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// Replicas that start at once must not hinder each other: one migrates, the others wait, and all end with the same
// schema.
func TestReplicasMigrateAtOnce(t *testing.T) {
	ctx, url := t.Context(), pgtest.EmptyURL(t)
	if err := migrations.Check(ctx, url); !errors.Is(err, migrations.ErrBehind) {
		t.Fatalf("before: %v, want ErrBehind", err)
	}
	results := make([]migrations.Result, 6)
	g, gctx := errgroup.WithContext(ctx)
	for i := range results {
		g.Go(func() (err error) {
			results[i], err = migrations.Apply(gctx, url)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(migrations.FS, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	applied := 0
	for _, r := range results {
		applied += r.Applied
		if r.Version != int64(len(files)) {
			t.Errorf("version %d, want %d", r.Version, len(files))
		}
	}
	if applied != len(files) {
		t.Errorf("%d migrations applied in all, want each of %d once", applied, len(files))
	}
	if err := migrations.Check(ctx, url); err != nil {
		t.Errorf("after: %v", err)
	}
}

func TestApplyAgainChangesNothing(t *testing.T) {
	ctx, url := context.Background(), pgtest.URL(t)
	r, err := migrations.Apply(ctx, url)
	if err != nil || r.Applied != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

// The published views exist, and none can be written through.
func TestReportIsReadOnly(t *testing.T) {
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, view := range []string{"assets", "placements", "changes", "failures", "runs", "quota_daily", "quota_month", "freshness"} {
		name := pgx.Identifier{"report", view}.Sanitize()
		if _, err := conn.Exec(ctx, `SELECT * FROM `+name); err != nil {
			t.Errorf("%s: %v", view, err)
		}
		if _, err := conn.Exec(ctx, `DELETE FROM `+name); err == nil {
			t.Errorf("%s can be written", view)
		}
	}
}

func TestHashNamesTheMigrations(t *testing.T) {
	if h := migrations.Hash(); !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(h) || h != migrations.Hash() {
		t.Errorf("hash %q", h)
	}
}
