package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"damsync/cmp/cmpsim"
	"damsync/internal/config"
	"damsync/internal/state"
	"damsync/store"
)

func newDemo(p process) *cobra.Command {
	o := demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch damsync work: a private PostgreSQL, a simulated CMP, a folder of approved images",
		Long: `demo needs no CMP account and no configuration. It starts a private PostgreSQL, a
simulated CMP with folders, labels, fields and pictures, and the daemon with one
target: approved images under /Brand, as files in a folder. Then it edits assets in
the simulated CMP and prints the time from each webhook to the changed file. It runs
until Ctrl-C; with --once it ends when the folder is in sync.`,
		Example: `  damsync demo
  damsync demo --once --assets 100 --dir /tmp/damsync-demo`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.assets < 1 {
				return usage("--assets must be at least 1")
			}
			return runDemo(cmd.Context(), p, o)
		},
	}
	cmd.Flags().BoolVar(&o.once, "once", false, "end when the folder is in sync")
	cmd.Flags().IntVar(&o.assets, "assets", 300, "number of assets in the simulated library")
	cmd.Flags().StringVar(&o.dir, "dir", "", "`DIR` for all files (default: a new temporary directory)")
	return cmd
}

type demoOptions struct {
	once   bool
	assets int
	dir    string
}

// demo is a running demonstration.
type demo struct {
	p    process
	o    demoOptions
	sim  *cmpsim.Simulator
	app  *app
	root string // the target's files
	file string // the configuration
}

func runDemo(ctx context.Context, p process, o demoOptions) (err error) {
	d := &demo{p: p, o: o}
	if err := d.makeDir(); err != nil {
		return err
	}
	sim := cmpsim.New(cmpsim.Options{
		Seed: 1, Assets: o.assets, RequestsPerSecond: cmpsim.DefaultRequestsPerSecond, RequestsPerMonth: cmpsim.DefaultRequestsPerMonth,
		Webhooks: cmpsim.WebhookOptions{Workers: 4}, Behavior: cmpsim.Behavior{EventsOnDetails: true},
	})
	endpoints, err := sim.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start simulated CMP: %w", err)
	}
	d.sim = sim
	defer func() { err = errors.Join(err, sim.Close()) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for webhooks: %w", err)
	}
	defer func() { _ = listener.Close() }() // already closed if serve ran
	cfg, err := d.configure(endpoints, listener.Addr().String())
	if err != nil {
		return err
	}
	d.say("starting a private PostgreSQL under %s", cfg.DataDir)
	if d.app, err = openWith(ctx, p, cfg, appOptions{migrate: true}); err != nil {
		return err
	}
	defer d.app.closing(&err)
	if err := sim.RegisterWebhook(cmpsim.Webhook{Name: "damsync", URL: "http://" + listener.Addr().String() + cfg.Webhook.Path, Secret: endpoints.WebhookSecret}); err != nil {
		return fmt.Errorf("register webhook: %w", err)
	}
	return d.run(ctx, listener)
}

// run serves and shows edits at the same time.
func (d *demo) run(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.app.serve(ctx, listener) })
	g.Go(func() error {
		defer stop()
		err := d.show(ctx)
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // Ctrl-C, or serve failed and returns the reason
		}
		return err
	})
	return g.Wait()
}

func (d *demo) show(ctx context.Context) error {
	d.say("a simulated CMP holds %d assets; approved images under /Brand go to %s", d.o.assets, d.root)
	if err := d.awaitSync(ctx); err != nil {
		return err
	}
	d.say("\nan editor works in the CMP; time from the webhook of each edit to the file:")
	if err := d.edits(ctx); err != nil {
		return err
	}
	if err := d.awaitSync(ctx); err != nil {
		return err
	}
	if err := d.summary(ctx); err != nil {
		return err
	}
	if d.o.once {
		return nil
	}
	d.say("\nthe editor continues until Ctrl-C")
	return d.editForever(ctx)
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.p.stdout, format+"\n", args...) }

