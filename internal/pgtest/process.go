package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"

	"damsync/internal/pgserver"
	"damsync/migrations"

	"github.com/jackc/pgx/v5/pgxpool"
)

// process is one test binary's share in the server of the run.
type process struct {
	mu      sync.Mutex
	opened  bool
	failure error

	base     *url.URL         // the maintenance database
	server   *pgserver.Server // nil with DAMSYNC_TEST_DATABASE_URL
	pool     *pgxpool.Pool    // on the maintenance database
	mark     *mark
	template string
	count    atomic.Int64
}

// open connects on first use; a failure is final.
func (p *process) open(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.opened {
		p.opened = true
		// The server outlives the test that needs it first.
		p.failure = p.connect(context.WithoutCancel(ctx))
	}
	return p.failure
}

func (p *process) connect(ctx context.Context) error {
	address, err := p.address(ctx)
	if err != nil {
		return err
	}
	if p.base, err = url.Parse(address); err != nil || p.base.Scheme == "" {
		return errors.New("DAMSYNC_TEST_DATABASE_URL is not a URL (postgres://user@host/database)")
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return err
	}
	config.MaxConns = 2
	if p.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	if p.mark, err = setMark(ctx, address, rand.Int64()); err != nil {
		return err
	}
	return p.removeLeftovers(ctx)
}

// address returns the server's URL, starting the private one if need be.
func (p *process) address(ctx context.Context) (string, error) {
	if address := os.Getenv("DAMSYNC_TEST_DATABASE_URL"); address != "" {
		return address, nil
	}
	dir, err := sharedDir(ctx)
	if err != nil {
		return "", err
	}
	p.server, err = pgserver.Open(ctx, pgserver.Options{DataDir: dir, Unsafe: true, MaxConnections: 300})
	if err != nil {
		return "", err
	}
	return p.server.URL(), nil
}

// close gives up the share. Nothing happens when no test asked for a database.
func (p *process) close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.mark != nil {
		err = p.mark.conn.Close(ctx)
	}
	if p.pool != nil {
		p.pool.Close()
	}
	if p.server != nil {
		err = errors.Join(err, p.server.Close(ctx))
	}
	return err
}

// url returns the address of another database on the same server.
func (p *process) url(database string) string {
	u := *p.base
	u.Path = "/" + database
	return u.String()
}

func (p *process) empty(ctx context.Context) (string, error) {
	name := p.nextName()
	return name, p.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0")
}

func (p *process) migrated(ctx context.Context) (string, error) {
	template, strategy, err := p.ensureTemplate(ctx)
	if err != nil {
		return "", err
	}
	name := p.nextName()
	return name, p.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+strategy)
}

func (p *process) drop(ctx context.Context, name string) error {
	return p.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

func (p *process) nextName() string {
	return fmt.Sprintf("%s%d", p.mark.prefix(), p.count.Add(1))
}

func (p *process) exec(ctx context.Context, sql string) error {
	if _, err := p.pool.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// ensureTemplate returns the name of the migrated template and how to copy it.
func (p *process) ensureTemplate(ctx context.Context) (name, strategy string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	version, err := p.version(ctx)
	if err != nil {
		return "", "", err
	}
	if version >= 150000 {
		strategy = " STRATEGY FILE_COPY" // faster than the default for a template this small
	}
	if p.template != "" {
		return p.template, strategy, nil
	}
	name = templatePrefix + migrations.Hash()
	if err := p.makeTemplate(context.WithoutCancel(ctx), name); err != nil {
		return "", "", fmt.Errorf("make template database: %w", err)
	}
	p.template = name
	return name, strategy, nil
}

func (p *process) version(ctx context.Context) (version int, err error) {
	err = p.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("ask the server for its version: %w", err)
	}
	return version, nil
}
