package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"damsync/dam"
	"damsync/dam/s3"
	"damsync/dam/s3/s3test"
	"damsync/sync"
	"damsync/sync/plan"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func newInSync() *cobra.Command {
	assets := quantity(10_000)
	cmd := &cobra.Command{
		Use:   "insync",
		Short: "Count what the target is asked when nothing has changed, and when only metadata has",
		Long: `insync places a library at versitygw with the engine, reads it all again, and then
changes the rule so that the metadata of every asset changes. Requests to the store and
downloads are counted.`,
		Example: "  go run ./bench insync --assets 10000",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var figures sheet
			err := withDatabase(cmd.Context(), func(ctx context.Context, d *database) error {
				return onStage(ctx, func(s *stage) error { return inSync(s, d, int(assets), &figures) })
			})
			if err != nil {
				return err
			}
			return figures.report(cmd)
		},
	}
	cmd.Flags().Var(&assets, "assets", "assets of the library, all of them selected")
	return cmd
}

// placed is a library, a store behind a proxy that counts, and what keeps the one
// equal to the other.
type placed struct {
	lib      *countedLibrary
	d        *database
	counting *proxy
	instance string
	options  map[string]any // of the adapter
}

func inSync(s *stage, d *database, assets int, figures *sheet) error {
	p, err := newPlaced(s, d, assets)
	if err != nil {
		return err
	}
	if err := p.pass(s.Context(), figures, "placed", "", func(did pass) {
		figures.exactly(1, "placed: PUTs", did.each["PUT"], "/asset")
		figures.exactly(1, "placed: downloads", did.downloads, "/asset")
	}); err != nil {
		return err
	}
	if err := p.pass(s.Context(), figures, "in sync", "", func(did pass) {
		figures.exactly(0, "in sync: requests to the store", did.requests, "")
		figures.exactly(0, "in sync: downloads", did.downloads, "/asset")
	}); err != nil {
		return err
	}
	return p.pass(s.Context(), figures, "metadata only", "new", func(did pass) {
		figures.exactly(1, "metadata only: copies by the store itself", did.each["COPY"], "/asset")
		figures.exactly(0, "metadata only: bytes uploaded", did.bytes, "")
		figures.exactly(0, "metadata only: downloads", did.downloads, "/asset")
	})
}

func newPlaced(s *stage, d *database, assets int) (*placed, error) {
	gateway := s3test.Start(s)
	counting, err := newProxy(gateway.Endpoint)
	if err != nil {
		return nil, err
	}
	p := &placed{d: d, counting: counting, options: gateway.Options(gateway.Bucket(s, benchName))}
	p.options["sign_payload"] = false // as over TLS
	if p.options["endpoint"], err = listen(s, counting); err != nil {
		return nil, err
	}
	if p.instance, err = d.store.Instance(s.Context()); err != nil {
		return nil, err
	}
	p.lib, err = simulated(s, assets)
	return p, err
}

// pass is what one resync did.
type pass struct {
	requests  float64            // to the store
	bytes     float64            // of their bodies
	each      map[string]float64 // requests of a kind for each placement
	downloads float64            // for each placement
}

// pass resyncs once with a rule that gives every asset one more value when add is
// set, and tells of it.
func (p *placed) pass(ctx context.Context, figures *sheet, name, add string, tell func(pass)) error {
	before, downloads, begun := p.counting.seen(), p.lib.downloads.Load(), time.Now()
	if err := p.resync(ctx, add); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	took := time.Since(begun).Seconds()
	var placements float64
	if err := p.d.pool.QueryRow(ctx, `SELECT count(*) FROM damsync.placement WHERE applied_state = 'present'`).Scan(&placements); err != nil {
		return fmt.Errorf("count placements: %w", err)
	}
	did := pass{each: map[string]float64{}, downloads: float64(p.lib.downloads.Load()-downloads) / placements}
	for kind, now := range p.counting.seen() {
		n := float64(now.Count - before[kind].Count)
		did.requests += n
		did.each[kind] = n / placements
		did.bytes += float64(now.Bytes - before[kind].Bytes)
	}
	figures.seen(name+": placements", placements, "")
	figures.seen(name+": placements a second", placements/took, "/s")
	tell(did)
	return nil
}

func (p *placed) resync(ctx context.Context, add string) error {
	rule, problems := plan.Compile(everything(add))
	if len(problems) > 0 {
		return fmt.Errorf("compile the rule: %v", problems)
	}
	adapter, err := s3.New(p.options, benchName, p.instance)
	if err != nil {
		return err
	}
	engine := sync.New(sync.Options{
		Library: p.lib, Store: p.d.store, Instance: p.instance, Log: zerolog.Nop(),
		Targets: []sync.Target{{Rule: rule, Adapter: dam.Logging(adapter, zerolog.Nop(), benchName), Workers: 16}},
	})
	r, err := engine.Resync(ctx, sync.ResyncOptions{Poll: 50 * time.Millisecond})
	if err == nil && r.Backlog.Failed+r.Backlog.Held > 0 {
		err = fmt.Errorf("%d placements failed, %d are held", r.Backlog.Failed, r.Backlog.Held)
	}
	return err
}

// everything is a rule that the summary decides.
func everything(add string) plan.Spec {
	spec := plan.Spec{
		Name: benchName, Select: plan.Select{Expired: plan.ExpiredIgnore, Types: []string{"image", "video", "raw_file"}},
		Path:     `{asset.id}`,
		Metadata: []plan.MetadataRule{{Key: "title", Expr: "asset.title"}},
	}
	if add != "" {
		spec.Metadata = append(spec.Metadata, plan.MetadataRule{Key: "more", Expr: strconv.Quote(add)})
	}
	return spec
}
