// Command damsync keeps a DAM or an image repository equal to what a CMP library
// says it should hold.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"damsync/internal/memory"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	memory.Save(os.LookupEnv)
	code := run(ctx, os.Args[1:], process{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv})
	stop()
	os.Exit(code)
}
