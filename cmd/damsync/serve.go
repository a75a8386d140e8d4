package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"damsync/cmp"
	"damsync/internal/buildinfo"
	"damsync/internal/httpserver"
	"damsync/migrations"
	"damsync/store"
	"damsync/sync"
)

func newServe(p process) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: receive webhooks, observe the library, push to the targets",
		Long: `serve runs until SIGTERM or Ctrl-C. It then finishes its current work or releases it.
Several daemons on one database share the work; one of them leads.

It receives webhooks on http.listen at webhook.path. On the same address it answers
/healthz (the process), /readyz (database, schema and token) and /metrics (Prometheus).`,
		Example: "  damsync serve --config /etc/damsync/config.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, migrate: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			listener, err := a.listen(cmd.Context())
			if err != nil {
				return err
			}
			return a.serve(cmd.Context(), listener)
		},
	}
	configFlag(cmd, &file)
	return cmd
}

func (a *app) listen(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.HTTP.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for webhooks (http.listen): %w", err)
	}
	return l, nil
}

// serve runs the daemon on listener until ctx ends.
func (a *app) serve(ctx context.Context, listener net.Listener) error {
	m := newMetrics(a)
	a.targetCalls = m.observeTarget
	client, login, err := a.library(m.observe)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	engine, err := a.engine(ctx, client)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if a.cfg.Webhook.Secret.IsZero() {
		a.log.Warn().Msg("webhook.secret is empty; every webhook is rejected, and changes are found on schedule only")
	}
	server := httpserver.New(httpserver.Options{
		WebhookPath: a.cfg.Webhook.Path, WebhookSecret: a.cfg.Webhook.Secret, Inbox: inbox{a.store},
		Ready: a.ready(login, engine), Metrics: m.handler(), Count: m.countWebhook, Log: a.log,
	})
	a.log.Debug().Interface("config", a.cfg.Redacted()).Msg("configuration")
	a.log.Info().Str("version", buildinfo.Version()).Str("listen", listener.Addr().String()).Strs("targets", a.targetNames()).Msg("serving")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return server.Serve(ctx, listener) })
	g.Go(func() error { return engine.Serve(ctx) })
	g.Go(func() error { return a.keepDatabase(ctx) })
	err = g.Wait()
	a.log.Info().Msg("stopped")
	return err
}

// inbox lets the webhook receiver store events without importing store.
type inbox struct{ store *store.Store }

func (i inbox) Store(ctx context.Context, e httpserver.InboxEvent) error {
	return i.store.StoreEvent(ctx, store.Event(e))
}

// ready returns the readiness checks of the daemon: database, schema and token. A check without an
// error has passed.
func (a *app) ready(login *cmp.OAuth, engine *sync.Engine) func(context.Context) map[string]error {
	return func(ctx context.Context) map[string]error {
		checks := map[string]error{"database": nil, "schema": nil, "token": nil}
		if err := a.pool.Ping(ctx); err != nil {
			checks["database"] = errors.New("PostgreSQL does not answer")
			return checks
		}
		checks["schema"] = migrations.Check(ctx, a.url)
		if failure := engine.LibraryFailure(); failure != nil && errors.Is(failure.Err, cmp.ErrAuth) {
			checks["token"] = failure.Err
			return checks
		}
		if _, err := login.Token(ctx); err != nil {
			checks["token"] = err
		}
		return checks
	}
}

// keepDatabase restarts a private PostgreSQL that stopped unexpectedly. It returns when ctx ends.
func (a *app) keepDatabase(ctx context.Context) error {
	if a.pg == nil {
		return nil
	}
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := a.pool.Ping(ctx); err == nil || ctx.Err() != nil {
			continue
		}
		if err := a.pg.Ensure(ctx); err != nil && ctx.Err() == nil {
			a.log.Error().Err(err).Msg("restarting the private PostgreSQL failed")
		}
	}
}
