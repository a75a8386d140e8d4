package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"damsync/cmp"
	"damsync/internal/config"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/audit"
	"damsync/sync/rules"
)

func newCheck(p process) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration, the database, the CMP login and every target",
		Long: `check tests everything that the daemon needs and says what to change: the
configuration, the database and its schema, the login, access to the library, the
folders, labels and fields that rules name, and each target. It writes nothing to a
target.`,
		Example: "  damsync check --config config.yaml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			cfg, err := loadConfig(file, p.env)
			if err != nil {
				return err
			}
			list := &checklist{w: p.stdout}
			list.result("configuration "+file, nil)
			a, err := openWith(cmd.Context(), p, cfg, appOptions{quiet: true})
			list.result("database and schema", err)
			if err != nil {
				return list.conclude()
			}
			defer a.closing(&err)
			return a.withPauseNotices(cmd.Context(), newProgress(p.stderr), func(ctx context.Context) error {
				return a.check(ctx, list)
			})
		},
	}
	configFlag(cmd, &file)
	return cmd
}

// checklist prints one line per check and counts the failures.
type checklist struct {
	w      io.Writer
	failed int
}

func (c *checklist) result(what string, err error) {
	if err == nil {
		fmt.Fprintf(c.w, "ok    %s\n", what)
		return
	}
	c.failed++
	fmt.Fprintf(c.w, "FAIL  %s: %v\n", what, err)
}

// conclude returns an error if a check failed.
func (c *checklist) conclude() error {
	if c.failed == 0 {
		return nil
	}
	return &exitError{code: exitFailure, text: fmt.Sprintf("failed checks: %d", c.failed)}
}

func (a *app) check(ctx context.Context, list *checklist) error {
	a.log = zerolog.Nop() // the checklist prints every problem
	client, login, err := a.library(nil)
	if err != nil {
		return err
	}
	_, err = login.Token(ctx)
	list.result("login ("+a.cfg.CMP.Grant+") at "+a.cfg.CMP.TokenURL, err)
	if err == nil {
		a.checkLibrary(ctx, list, client)
	}
	if err := a.checkTargets(ctx, list); err != nil {
		return err
	}
	return list.conclude()
}

func (a *app) checkLibrary(ctx context.Context, list *checklist, client *cmp.Client) {
	ctx = grant.WithClass(ctx, grant.Manual)
	total, err := audit.Count(ctx, client)
	uncountable := errors.Is(err, audit.ErrUncountable)
	if uncountable {
		err = nil // it can be read all the same
	}
	list.result("reading the library at "+a.cfg.CMP.APIURL, err)
	switch {
	case err != nil:
		return
	case uncountable:
		fmt.Fprintln(list.w, "      its counts do not add up, so damsync sweeps it instead of auditing it: weekly, or by schedule.sweep")
	default:
		fmt.Fprintf(list.w, "      it has %d assets\n", total)
	}
	readsFields := slices.ContainsFunc(a.cfg.Targets, func(t config.Target) bool { return t.Rules.Level() == library.LevelFields })
	names, err := readNames(ctx, client, readsFields)
	list.result("folders, labels and fields", err)
	if err != nil {
		return
	}
	for _, t := range a.cfg.Targets {
		var missing []error
		for _, m := range rules.MissingNames(t.Rules.References(), names) {
			missing = append(missing, errors.New(m))
		}
		list.result("names that target "+t.Spec.Name+" refers to", errors.Join(missing...))
	}
}

// readNames reads the names that rules may refer to from the library. Like the daemon, it reads
// fields only if some rule does.
func readNames(ctx context.Context, client *cmp.Client, withFields bool) (state.Names, error) {
	folders, err := client.Folders(ctx)
	if err != nil {
		return state.Names{}, err
	}
	groups, err := client.LabelGroups(ctx)
	if err != nil {
		return state.Names{}, err
	}
	var fields []library.FieldDefinition
	if withFields {
		if fields, err = client.FieldDefinitions(ctx); err != nil {
			return state.Names{}, err
		}
	}
	return state.NamesOf(folders, groups, fields), nil
}

func (a *app) checkTargets(ctx context.Context, list *checklist) error {
	instance, err := a.store.Instance(ctx)
	if err != nil {
		return err
	}
	targets, err := a.targets(instance)
	if err != nil {
		return err
	}
	for _, t := range targets {
		populated, err := a.store.HasPlacements(ctx, t.Rule.Name())
		if err == nil {
			err = t.Adapter.Check(ctx, populated)
		}
		list.result("target "+t.Rule.Name(), err)
	}
	return nil
}
