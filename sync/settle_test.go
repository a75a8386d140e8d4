package sync

import (
	"fmt"
	"testing"
	"time"
)

// Versions within one second show neither in modified_at nor, to a rule that reads summaries, anywhere
// else: the last one must win all the same.
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
