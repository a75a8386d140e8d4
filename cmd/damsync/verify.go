package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"damsync/internal/state"
	"damsync/sync/verify"
)

// verifyFlags are the flags of damsync verify.
type verifyFlags struct {
	file    string
	target  string
	options verify.Options
	json    bool
}

func newVerify(p process) *cobra.Command {
	f := verifyFlags{options: verify.Options{RequestedBy: "verify"}}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Compare targets with what damsync stored there and optionally repair drift",
		Long: `verify lists each target and reports the objects that differ from what damsync stored:
missing, changed, orphaned (stored by damsync, but no longer wanted there), foreign (not
stored by damsync) and unverified (the target did not allow a check). Objects that
damsync is working on are not reported. verify sends no request to the CMP; --repair
reads assets from it, to put them again or to confirm that they are gone.

--depth token compares what the target lists: paths, ownership marks, sizes and ETags.
hash compares the target's own hash of the bytes, where it has one. readback reads
every byte back.

--repair puts missing and changed objects again and waits until that is done. Orphaned
objects are removed like any others, within removal_limit. Foreign objects are never
touched. If more objects are missing or changed than removal_limit allows, or the target
lists nothing at all, the repair needs --all.

Exit codes: 0 no drift, or all of it repaired; 1 a target, or some of its objects, could
not be verified; 4 drift is left, or placements failed; 5 the repair, or removals, are
held for approval. Foreign objects alone are not drift.`,
		Example: `  damsync verify                              every target, from what it lists
  damsync verify --target brand --depth readback
  damsync verify --target brand --repair      put missing and changed objects again
  damsync verify --json | jq '.targets[].drift'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.options.All && !f.options.Repair {
				return usage("--all needs --repair")
			}
			return runVerify(cmd.Context(), p, f)
		},
	}
	configFlag(cmd, &f.file)
	cmd.Flags().StringVar(&f.target, "target", "", "only the target `NAME`")
	cmd.Flags().StringVar((*string)(&f.options.Depth), "depth", string(verify.DepthToken), "compare by `DEPTH`: token, hash or readback")
	cmd.Flags().BoolVar(&f.options.Repair, "repair", false, "put missing and changed objects again, remove orphaned ones within removal_limit, and wait")
	cmd.Flags().BoolVar(&f.options.All, "all", false, "with --repair: also repair more than removal_limit allows, and a target that lists nothing")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

func runVerify(ctx context.Context, p process, f verifyFlags) (err error) {
	a, err := openApp(ctx, p, appOptions{configFile: f.file, quiet: true})
	if err != nil {
		return err
	}
	defer a.closing(&err)
	if f.options.Targets, err = a.namedTargets(f.target); err != nil {
		return err
	}
	return a.verify(ctx, p, f.options, f.json)
}

// namedTargets returns the target called name, or all targets for "".
func (a *app) namedTargets(name string) ([]string, error) {
	if name == "" {
		return a.targetNames(), nil
	}
	return []string{name}, a.knownTarget(name)
}

func (a *app) verify(ctx context.Context, p process, o verify.Options, asJSON bool) error {
	engine, err := a.readingEngine(ctx)
	if err != nil {
		return err
	}
	if o.Repair {
		for _, name := range o.Targets { // a person asks: failed and paused work is due at once
			if _, err := a.store.Retry(ctx, name); err != nil {
				return err
			}
		}
	}
	progress := newProgress(p.stderr)
	began := time.Now()
	o.Progress = func(v verify.Progress) { progress.show(describeVerify(v, began)) }
	result, err := engine.Verify(ctx, o)
	progress.end()
	switch {
	case errors.Is(err, verify.ErrDepth):
		return usage("%v", err)
	case errors.Is(err, state.ErrRunning):
		return errors.New("another verification is running; try again when it is done")
	case err != nil:
		return err
	}
	report, err := a.verifyReport(ctx, result)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(p.stdout, report); err != nil {
			return err
		}
	} else {
		report.print(p.stdout)
	}
	return concludeVerify(p.stdout, result, o.Repair, asJSON)
}

func describeVerify(v verify.Progress, began time.Time) string {
	if b := v.Backlog; b != nil {
		return fmt.Sprintf("repairing: %d to read, %s", b.Lookups, describeBacklog(*b))
	}
	line := fmt.Sprintf("%s: %d of %d objects verified, %d differ", v.Target, v.Listed, v.Placed, v.Drift)
	if v.Bytes > 0 {
		const mb = 1e6
		line += fmt.Sprintf("; %.0f MB read back, %.1f MB/s", float64(v.Bytes)/mb, float64(v.Bytes)/mb/max(time.Since(began).Seconds(), 0.001))
	}
	return line
}
