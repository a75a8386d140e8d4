package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// process holds the standard streams and the environment of a command.
type process struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) (string, bool)
}

// run executes one command and returns the exit code.
func run(ctx context.Context, args []string, p process) int {
	root := newRoot(p)
	root.SetArgs(args)
	return report(p.stderr, root.ExecuteContext(ctx))
}

func newRoot(p process) *cobra.Command {
	root := &cobra.Command{
		Use:   "damsync",
		Short: "Keep DAMs and image repositories in sync with a CMP library",
		Long: `damsync mirrors the library of the Optimizely Content Marketing Platform into
PostgreSQL and pushes approved assets, with their metadata, to your targets.

Exit codes: 0 done, 1 failure, 2 usage or configuration, 3 deferred by quota,
4 done with failed placements, 5 removals held for approval.`,
		Example: `  damsync demo                         watch it work, without a CMP account
  damsync check --config config.yaml   test configuration, login and targets
  damsync serve --config config.yaml   run the daemon`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetIn(p.stdin)
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%v; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		newServe(p), newResync(p), newAudit(p), newVerify(p), newVerifyTarget(p), newPlan(p), newStatus(p), newQuota(p),
		newCheck(p), newLogin(p), newMigrate(p),
		newApprove(p), newRetry(p), newDemo(p), newSimulate(p), newVersion(p),
	)
	return root
}

// knownCommand returns a usage error for an unknown command, with suggestions.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		hint = fmt.Sprintf(", did you mean %s?", strings.Join(similar, " or "))
	}
	return usage("unknown command %q%s; see %s --help", args[0], hint, cmd.CommandPath())
}

// noArguments returns a usage error for positional arguments.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no argument %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
	}
	return nil
}

// configFlag adds --config to cmd.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "config.yaml", "configuration `FILE`")
}
