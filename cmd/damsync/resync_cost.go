package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"damsync/sync/forecast"
)

// askAbove is the share of the month's balance above which a full resync is not started
// without somebody's consent.
const askAbove = 0.1

// consent says what a full resync takes and, when that is much of what the month has left,
// asks whether to go on. Where nobody can be asked it refuses: a job that may spend so much
// has to say --yes once, and one that may not must not spend the month every night.
func (a *app) consent(ctx context.Context, p process) error {
	r, err := a.forecast(ctx)
	if err != nil {
		return err
	}
	if r.FullResync.OfBalance <= askAbove || r.Library.Assets == 0 {
		return nil
	}
	cost := resyncCost(r)
	if !terminal(p.stderr) || !terminal(p.stdin) {
		return usage("%s; pass --yes to spend it, or look at damsync quota", cost)
	}
	fmt.Fprintf(p.stderr, "%s.\nGo on? [y/N] ", cost)
	yes, err := answer(ctx, p.stdin)
	if err != nil {
		return err
	}
	if !yes {
		return usage("nothing was done")
	}
	return nil
}

func resyncCost(r forecast.Report) string {
	f := r.FullResync
	return fmt.Sprintf("resync --full takes about %d requests and %s: %s (%d)", f.Requests, duration(f.Seconds), ofBalance(f), r.Month.Balance)
}

// answer reads one line; yes is what begins with a y. It returns early when ctx ends: the
// read itself cannot be interrupted, and ends with the process.
func answer(ctx context.Context, from io.Reader) (yes bool, err error) {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(io.LimitReader(from, 1<<10)).ReadString('\n') // no answer is no
		line <- text
	}()
	select {
	case text := <-line:
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(text)), "y"), nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
