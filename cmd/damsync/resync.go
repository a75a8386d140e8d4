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

const resyncHelp = `resync reads the summary of every asset in the library, looks up the assets of the
mirror that the library does not list, and pushes what changed. It returns when the
work that it caused is done, and does not wait for work that was requested meanwhile.
It also tries again what failed before. It runs with or without a daemon.

An asset that fails for a lasting reason is tried once and counted (exit code 4). If the
login is rejected, or the library does not answer for two minutes, resync ends with exit
code 1.

--full also reads again every detail that a rule needs: one request for each selected
asset, two where a rule reads custom fields. If that takes more than a tenth of the
requests left this month, resync asks first. Without a terminal to ask on, it ends with
exit code 2. --yes skips the question.`

func newResync(p process) *cobra.Command {
	var file, asset, target string
	var full, dryRun, yes bool
	cmd := &cobra.Command{
		Use:   "resync",
		Short: "Read the whole library now and wait until the targets match it",
		Long:  resyncHelp,
		Example: `  damsync resync                        everything, from summaries
  damsync resync --asset 3f2a…          one asset only
  damsync resync --full --target brand  details too; push to one target only
  damsync resync --full --yes           in a job, whatever it costs
  damsync resync --dry-run              show what it would do; change nothing`,
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
	cmd.Flags().BoolVar(&full, "full", false, "also read again every detail that a rule needs")
	cmd.Flags().StringVar(&asset, "asset", "", "only the asset with this `ID`")
	cmd.Flags().StringVar(&target, "target", "", "push to the target `NAME` only")
	cmd.Flags().BoolVar(&yes, "yes", false, "spend much of the month's requests without asking")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "read the library and show what would be done; change nothing")
	return cmd
}

// resyncNow also tries again what failed: people call it after an incident.
func (a *app) resyncNow(ctx context.Context, p process, o sync.ResyncOptions, target string) error {
	if _, err := a.store.Retry(ctx, target); err != nil {
		return err
	}
	if err := a.store.RetryLookups(ctx); err != nil { // the library is read for all targets
		return err
	}
	return a.resync(ctx, p, o)
}

// readingEngine returns an engine that can read the library.
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
	o.Progress = func(r sync.ResyncProgress) { progress.show(describe(r)) }
	var result sync.ResyncResult
	err = a.withPauseNotices(ctx, progress, func(ctx context.Context) (err error) {
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

// targetsRun returns an error if some of the named targets do not run, with the reasons: usually a
// rule names a folder, label or field that the library does not have.
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

// describe returns one line of progress.
func describe(r sync.ResyncProgress) string {
	switch {
	case r.Phase == "sweep" && r.Sweep.Total >= 0:
		return fmt.Sprintf("reading the library: %d of %d assets, %d changed, %d requests", r.Sweep.Seen, r.Sweep.Total, r.Sweep.Changed, r.Sweep.Requests)
	case r.Phase == "targets":
		b, rate := r.Backlog, ""
		if b.Lookups > 0 && r.Backfill.PerMinute > 0 {
			rate = fmt.Sprintf(" (%.0f a minute)", r.Backfill.PerMinute)
		}
		return fmt.Sprintf("left: %d to read%s, %s", b.Lookups, rate, describeBacklog(b))
	default:
		return "reading the library: " + r.Phase
	}
}

// describeBacklog returns the part of a line of progress that follows the assets to read.
func describeBacklog(b state.Backlog) string {
	return fmt.Sprintf("%d to push, %d removals to check; %d failed, %d held", b.Placements, b.Waiting, b.Failed+b.LookupsFailed, b.Held)
}

// conclude prints what was done and turns what is left into an exit code.
func (a *app) conclude(w io.Writer, r sync.ResyncResult) error {
	if r.Sweep.RunID > 0 {
		fmt.Fprintf(w, "read %d assets with %d requests: %d changed, %d looked up because the library did not list them\n", r.Sweep.Seen, r.Sweep.Requests, r.Sweep.Changed, r.Sweep.Suspects)
	}
	return concludeBacklog(w, r.Backlog)
}

func concludeBacklog(w io.Writer, b state.Backlog) error {
	switch {
	case b.Held > 0:
		return &exitError{code: exitHeld, text: fmt.Sprintf("%d removals are held for approval; see damsync plan, then run damsync approve --target NAME", b.Held)}
	case b.Failed+b.LookupsFailed+b.Undecided > 0:
		return &exitError{code: exitFailed, text: fmt.Sprintf("%d placements and %d assets failed, and a rule failed on %d assets; see damsync status, or report.failures in the database",
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
	err = a.withPauseNotices(ctx, newProgress(p.stderr), func(ctx context.Context) (err error) {
		requests, err = engine.DryRun(ctx, o.AssetID, printer.add)
		return err
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	printer.summary()
	fmt.Fprintf(p.stdout, "dry run: nothing was changed; %d requests were spent on reading\n", requests)
	fmt.Fprintf(p.stdout, "a resync would spend the same on reading, and %s\n", printer.cost)
	return err
}
