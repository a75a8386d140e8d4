package push

import (
	"testing"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/record"
)

// An interrupted repair continues although the target, when it is looked at, shows nothing wrong; one that has landed is
// not repeated.
func TestRepairIsNotForgotten(t *testing.T) {
	for name, test := range map[string]struct {
		recorded string
		at       dam.State
		holds    int64
		want     string
	}{
		"not landed":           {"incomplete", dam.Present, 5, "incomplete"},
		"landed":               {"incomplete", dam.Present, 6, "present"},
		"gone meanwhile":       {"incomplete", dam.Absent, 5, "absent"},
		"nothing was the case": {"present", dam.Present, 5, "present"},
	} {
		j := &placing{w: state.Work{Generation: 6, Applied: state.Object{State: test.recorded, Generation: 5}}}
		j.remote = dam.Remote{State: test.at, Mark: dam.OwnerMark{Generation: test.holds}}
		j.applied = record.Object(j.remote)
		j.distrust()
		if j.applied.State != test.want || string(j.remote.State) != test.want {
			t.Errorf("%s: applied %s, remote %s, want %s", name, j.applied.State, j.remote.State, test.want)
		}
	}
}
