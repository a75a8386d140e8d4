package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"damsync/dam"
	"damsync/dam/damtest"
	"damsync/dam/s3"
	"damsync/internal/config"
)

func newVerifyTarget(p process) *cobra.Command {
	var file, target string
	cmd := &cobra.Command{
		Use:   "verify-target",
		Short: "Try everything that damsync may ask of a target, in a scratch place of it",
		Long: `verify-target runs the conformance suite of adapters against your own targets:
that nothing is doubled, nothing foreign touched, nothing lost when a call is
repeated or broken off. It writes below a directory or prefix of its own named
damsync-verify-…, beside what is there, and removes that at the end, also after
Ctrl-C. It needs neither the database nor the CMP. Some hundred small objects are
written; some 250 megabytes where uploads are resumable, which is tried with parts
of 5 MiB whatever part_size and multipart_threshold say.

A case is skipped that the target cannot be asked for, or that only a test of the
adapter itself can play.`,
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

// chosenTargets is the one named, or all.
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
		v := targetVerification{w: w, target: t, scratch: scratchPrefix + strings.ToLower(rand.Text()[:12])}
		if err := v.run(ctx); err != nil {
			fmt.Fprintf(w, "FAIL  target %s: %v\n", t.Spec.Name, err)
			failed++
		}
	}
	if failed > 0 {
		return &exitError{code: exitFailure, text: fmt.Sprintf("%d of %d targets do not do what damsync asks of them", failed, len(targets))}
	}
	return nil
}

const smallestPart = "5MiB" // that S3 allows

// scratchPrefix begins the name of the directory or prefix in which everything is tried.
const scratchPrefix = s3.ScratchPrefix

// targetVerification is the suite against one target.
type targetVerification struct {
	w       io.Writer
	target  config.Target
	scratch string
	// rootWasMissing: nothing was ever pushed to the directory.
	rootWasMissing bool
	cases          int
	counts         map[damtest.Outcome]int
}

func (v *targetVerification) run(ctx context.Context) (err error) {
	v.counts = map[damtest.Outcome]int{}
	adapter, err := newAdapter(v.target, "verify-target")
	if err != nil {
		return err
	}
	if err := adapter.Check(ctx, false); err != nil {
		return err
	}
	if root, is := v.target.Options["root"].(string); is {
		_, err := os.Stat(root)
		v.rootWasMissing = errors.Is(err, fs.ErrNotExist)
	}
	fmt.Fprintf(v.w, "target %s, below %s\n", v.target.Spec.Name, v.place())
	defer func() { err = errors.Join(err, v.remove(ctx)) }()
	passed := damtest.Verify(ctx, v.next, v.report)
	fmt.Fprintf(v.w, "target %s: %d ok, %d failed, %d skipped\n", v.target.Spec.Name, v.counts[damtest.Passed], v.counts[damtest.Failed], v.counts[damtest.Skipped])
	switch {
	case ctx.Err() != nil:
		return errors.New("broken off")
	case !passed:
		return fmt.Errorf("%d cases failed", v.counts[damtest.Failed])
	}
	return nil
}

// next gives each case a place of its own.
func (v *targetVerification) next(context.Context) (damtest.Target, error) {
	v.cases++
	t := inScratch(v.target, path.Join(v.scratch, fmt.Sprintf("%03d", v.cases)))
	return damtest.Target{
		Name:  t.Spec.Name,
		Open:  func(instance string) (dam.Adapter, error) { return newAdapter(t, instance) },
		Clean: true,
	}, nil
}

// scratchOption is the option that says where below a target everything goes.
func scratchOption(adapter string) string {
	if adapter == "filesystem" {
		return "root"
	}
	return "prefix"
}

// inScratch is the target with another place, below its own, where uploads go in the smallest
// parts that there are: with those configured, trying to resume one would take gigabytes.
func inScratch(t config.Target, dir string) config.Target {
	option := scratchOption(t.Adapter)
	own, _ := t.Options[option].(string) // a prefix may be missing
	t.Options = maps.Clone(t.Options)
	t.Options[option] = path.Join(own, dir)
	if t.Adapter == "s3" {
		t.Options["multipart_threshold"], t.Options["part_size"] = smallestPart, smallestPart
	}
	if t.Adapter == "filesystem" {
		t.Options[option] = filepath.Join(own, filepath.FromSlash(dir))
		t.Options["create"] = true // of the scratch directory; the root itself has passed its check
	}
	return t
}

func (v *targetVerification) place() string {
	return fmt.Sprint(inScratch(v.target, v.scratch).Options[scratchOption(v.target.Adapter)])
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

// remove takes the scratch place away, also when ctx has ended.
func (v *targetVerification) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer cancel()
	scratch := inScratch(v.target, v.scratch)
	var err error
	if v.target.Adapter == "filesystem" {
		err = v.removeDirectory()
	} else {
		err = s3.RemoveScratch(ctx, scratch.Options)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w; please remove it by hand", v.place(), err)
	}
	return nil
}

// removeDirectory removes the scratch directory, and the root when the scratch
// directory was all that ever was there.
func (v *targetVerification) removeDirectory() error {
	if err := os.RemoveAll(v.place()); err != nil {
		return err
	}
	if v.rootWasMissing {
		return os.Remove(filepath.Dir(v.place()))
	}
	return nil
}
