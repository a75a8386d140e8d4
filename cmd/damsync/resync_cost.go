package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"damsync/internal/forecast"
)

// askAbove is the share of the month's balance above which a full resync needs consent.
const askAbove = 0.1

// consent asks before a full resync that costs much of what the month has left. Without a
// terminal it refuses, unless the caller passed --yes: a nightly job must not spend the month
// by mistake.
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
		return usage("%s; pass --yes to start it, or run damsync quota for details", cost)
	}
	fmt.Fprintf(p.stderr, "%s.\nContinue? [y/N] ", cost)
	yes, err := answer(ctx, p.stdin)
	if err != nil {
		return err
	}
	if !yes {
		return usage("canceled; no request was sent")
	}
	return nil
}

func resyncCost(r forecast.Report) string {
	f := r.FullResync
	return fmt.Sprintf("resync --full takes about %d requests and %s: %s (%d)", f.Requests, duration(f.Seconds), ofBalance(f), r.Month.Balance)
}

// answer reads one line and reports whether it begins with a y. It returns early when ctx ends;
// the blocked read itself ends with the process.
func answer(ctx context.Context, from io.Reader) (yes bool, err error) {
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(io.LimitReader(from, 1<<10)).ReadString('\n') // a failed read is a no
		line <- text
	}()
	select {
	case text := <-line:
		return strings.HasPrefix(strings.ToLower(strings.TrimSpace(text)), "y"), nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
