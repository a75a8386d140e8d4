package main

import (
	"context"
	"fmt"
	"time"
)

const (
	pauseLook = 2 * time.Second // how often a pause is looked for
	longPause = 5 * time.Second // shorter ones are not worth a word
)

// tellingPauses does something that reads the library, and says meanwhile when the CMP asks
// everybody to wait, so that a command that waits is not taken for one that is stuck.
func (a *app) tellingPauses(ctx context.Context, to *progress, do func(context.Context) error) error {
	watch, stop := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		a.tellPauses(watch, to)
	}()
	defer func() {
		stop()
		<-told
	}()
	return do(ctx)
}

func (a *app) tellPauses(ctx context.Context, to *progress) {
	tick := time.NewTicker(pauseLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pause, err := a.store.PacePause(ctx)
		if err == nil && pause.Left > longPause { // what the database says against it, the work itself meets
			to.say(fmt.Sprintf("waiting until %s, since %s", time.Now().Add(pause.Left).Format(time.TimeOnly), pause.Reason))
		}
	}
}
