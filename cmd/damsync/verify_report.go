package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"damsync/internal/state"
	"damsync/sync/verify"
)

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
