// Package migrations holds the database schema as numbered SQL files and applies them. Tables are in schema damsync, the
// published views in schema report.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // goose speaks database/sql
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

// FS holds the migrations as goose SQL files.
//
//go:embed *.sql
var FS embed.FS

const versionTable = "damsync.schema_version"

// ErrBehind is the error class of a database whose schema is not the newest.
var ErrBehind = errors.New("database schema is not up to date: run damsync migrate")

// ErrMissing is the error class of a database that has no schema yet. It is also ErrBehind.
var ErrMissing error = missing{}

type missing struct{}

func (missing) Error() string        { return "database has no schema: run damsync migrate" }
func (missing) Is(target error) bool { return target == ErrBehind }

// Result says what Apply did.
type Result struct {
	Applied int   // migrations run by this call; another process may have run the rest
	Version int64 // of the schema afterwards
}

// Apply brings the database at url to the newest schema. It is idempotent. Several processes may call it at once: one
// applies, and the others poll a try-lock, which cannot deadlock.
func Apply(ctx context.Context, url string) (Result, error) {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return Result{}, fmt.Errorf("open database: %w", err)
	}
	defer func() { _ = db.Close() }()
	if err := createSchema(ctx, db); err != nil {
		return Result{}, err
	}
	p, err := provider(db)
	if err != nil {
		return Result{}, err
	}
	done, err := p.Up(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("apply migrations: %w", err)
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("read schema version: %w", err)
	}
	return Result{Applied: len(done), Version: version}, nil
}

// Check returns ErrBehind when the schema at url is older than this program, and ErrMissing when there is no schema.
func Check(ctx context.Context, url string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer func() { _ = db.Close() }()
	var exists bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&exists); err != nil {
		return fmt.Errorf("find schema: %w", err)
	}
	if !exists {
		return ErrMissing
	}
	p, err := provider(db)
	if err != nil {
		return err
	}
	pending, err := p.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if pending {
		return ErrBehind
	}
	return nil
}

// Hash identifies the set of migrations; tests name their template database by it.
func Hash() string {
	h := sha256.New()
	names, err := fs.Glob(FS, "*.sql")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, name := range names {
		text, err := FS.ReadFile(name)
		if err != nil {
			panic(err) // embedded
		}
		fmt.Fprintf(h, "%s\n%d\n%s", name, len(text), text)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// createSchema creates the schema that holds goose's version table. When two processes do so at once, PostgreSQL reports
// a duplicate to one of them, which tries again.
func createSchema(ctx context.Context, db *sql.DB) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		_, err := db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS damsync`)
		var pg *pgconn.PgError
		if err != nil && (!errors.As(err, &pg) || pg.Code != "23505") {
			return struct{}{}, backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithMaxTries(5))
	if err != nil {
		return fmt.Errorf("create schema: %w", err)
	}
	return nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, fmt.Errorf("make migration lock: %w", err)
	}
	store, err := database.NewStore(database.DialectPostgres, versionTable)
	if err != nil {
		return nil, fmt.Errorf("make version store: %w", err)
	}
	p, err := goose.NewProvider("", db, FS, goose.WithStore(store), goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return p, nil
}
