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
		Short: "Hold what the targets have against what was put there, and repair it",
		Long: `verify lists each target and tells what is not as damsync left it: missing,
changed by somebody, orphaned (ours, but wanted there no more), foreign, and
unverified (the target would not let it be looked at). What is on its way just now is
no drift. That asks the CMP for nothing; --repair reads from it what it puts again,
and whether an orphan's asset is gone.

--depth token looks at what the target lists: paths, marks, sizes, ETags. hash has
the target's own hash of the bytes compared, where it gives one. readback reads
every byte back.

--repair puts what is missing or changed again and waits until that is done;
orphaned objects are removed as any others, by the removal gate. Foreign ones are
never touched. More than the target's removal_limit allows, or a target that lists
nothing at all, is repaired with --all only.

Exit codes: 0 no drift, or all of it repaired; 1 a target, or an object of it, could
not be verified; 4 drift is left, or placements failed; 5 the repair, or removals,
wait for a person. Foreign objects alone are no drift.`,
		Example: `  damsync verify                              every target, by what it lists
  damsync verify --target brand --depth readback
  damsync verify --target brand --repair      put again what is missing or changed
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
	cmd.Flags().StringVar((*string)(&o.Depth), "depth", string(verify.DepthToken), "how closely to look: token, hash or readback")
	cmd.Flags().BoolVar(&o.Repair, "repair", false, "put again what is missing or changed, have the gate judge what is orphaned, and wait")
	cmd.Flags().BoolVar(&o.All, "all", false, "repair also more than removal_limit allows, and a target that lists nothing")
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

// namedTargets is the one named, or all.
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
		for _, name := range o.Targets { // by hand: what failed or paused is tried again now
			if _, err := a.store.Retry(ctx, name); err != nil {
				return err
			}
		}
	}
	progress := newProgress(p.stderr)
	began := time.Now()
	o.Progress = func(v verify.Progress) { progress.say(describeVerify(v, began)) }
	result, err := engine.Verify(ctx, o)
	progress.end()
	switch {
	case errors.Is(err, verify.ErrDepth):
		return usage("%v", err)
	case errors.Is(err, state.ErrRunning):
		return errors.New("another process verifies just now; try again when it is done")
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
		return fmt.Sprintf("repairing: %d to push, %d to read, %d at the removal gate; %d failed, %d held", b.Placements, b.Lookups, b.Waiting, b.Failed+b.LookupsFailed, b.Held)
	}
	line := fmt.Sprintf("%s: %d of %d objects verified, %d differ", v.Target, v.Listed, v.Placed, v.Drift)
	if v.Bytes > 0 {
		const mb = 1e6
		line += fmt.Sprintf("; %.0f MB read back, %.1f MB/s", float64(v.Bytes)/mb, float64(v.Bytes)/mb/max(time.Since(began).Seconds(), 0.001))
	}
	return line
}

// verifyReport is what --json prints. Keys may be added, none changed.
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
	Drift    []verifiedDrift           `json:"drift"` // not repaired; at most driftShown
}

type verifiedDrift struct {
	Kind    state.DriftKind `json:"kind"`
	AssetID string          `json:"asset_id"`
	Path    string          `json:"path"`
	Differs string          `json:"differs"`
}

// driftShown is how many objects of a target are printed. report.drift has the rest.
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
		_ = tw.Flush() // a broken standard output shows elsewhere
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tDEPTH\tLISTED\tMISSING\tCHANGED\tORPHANED\tFOREIGN\tUNVERIFIED\tREPAIRED\tTO THE GATE\t")
	for _, t := range r.Targets {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", t.Name, t.Depth, t.Listed, t.Found[state.DriftMissing], t.Found[state.DriftChanged],
			t.Found[state.DriftOrphaned], t.Found[state.DriftForeign], t.Found[state.DriftUnverified], t.Repaired, t.Retired)
	}
	_ = tw.Flush() // see above
	for _, t := range r.Targets {
		if len(t.Drift) == driftShown {
			fmt.Fprintf(w, "%s: only the first %d are shown; all are in report.drift in the database\n", t.Name, driftShown)
		}
		if t.Unproven > 0 {
			fmt.Fprintf(w, "%s: the target gave no hash of %d objects; --depth readback would read them\n", t.Name, t.Unproven)
		}
	}
}

// concludeVerify turns what is left into an exit code: what failed before what
// waits for a person, before drift that is left.
func concludeVerify(w io.Writer, result verify.Result, repair, quiet bool) error {
	var failed, held []error
	left := int64(0)
	for _, t := range result.Targets {
		var asks *verify.RepairHeld
		switch {
		case errors.As(t.Err, &asks):
			held = append(held, t.Err)
		case t.Err != nil:
			failed = append(failed, t.Err)
		case t.Counts[state.DriftUnverified] > 0:
			failed = append(failed, fmt.Errorf("%d objects at %s could not be looked at: see report.drift in the database", t.Counts[state.DriftUnverified], t.Target))
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
		return &exitError{code: exitFailed, text: fmt.Sprintf("%d objects moved on, or could not be looked at, while they were repaired: verify again", left)}
	case left > 0:
		return &exitError{code: exitFailed, text: fmt.Sprintf("%d objects are not as they were put; damsync verify --repair puts them right", left)}
	}
	return nil
}
