package main

import (
	"context"
	"fmt"
	"time"
)

const (
	pausePollInterval = 2 * time.Second
	minReportedPause  = 5 * time.Second // shorter pauses are not printed
)

// withPauseNotices runs do, which reads the library. Meanwhile it prints the pauses that the CMP
// asked for, so that a waiting command does not look stuck.
func (a *app) withPauseNotices(ctx context.Context, to *progress, do func(context.Context) error) error {
	watch, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.printPauses(watch, to)
	}()
	defer func() {
		stop()
		<-done
	}()
	return do(ctx)
}

// printPauses prints the pause in force every few seconds until ctx ends.
func (a *app) printPauses(ctx context.Context, to *progress) {
	tick := time.NewTicker(pausePollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pause, err := a.store.PacePause(ctx)
		if err == nil && pause.Left > minReportedPause { // do gets the same error of the database, and reports it
			to.show(fmt.Sprintf("waiting until %s: %s", time.Now().Add(pause.Left).Format(time.TimeOnly), pause.Reason))
		}
	}
}