func (d *demo) makeDir() error {
	if d.o.dir == "" {
		dir, err := os.MkdirTemp("", "damsync-demo-")
		if err != nil {
			return fmt.Errorf("make a directory for the demo: %w", err)
		}
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // G302: the user opens the pictures
			return fmt.Errorf("make the demo's directory readable: %w", err)
		}
		d.o.dir = dir
	}
	dir, err := filepath.Abs(d.o.dir)
	if err != nil {
		return fmt.Errorf("resolve directory %s: %w", d.o.dir, err)
	}
	d.o.dir, d.root, d.file = dir, filepath.Join(dir, "approved"), filepath.Join(dir, "config.yaml")
	if _, err := os.Stat(d.file); err == nil {
		return usage("%s holds an earlier demo; name another --dir or remove it", dir)
	}
	if err := os.MkdirAll(d.root, 0o755); err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	return nil
}

//go:embed demo.yaml.tmpl
var demoConfig string

// configure writes a configuration file, which other commands can use too.
func (d *demo) configure(e cmpsim.Endpoints, listen string) (*config.Config, error) {
	t, err := template.New("config").Parse(demoConfig)
	if err != nil {
		return nil, fmt.Errorf("read the demo's configuration: %w", err)
	}
	var text strings.Builder
	values := struct {
		cmpsim.Endpoints
		DataDir, Listen, Root string
	}{e, filepath.Join(d.o.dir, "data"), listen, d.root}
	if err := t.Execute(&text, values); err != nil {
		return nil, fmt.Errorf("fill the demo's configuration: %w", err)
	}
	if err := os.WriteFile(d.file, []byte(text.String()), 0o600); err != nil {
		return nil, fmt.Errorf("write the demo's configuration: %w", err)
	}
	return loadConfig(d.file, d.p.env)
}

// awaitSync shows progress until the target is in sync with the library.
func (d *demo) awaitSync(ctx context.Context) error {
	progress := newProgress(d.p.stdout)
	defer progress.end()
	for {
		st, err := d.status(ctx)
		if err != nil {
			return err
		}
		t := st.Targets[0]
		progress.show(fmt.Sprintf("mirrored %d of %d assets, %d to read, %d of %d approved images in place, %d requests used",
			st.Mirror.Assets, len(d.sim.AssetIDs()), st.Lookups.Pending+st.Lookups.Failed, t.InSync, t.Desired, st.Quota.Used))
		if synced, err := d.inSync(st); err != nil || synced {
			return err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *demo) status(ctx context.Context) (store.Status, error) {
	return d.app.store.Status(ctx, d.app.quota(), d.app.targetNames()...)
}

// inSync reports whether no work is left and the daemon's counts match the simulated library.
func (d *demo) inSync(st store.Status) (bool, error) {
	t := st.Targets[0]
	if st.Lookups.Pending+st.Lookups.Failed+st.Inbox.Pending+t.Pending+t.Failed > 0 || st.Observations[state.KindSweep].LastSuccess == nil {
		return false, nil
	}
	assets, err := d.sim.Assets(0, 0, false)
	if err != nil {
		return false, fmt.Errorf("read the simulated library: %w", err)
	}
	selected := 0
	for _, a := range assets {
		if belongs(a) {
			selected++
		}
	}
	return int64(selected) == t.InSync && int64(len(assets)) == st.Mirror.Assets, nil
}

func (d *demo) summary(ctx context.Context) error {
	st, err := d.status(ctx)
	if err != nil {
		return err
	}
	d.say("\nall in sync: %d images in %s", st.Targets[0].InSync, d.root)
	d.say("quota      %d of %d requests of the month used, %d left", st.Quota.Used, st.Quota.Limit, st.Quota.Limit-st.Quota.Used)
	d.say("status     damsync status --config %s", d.file)
	d.say("mirror     psql '%s' -c 'SELECT state, count(*) FROM report.placements GROUP BY 1'", d.app.url)
	return nil
}

func pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
