package sync

import (
	"fmt"
	"testing"
	"time"
)

// A second version within one second changes no modified_at, so a rule that reads only summaries cannot see it. The last
// version must be pushed all the same.
func TestVersionsWithinOneSecond(t *testing.T) {
	w := newWorld(t, t, worldOptions{})
	defer w.close()
	w.start()
	w.converge()
	var id string
	for id = range w.wanted("photos") {
		break
	}
	for range 2 {
		for range 4 {
			if err := w.sim.NewVersion(id, 0); err != nil {
				t.Fatal(err)
			}
			w.eventually("push", time.Minute, func() error {
				if w.adapters.calls.Load() == 0 {
					return fmt.Errorf("no call")
				}
				return nil
			})
			w.adapters.calls.Store(0)
		}
		w.converge()
	}
}
