package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"damsync/dam"
	"damsync/internal/buildinfo"
	"damsync/internal/config"
	"damsync/internal/grant"
	"damsync/internal/pgserver"
	"damsync/internal/secret"
	"damsync/migrations"
	"damsync/store"
)

// app holds what the commands share: configuration, log and database.
type app struct {
	cfg   *config.Config
	log   zerolog.Logger
	env   func(string) (string, bool)
	pg    *pgserver.Server // nil with a database of the user's own
	url   string
	pool  *pgxpool.Pool
	store *store.Store

	targetCalls func(target string, c dam.Call) // observes each call to a target; nil without metrics
}

// appOptions selects how openApp opens an app.
type appOptions struct {
	configFile string
	quiet      bool // log warnings only: the command prints its own output
	migrate    bool // migrate an older schema; without it, an older schema is an error
}

// openApp loads the configuration and opens the database. It joins a running private server, or
// starts one for the duration of the command.
func openApp(ctx context.Context, p process, o appOptions) (*app, error) {
	cfg, err := loadConfig(o.configFile, p.env)
	if err != nil {
		return nil, err
	}
	return openWith(ctx, p, cfg, o)
}

// loadConfig reads and validates the configuration, including the adapters' options, before
// anything is touched.
func loadConfig(file string, env func(string) (string, bool)) (*config.Config, error) {
	if err := secret.CheckVariable(env); err != nil {
		return nil, err
	}
	return config.Load(file, env, knownAdapters())
}

func openWith(ctx context.Context, p process, cfg *config.Config, o appOptions) (*app, error) {
	a := &app{cfg: cfg, log: newLog(p, cfg.Log, o.quiet), env: p.env, url: cfg.Database.URL.Reveal()}
	if err := a.openDatabase(ctx, o); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *app) openDatabase(ctx context.Context, o appOptions) error {
	if a.url == "" {
		pg, err := pgserver.Open(ctx, pgserver.Options{DataDir: a.cfg.DataDir, Log: a.log})
		if err != nil {
			return err
		}
		a.pg, a.url = pg, pg.URL()
	}
	if err := a.schema(ctx, o.migrate); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	pool, err := store.Connect(ctx, a.url)
	if err != nil {
		return err
	}
	a.pool, a.store = pool, store.New(pool, processID())
	return nil
}

// schema migrates the database if migrate is set, and checks its version otherwise. Every command
// may migrate a private database, which only damsync uses, and an empty one, which holds no data.
func (a *app) schema(ctx context.Context, migrate bool) error {
	if !migrate && a.pg == nil {
		if err := migrations.Check(ctx, a.url); !errors.Is(err, migrations.ErrMissing) {
			return err
		}
	}
	result, err := migrations.Apply(ctx, a.url)
	if err != nil {
		return err
	}
	if result.Applied > 0 {
		a.log.Info().Int("applied", result.Applied).Int64("version", result.Version).Msg("schema migrated")
	}
	return nil
}

// close closes the database. A private server stops when no other process uses it.
func (a *app) close() error {
	if a.pool != nil {
		a.pool.Close()
	}
	if a.pg == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := a.pg.Close(ctx); err != nil {
		return fmt.Errorf("close private PostgreSQL: %w", err)
	}
	return nil
}

// closing closes the app and joins the error to *err. It is meant to be deferred.
func (a *app) closing(err *error) { *err = errors.Join(*err, a.close()) }

// processID identifies this process among the replicas.
func processID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), buildinfo.Unique())
}

func newLog(p process, c config.Log, quiet bool) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		level = zerolog.InfoLevel // unreachable: config validates the level
	}
	if quiet {
		level = max(level, zerolog.WarnLevel)
	}
	if c.Format == "console" || quiet {
		w := zerolog.ConsoleWriter{Out: p.stderr, TimeFormat: time.TimeOnly, NoColor: !terminal(p.stderr)}
		return zerolog.New(w).Level(level).With().Timestamp().Logger()
	}
	return zerolog.New(zerolog.SyncWriter(p.stderr)).Level(level).With().Timestamp().Logger()
}

// quota returns the limits of the organization. Every process must use the same ones.
func (a *app) quota() store.LedgerConfig {
	c := a.cfg.CMP
	return store.LedgerConfig{
		PerSecond: c.RequestsPerSecond, PerMonth: int64(c.RequestsPerMonth), Reserved: int64(c.RequestsReserved),
		Rolling: c.Month == config.MonthRolling,
		Budget:  grant.DefaultBudget(int64(c.RequestsPerMonth - c.RequestsReserved)),
	}
}

func (a *app) targetNames() []string {
	names := make([]string, len(a.cfg.Targets))
	for i, t := range a.cfg.Targets {
		names[i] = t.Spec.Name
	}
	return names
}

// knownTarget returns a usage error if the configuration has no target of that name.
func (a *app) knownTarget(name string) error {
	for _, have := range a.targetNames() {
		if have == name {
			return nil
		}
	}
	return usage("no target %q in the configuration; it has %v", name, a.targetNames())
}
