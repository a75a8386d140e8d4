package sync

import "testing"

// onABusyMachine judges what depends on how fast the machine is besides on damsync: a
// bound that is kept once in three worlds is one that damsync can keep, and one that
// damsync cannot keep fails in all of them. try says what was wrong.
func onABusyMachine(t *testing.T, try func(t *testing.T) error) {
	t.Helper()
	const tries = 3
	for n := 1; ; n++ {
		err := try(t)
		if err == nil {
			return
		}
		if n == tries {
			t.Fatal(err)
		}
		t.Logf("try %d of %d: %v", n, tries, err)
	}
}
