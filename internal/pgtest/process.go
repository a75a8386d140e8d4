package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"sync/atomic"

	"damsync/internal/pgserver"
	"damsync/migrations"

	"github.com/jackc/pgx/v5/pgxpool"
)

// process is the share of one test binary in the server of the run.
type process struct {
	mu      sync.Mutex
	opened  bool
	openErr error // result of the first open

	base     *url.URL         // of the maintenance database
	server   *pgserver.Server // nil with DAMSYNC_TEST_DATABASE_URL
	pool     *pgxpool.Pool    // on the maintenance database
	owner    *ownerLock
	template string // name; empty until a test needs a migrated database
	strategy string // SQL clause that selects how to copy the template
	count    atomic.Int64
}

// open connects on first use. It does not retry after a failure.
func (p *process) open(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.opened {
		p.opened = true
		// The server outlives the test that opens it.
		p.openErr = p.connect(context.WithoutCancel(ctx))
	}
	return p.openErr
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
	key := 1 + rand.Int32N(math.MaxInt32) //nolint:gosec // part of a name, not a secret
	if p.owner, err = lockOwner(ctx, address, key); err != nil {
		return err
	}
	return p.removeLeftovers(ctx)
}

// address returns the server's URL. It starts the private server if necessary.
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

// close releases the server. It has no effect if no test used a database.
func (p *process) close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.owner != nil {
		err = p.owner.conn.Close(ctx)
	}
	if p.pool != nil {
		p.pool.Close()
	}
	if p.server != nil {
		err = errors.Join(err, p.server.Close(ctx))
	}
	return err
}

// url returns the URL of another database on the same server.
func (p *process) url(database string) string {
	u := *p.base
	u.Path = "/" + database
	return u.String()
}

func (p *process) createEmpty(ctx context.Context) (string, error) {
	name := p.nextName()
	return name, p.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE template0")
}

func (p *process) createMigrated(ctx context.Context) (string, error) {
	if err := p.ensureTemplate(ctx); err != nil {
		return "", fmt.Errorf("create template database: %w", err)
	}
	name := p.nextName()
	return name, p.exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+p.template+p.strategy)
}

func (p *process) drop(ctx context.Context, name string) error {
	return p.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

func (p *process) nextName() string {
	return fmt.Sprintf("%s%d", p.owner.prefix(), p.count.Add(1))
}

func (p *process) exec(ctx context.Context, sql string) error {
	if _, err := p.pool.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// ensureTemplate finds or creates the template on first use.
func (p *process) ensureTemplate(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.template != "" {
		return nil
	}
	var version int
	if err := p.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return err
	}
	if version >= 150000 {
		p.strategy = " STRATEGY FILE_COPY" // faster than the default for a small template
	}
	name := templatePrefix + migrations.Hash()
	if err := p.createTemplate(ctx, name); err != nil {
		return err
	}
	p.template = name
	return nil
}
