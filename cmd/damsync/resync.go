package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"damsync/internal/state"
	"damsync/sync"
)

const resyncHelp = `resync reads every summary of the library, looks up what is not found, plans and
pushes, and returns when the work this caused is done; what others ask for meanwhile
is not waited for. What failed before is tried again. An asset that fails for a
reason which does not pass by itself is tried once and counted (exit code 4); a login
that is refused, and a library that answers nothing for two minutes, end it (exit
code 1). It runs beside a serving daemon and without one.

--full also reads anew every detail that a rule needs: one request an asset that
is selected, two where a custom field is read. When that is more than a tenth of what
the month has left, it says so and asks first. Where there is no terminal to ask it
ends with exit code 2; --yes goes on without asking.`

func newResync(p process) *cobra.Command {
	var file, asset, target string
	var full, dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "resync",
		Short: "Read the library by hand and wait until the targets equal it",
		Long:  resyncHelp,
		Example: `  damsync resync                        everything, by summaries
  damsync resync --asset 3f2a…          one asset
  damsync resync --full --target brand  details anew; push to one target only
  damsync resync --full --yes           in a job, whatever it costs
  damsync resync --dry-run              show what it would do, change nothing`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			o := sync.ResyncOptions{Full: full, AssetID: asset, Targets: a.targetNames()}
			if target != "" {
				if err := a.knownTarget(target); err != nil {
					return err
				}
				o.Targets = []string{target}
			}
			if dryRun {
				return a.dryRun(cmd.Context(), p, o)
			}
			if full && asset == "" && !yes {
				if err := a.consent(cmd.Context(), p); err != nil {
					return err
				}
			}
			return a.resyncNow(cmd.Context(), p, o, target)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&full, "full", false, "also read anew every detail that a rule needs")
	cmd.Flags().StringVar(&asset, "asset", "", "only the asset with this `ID`")
	cmd.Flags().StringVar(&target, "target", "", "push to the target `NAME` only")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before much of the month is spent")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "read the library and show what would be done, change nothing")
	return cmd
}

// resyncNow also tries again what failed: it is called by hand after an incident.
func (a *app) resyncNow(ctx context.Context, p process, o sync.ResyncOptions, target string) error {
	if _, err := a.store.Retry(ctx, target); err != nil {
		return err
	}
	if err := a.store.RetryLookups(ctx); err != nil { // the library is read for all targets
		return err
	}
	return a.resync(ctx, p, o)
}

// readingEngine is an engine that can read the library.
func (a *app) readingEngine(ctx context.Context) (*sync.Engine, error) {
	client, _, err := a.library(nil)
	if err != nil {
		return nil, err
	}
	return a.engine(ctx, client)
}

func (a *app) resync(ctx context.Context, p process, o sync.ResyncOptions) error {
	engine, err := a.readingEngine(ctx)
	if err != nil {
		return err
	}
	progress := newProgress(p.stderr)
	o.Progress = func(r sync.ResyncProgress) { progress.say(describe(r)) }
	var result sync.ResyncResult
	err = a.tellingPauses(ctx, progress, func(ctx context.Context) (err error) {
		result, err = engine.Resync(ctx, o)
		return err
	})
	progress.end()
	if err != nil {
		return err
	}
	if err := a.targetsRun(ctx, o.Targets); err != nil {
		return err
	}
	return a.conclude(p.stdout, result)
}

// targetsRun says which targets were left out, since a rule names what the
// library does not have.
func (a *app) targetsRun(ctx context.Context, names []string) error {
	st, err := a.store.Status(ctx, a.quota(), names...)
	if err != nil {
		return err
	}
	var problems []error
	for _, t := range st.Targets {
		if t.Problem != "" && slices.Contains(names, t.Name) {
			problems = append(problems, fmt.Errorf("target %s does not run: %s", t.Name, t.Problem))
		}
	}
	return errors.Join(problems...)
}

// describe is one line of progress.
func describe(r sync.ResyncProgress) string {
	switch {
	case r.Phase == "sweep" && r.Sweep.Total >= 0:
		return fmt.Sprintf("reading the library: %d of %d assets, %d changed, %d requests", r.Sweep.Seen, r.Sweep.Total, r.Sweep.Changed, r.Sweep.Requests)
	case r.Phase == "targets":
		b, rate := r.Backlog, ""
		if r.Backfill.Left > 0 {
			rate = fmt.Sprintf(" (%.0f a minute)", r.Backfill.PerMinute)
		}
		return fmt.Sprintf("left: %d to read%s, %d to push, %d waiting for the removal guard; %d failed, %d held", b.Lookups, rate, b.Placements, b.Waiting, b.Failed+b.LookupsFailed, b.Held)
	default:
		return "reading the library: " + r.Phase
	}
}

// conclude prints what was done and turns what is left into an exit code.
func (a *app) conclude(w io.Writer, r sync.ResyncResult) error {
	if r.Sweep.RunID > 0 {
		fmt.Fprintf(w, "read %d assets with %d requests: %d changed, %d looked up because they were not found\n", r.Sweep.Seen, r.Sweep.Requests, r.Sweep.Changed, r.Sweep.Suspects)
	}
	return concludeBacklog(w, r.Backlog)
}

func concludeBacklog(w io.Writer, b state.Backlog) error {
	switch {
	case b.Held > 0:
		return &exitError{code: exitHeld, text: fmt.Sprintf("%d removals are held; see damsync plan, then damsync approve --target NAME", b.Held)}
	case b.Failed+b.LookupsFailed+b.Undecided > 0:
		return &exitError{code: exitFailed, text: fmt.Sprintf("%d placements and %d assets failed, and a rule on %d; see damsync status, or report.failures in the database",
			b.Failed, b.LookupsFailed, b.Undecided)}
	}
	fmt.Fprintln(w, "all targets are in sync")
	return nil
}

func (a *app) dryRun(ctx context.Context, p process, o sync.ResyncOptions) error {
	engine, err := a.readingEngine(ctx)
	if err != nil {
		return err
	}
	printer, requests := newPlanPrinter(p.stdout, o.Targets), 0
	err = a.tellingPauses(ctx, newProgress(p.stderr), func(ctx context.Context) (err error) {
		requests, err = engine.DryRun(ctx, o.AssetID, printer.add)
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	printer.summary()
	fmt.Fprintf(p.stdout, "dry run: nothing was changed; %d requests were spent on reading\n", requests)
	fmt.Fprintf(p.stdout, "a resync would spend as many on reading and %s\n", printer.cost)
	return err
}
