package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"damsync/dam"
	"damsync/dam/damtest"
	"damsync/internal/config"
)

func newVerifyTarget(p process) *cobra.Command {
	var file, target string
	cmd := &cobra.Command{
		Use:   "verify-target",
		Short: "Test that a target does everything damsync needs, in a scratch place",
		Long: `verify-target runs the conformance suite for adapters against your own targets:
nothing is doubled, nothing foreign is touched, and nothing is lost when a call is
repeated or interrupted. It works in a directory or prefix of its own, named
damsync-verify-…, beside your objects, and removes it at the end, also after
Ctrl-C. It needs neither the database nor the CMP. It writes a few hundred small
objects, and about 250 megabytes where uploads are resumable: those are tested with
parts of 5 MiB, whatever part_size and multipart_threshold are.

Cases are skipped that need a capability the target does not have, or a hook that
only the adapter's own tests have.`,
		Example: "  damsync verify-target --target brand-images",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file, p.env)
			if err != nil {
				return err
			}
			targets, err := chosenTargets(cfg, target)
			if err != nil {
				return err
			}
			return verifyTargets(cmd.Context(), p.stdout, targets)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&target, "target", "", "only the target `NAME`")
	return cmd
}

// chosenTargets returns the target called name, or all targets for "".
func chosenTargets(cfg *config.Config, name string) ([]config.Target, error) {
	var names []string
	for _, t := range cfg.Targets {
		if t.Spec.Name == name {
			return []config.Target{t}, nil
		}
		names = append(names, t.Spec.Name)
	}
	if name != "" {
		return nil, usage("no target %q in the configuration; it has %v", name, names)
	}
	return cfg.Targets, nil
}

func verifyTargets(ctx context.Context, w io.Writer, targets []config.Target) error {
	failed := 0
	for _, t := range targets {
		v := targetVerification{w: w, target: t, counts: map[damtest.Outcome]int{}}
		if err := v.run(ctx); err != nil {
			fmt.Fprintf(w, "FAIL  target %s: %v\n", t.Spec.Name, err)
			failed++
		}
	}
	if failed > 0 {
		return &exitError{code: exitFailure, text: fmt.Sprintf("%d of %d targets failed verification", failed, len(targets))}
	}
	return nil
}

// targetVerification is a run of the conformance suite against one target.
type targetVerification struct {
	w       io.Writer
	target  config.Target
	scratch scratchPlace
	cases   int
	counts  map[damtest.Outcome]int
}

func (v *targetVerification) run(ctx context.Context) (err error) {
	if err := v.prepare(ctx); err != nil {
		return err
	}
	fmt.Fprintf(v.w, "target %s, below %s\n", v.target.Spec.Name, v.scratch)
	defer func() { err = errors.Join(err, v.remove(ctx)) }()
	passed := damtest.Verify(ctx, v.next, v.report)
	fmt.Fprintf(v.w, "target %s: %d ok, %d failed, %d skipped\n", v.target.Spec.Name,
		v.counts[damtest.Passed], v.counts[damtest.Failed], v.counts[damtest.Skipped])
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case !passed:
		return fmt.Errorf("%d cases failed", v.counts[damtest.Failed])
	}
	return nil
}

// prepare checks the target and chooses a scratch place.
func (v *targetVerification) prepare(ctx context.Context) error {
	adapter, err := newAdapter(v.target, "verify-target")
	if err != nil {
		return err
	}
	if err := adapter.Check(ctx, false); err != nil {
		return err
	}
	scratch := adapters()[v.target.Adapter].scratch
	if scratch == nil {
		return fmt.Errorf("adapter %s has no scratch place for verify-target", v.target.Adapter)
	}
	v.scratch = scratch(v.target.Options, scratchNamePrefix+strings.ToLower(rand.Text()[:12]))
	return nil
}

// next gives each case an empty place of its own.
func (v *targetVerification) next(context.Context) (damtest.Target, error) {
	v.cases++
	t := v.target
	t.Options = v.scratch.options(fmt.Sprintf("%03d", v.cases))
	return damtest.Target{
		Name:  t.Spec.Name,
		Open:  func(instance string) (dam.Adapter, error) { return newAdapter(t, instance) },
		Clean: true,
	}, nil
}

func (v *targetVerification) report(r damtest.Result) {
	v.counts[r.Outcome]++
	word := map[damtest.Outcome]string{damtest.Passed: "ok   ", damtest.Failed: "FAIL ", damtest.Skipped: "skip "}[r.Outcome]
	fmt.Fprintf(v.w, "%s %s", word, r.Case)
	if r.Outcome == damtest.Passed {
		fmt.Fprintf(v.w, "  %s", r.Took.Round(time.Millisecond))
	}
	for _, m := range r.Messages {
		fmt.Fprintf(v.w, ": %s", m)
	}
	fmt.Fprintln(v.w)
}

// remove removes the scratch place, also after ctx has ended.
func (v *targetVerification) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	if err := v.scratch.remove(ctx); err != nil {
		return fmt.Errorf("remove %s: %w; please remove it by hand", v.scratch, err)
	}
	return nil
}
