// Command bench holds damsync against its bounds, against what is arithmetically
// possible and against its peers, one program a command:
//
//	go run ./bench --help
//
// Every program prints figures with their bounds, and fails when one is missed.
// What does not depend on the machine, such as how many requests something takes,
// is also a test of this package; times are compared as ratios of runs in turn.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one program and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Hold damsync against its bounds and its peers",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentFlags().Bool("json", false, "print the figures as JSON")
	root.AddCommand(programs()...)
	return root
}

// programs lists one program a line.
func programs() []*cobra.Command {
	return []*cobra.Command{
		newQuota(),
		newAudit(),
		newScan(),
		newUpsert(),
		newMonth(),
		newDiff(),
		newIdle(),
		newMirror(),
		newTransfer(),
		newInSync(),
		newChild(map[string]part{
			"source": playSource, "sink": playSink, "push": playPush, "spend": playSpend,
			"diff": playDiff, "library": playLibrary, "mirror": playMirror,
		}),
	}
}
