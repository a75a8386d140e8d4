package plan

import (
	"testing"

	"pgregory.net/rapid"

	"damsync/internal/library"
	"damsync/internal/state"
)

func anyDesired() *rapid.Generator[state.Desired] {
	return rapid.Custom(func(t *rapid.T) state.Desired {
		if !rapid.Bool().Draw(t, "present") {
			return state.Desired{}
		}
		return state.Desired{
			Present:      true,
			Path:         rapid.SampledFrom([]string{"a", "b"}).Draw(t, "path"),
			Version:      rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version"),
			MetadataHash: library.Hash{rapid.Byte().Draw(t, "hash") % 2},
		}
	})
}

// sameContent compares the parts of two desired states that a target shows.
func sameContent(a, b state.Desired) bool {
	return a.Present == b.Present && a.Path == b.Path && a.Version == b.Version && a.MetadataHash == b.MetadataHash
}

// objectOf returns the object of a target that equals the desired state.
func objectOf(d state.Desired) state.Object {
	if !d.Present {
		return state.Object{State: "absent"}
	}
	return state.Object{State: "present", Path: d.Path, Version: d.Version, MetadataHash: d.MetadataHash}
}

func anyDecision() *rapid.Generator[Decision] {
	return rapid.Custom(func(t *rapid.T) Decision {
		d := Decision{Outcome: Outcome(rapid.IntRange(int(NotSelected), int(Failed)).Draw(t, "outcome"))}
		if d.Outcome == Selected {
			s := anyDesired().Filter(func(s state.Desired) bool { return s.Present }).Draw(t, "selected")
			d.Path, d.Version, d.MetadataHash = s.Path, s.Version, s.MetadataHash
		}
		return d
	})
}

func TestNext(t *testing.T) {
	here := state.Desired{Present: true, Path: "p", Version: "v", MetadataHash: library.Hash{1}}
	moved := here
	moved.Path = "q"
	selectAs := func(s state.Desired) Decision {
		return Decision{Outcome: Selected, Path: s.Path, Version: s.Version, MetadataHash: s.MetadataHash}
	}
	tests := map[string]struct {
		decision Decision
		before   state.Desired
		next     state.Desired
		change   Change
	}{
		"new":         {selectAs(here), state.Desired{}, here, Added},
		"same":        {selectAs(here), here, here, Unchanged},
		"moved":       {selectAs(moved), here, moved, Updated},
		"removed":     {Decision{Outcome: NotSelected}, here, state.Desired{}, Removed},
		"never there": {Decision{Outcome: NotSelected}, state.Desired{}, state.Desired{}, Unchanged},
		"undecided":   {Decision{Outcome: NeedsDetail}, here, here, Unchanged},
		"failed":      {Decision{Outcome: Failed}, here, here, Unchanged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			next, change := Next(test.decision, test.before)
			if !sameContent(next, test.next) || change != test.change {
				t.Errorf("got %+v, %v; want %+v, %v", next, change, test.next, test.change)
			}
		})
	}
}

func TestNextProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decision, before := anyDecision().Draw(t, "decision"), anyDesired().Draw(t, "before")
		next, change := Next(decision, before)
		if (change == Unchanged) != sameContent(next, before) {
			t.Fatalf("%v, but %+v became %+v", change, before, next)
		}
		if change == Removed && (decision.Outcome != NotSelected || !before.Present || next.Present) {
			t.Fatalf("removal from %v", decision.Outcome)
		}
		undecided := decision.Outcome == NeedsDetail || decision.Outcome == NeedsFields || decision.Outcome == Failed
		if undecided && change != Unchanged {
			t.Fatalf("%v changed the placement: %v", decision.Outcome, change)
		}
		if again, change := Next(decision, next); !sameContent(again, next) || change != Unchanged {
			t.Fatalf("the same decision again: %v", change)
		}
	})
}

func TestNextOp(t *testing.T) {
	with := func(path, version string, hash byte) state.Object {
		return state.Object{State: "present", Path: path, Version: version, MetadataHash: library.Hash{hash}}
	}
	desired := state.Desired{Present: true, Path: "p", Version: "v", MetadataHash: library.Hash{1}}
	here, archived, absent, gone := with("p", "v", 1), with("p", "v", 1), state.Object{State: "absent"}, state.Desired{}
	archived.State = "archived"
	tests := map[string]struct {
		desired state.Desired
		applied state.Object
		mode    RemoveMode
		want    Op
	}{
		"new":                   {desired, absent, RemoveArchive, OpPut},
		"equal":                 {desired, here, RemoveArchive, OpNone},
		"bytes":                 {desired, with("p", "old", 1), RemoveArchive, OpPut},
		"bytes and all":         {desired, with("q", "old", 2), RemoveArchive, OpPut},
		"path":                  {desired, with("q", "v", 1), RemoveArchive, OpMove},
		"path and metadata":     {desired, with("q", "v", 2), RemoveArchive, OpMove},
		"metadata":              {desired, with("p", "v", 2), RemoveArchive, OpSetMetadata},
		"back from the archive": {desired, archived, RemoveArchive, OpPut},
		"incomplete":            {desired, state.Object{State: "incomplete", Path: "p", Version: "v", MetadataHash: library.Hash{1}}, RemoveArchive, OpPut},
		"delete":                {gone, here, RemoveDelete, OpRetire},
		"archive":               {gone, here, RemoveArchive, OpRetire},
		"keep":                  {gone, here, RemoveKeep, OpNone},
		"archived, mode delete": {gone, archived, RemoveDelete, OpNone},
		"never there":           {gone, absent, RemoveDelete, OpNone},
		"no record":             {gone, state.Object{}, RemoveDelete, OpNone},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := NextOp(test.desired, test.applied, test.mode); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestNextOpConverges carries out every operation as NextOp says: from any state it ends within a few steps
// with the target as desired.
func TestNextOpConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired, applied := anyDesired().Draw(t, "desired"), objectOf(anyDesired().Draw(t, "applied"))
		mode := rapid.SampledFrom([]RemoveMode{RemoveDelete, RemoveArchive, RemoveKeep}).Draw(t, "mode")
		if applied.Present() {
			applied.State = rapid.SampledFrom([]string{"present", "archived"}).Draw(t, "state")
		}
		before := applied
		steps := 0
		for op := NextOp(desired, applied, mode); op != OpNone; op = NextOp(desired, applied, mode) {
			applied = carryOut(op, desired, applied, mode)
			if steps++; steps > 2 {
				t.Fatalf("no end: %+v to %+v", applied, desired)
			}
		}
		switch {
		case desired.Present && applied != objectOf(desired):
			t.Fatalf("ended with %+v, want %+v", applied, desired)
		case !desired.Present && mode != RemoveKeep && applied.Present():
			t.Fatal("still there")
		case !desired.Present && mode == RemoveKeep && applied != before:
			t.Fatal("keep touched the object")
		}
	})
}

// carryOut applies an operation to an object.
func carryOut(op Op, desired state.Desired, applied state.Object, mode RemoveMode) state.Object {
	switch op {
	case OpPut:
		return objectOf(desired)
	case OpMove:
		applied.Path = desired.Path
	case OpSetMetadata:
		applied.MetadataHash = desired.MetadataHash
	case OpRetire:
		if applied.State = "absent"; mode == RemoveArchive {
			applied.State = "archived"
		}
	}
	return applied
}
