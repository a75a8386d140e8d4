package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"damsync/internal/state"
	"damsync/sync/verify"
)

func newVerify(p process) *cobra.Command {
	var file, target string
	var asJSON bool
	o := verify.Options{RequestedBy: "verify"}
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
			if o.All && !o.Repair {
				return usage("--all needs --repair")
			}
			return runVerify(cmd.Context(), p, file, target, o, asJSON)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&target, "target", "", "only the target `NAME`")
	cmd.Flags().StringVar((*string)(&o.Depth), "depth", string(verify.DepthToken), "how closely to compare: token, hash or readback")
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "put missing and changed objects again, remove orphaned ones within removal_limit, and wait")
	cmd.Flags().BoolVar(&o.All, "all", false, "with --repair: also repair more than removal_limit allows, and a target that lists nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func runVerify(ctx context.Context, p process, file, target string, o verify.Options, asJSON bool) (err error) {
	a, err := openApp(ctx, p, appOptions{configFile: file, quiet: true})
	if err != nil {
		return err
	}
	defer a.closing(&err)
	if o.Targets, err = a.namedTargets(target); err != nil {
		return err
	}
	return a.verify(ctx, p, o, asJSON)
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

// verifyReport is the output of --json. Keys may be added, but none changed.
type verifyReport struct {
	Targets []verifiedTarget `json:"targets"`
}

type verifiedTarget struct {
	Name     string                    `json:"name"`
	Depth    string                    `json:"depth"`
	Listed   int64                     `json:"listed"`
	Found    map[state.DriftKind]int64 `json:"found"`
	Unproven int64                     `json:"unproven"`
	Repaired int64                     `json:"repaired"`
	Retired  int64                     `json:"retired"`
	Error    string                    `json:"error"`
	Drift    []verifiedDrift           `json:"drift"` // without what was repaired; at most driftShown
}

type verifiedDrift struct {
	Kind    state.DriftKind `json:"kind"`
	AssetID string          `json:"asset_id"`
	Path    string          `json:"path"`
	Differs string          `json:"differs"`
}

// driftShown limits the objects printed for a target. report.drift lists all of them.
const driftShown = 200

func (a *app) verifyReport(ctx context.Context, result verify.Result) (verifyReport, error) {
	report := verifyReport{Targets: []verifiedTarget{}}
	for _, t := range result.Targets {
		v := verifiedTarget{
			Name: t.Target, Depth: t.Depth, Listed: t.Listed, Found: map[state.DriftKind]int64{}, Unproven: t.Unproven,
			Repaired: t.Repaired, Retired: t.Retired, Drift: []verifiedDrift{},
		}
		for _, kind := range state.DriftKinds() {
			v.Found[kind] = t.Counts[kind]
		}
		var held *verify.RepairHeld
		if t.Err != nil {
			v.Error = t.Err.Error()
		}
		if t.Err == nil || errors.As(t.Err, &held) {
			found, err := a.store.Drift(ctx, t.Target, driftShown)
			if err != nil {
				return report, err
			}
			for _, d := range found {
				v.Drift = append(v.Drift, verifiedDrift{d.Kind, d.AssetID, d.Path, d.Differs})
			}
		}
		report.Targets = append(report.Targets, v)
	}
	return report, nil
}

func (r verifyReport) print(w io.Writer) {
	for _, t := range r.Targets {
		tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, d := range t.Drift {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", t.Name, d.Kind, d.Path, d.AssetID, d.Differs)
		}
		_ = tw.Flush() // errors of standard output are ignored throughout
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tDEPTH\tLISTED\tMISSING\tCHANGED\tORPHANED\tFOREIGN\tUNVERIFIED\tREPAIRED\tREMOVALS\t")
	for _, t := range r.Targets {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", t.Name, t.Depth, t.Listed, t.Found[state.DriftMissing], t.Found[state.DriftChanged],
			t.Found[state.DriftOrphaned], t.Found[state.DriftForeign], t.Found[state.DriftUnverified], t.Repaired, t.Retired)
	}
	_ = tw.Flush() // as above
	for _, t := range r.Targets {
		if len(t.Drift) == driftShown {
			fmt.Fprintf(w, "%s: only the first %d objects are shown; report.drift in the database lists all\n", t.Name, driftShown)
		}
		if t.Unproven > 0 {
			fmt.Fprintf(w, "%s: the target has no hash of %d objects; --depth readback compares their bytes\n", t.Name, t.Unproven)
		}
	}
}

// concludeVerify turns the result into an exit code. Failures come before repairs that are held for
// approval, and those before remaining drift.
func concludeVerify(w io.Writer, result verify.Result, repair, quiet bool) error {
	var failed, held []error
	left := int64(0)
	for _, t := range result.Targets {
		var repairHeld *verify.RepairHeld
		switch {
		case errors.As(t.Err, &repairHeld):
			held = append(held, t.Err)
		case t.Err != nil:
			failed = append(failed, t.Err)
		case t.Counts[state.DriftUnverified] > 0:
			failed = append(failed, fmt.Errorf("%d objects at %s could not be checked; see report.drift in the database", t.Counts[state.DriftUnverified], t.Target))
			fallthrough
		default:
			left += t.Counts.Differing() - t.Repaired - t.Retired
		}
	}
	switch {
	case len(failed) > 0:
		return errors.Join(append(failed, held...)...)
	case len(held) > 0:
		return &exitError{code: exitHeld, text: errors.Join(held...).Error()}
	case repair:
		if quiet {
			w = io.Discard
		}
		if err := concludeBacklog(w, result.Backlog); err != nil || left <= 0 {
			return err
		}
		return &exitError{code: exitFailed, text: fmt.Sprintf("%d objects changed or could not be checked during the repair; run damsync verify again", left)}
	case left > 0:
		return &exitError{code: exitFailed, text: fmt.Sprintf("%d objects differ from what damsync stored; run damsync verify --repair to repair them", left)}
	}
	return nil
}
