package plan

import (
	"testing"

	"pgregory.net/rapid"

	"damsync/internal/library"
)

func anyState() *rapid.Generator[State] {
	return rapid.Custom(func(t *rapid.T) State {
		if !rapid.Bool().Draw(t, "present") {
			return State{}
		}
		return State{
			Present:      true,
			Path:         rapid.SampledFrom([]string{"a", "b"}).Draw(t, "path"),
			Version:      rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version"),
			MetadataHash: library.Hash{rapid.Byte().Draw(t, "hash") % 2},
		}
	})
}

func anyDecision() *rapid.Generator[Decision] {
	return rapid.Custom(func(t *rapid.T) Decision {
		d := Decision{Verdict: Verdict(rapid.IntRange(int(NotSelected), int(Failed)).Draw(t, "verdict"))}
		if d.Verdict == Selected {
			s := anyState().Filter(func(s State) bool { return s.Present }).Draw(t, "selected")
			d.Path, d.Version, d.MetadataHash = s.Path, s.Version, s.MetadataHash
		}
		return d
	})
}

func TestNext(t *testing.T) {
	here := State{Present: true, Path: "p", Version: "v", MetadataHash: library.Hash{1}}
	moved := here
	moved.Path = "q"
	selectAs := func(s State) Decision {
		return Decision{Verdict: Selected, Path: s.Path, Version: s.Version, MetadataHash: s.MetadataHash}
	}
	tests := map[string]struct {
		decision Decision
		desired  State
		exists   bool
		next     State
		change   Change
	}{
		"new":                    {selectAs(here), State{}, false, here, Added},
		"same":                   {selectAs(here), here, true, here, Unchanged},
		"moved":                  {selectAs(moved), here, true, moved, Updated},
		"back again":             {selectAs(here), State{}, true, here, Added},
		"removed":                {Decision{Verdict: NotSelected}, here, true, State{}, Removed},
		"never there":            {Decision{Verdict: NotSelected}, State{}, false, State{}, Unchanged},
		"removed before":         {Decision{Verdict: NotSelected}, State{}, true, State{}, Unchanged},
		"leftover without a row": {Decision{Verdict: NotSelected}, here, false, State{}, Unchanged},
		"undecided":              {Decision{Verdict: NeedsDetail}, here, true, here, Unchanged},
		"failed":                 {Decision{Verdict: Failed}, here, true, here, Unchanged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			next, change := Next(test.decision, test.desired, test.exists)
			if next != test.next || change != test.change {
				t.Errorf("got %+v, %v; want %+v, %v", next, change, test.next, test.change)
			}
		})
	}
}

func TestNextProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decision, desired := anyDecision().Draw(t, "decision"), anyState().Draw(t, "desired")
		next, change := Next(decision, desired, true)
		if (change == Unchanged) != (next == desired) {
			t.Fatalf("%v, but %+v became %+v", change, desired, next)
		}
		if change == Removed && (decision.Verdict != NotSelected || !desired.Present || next.Present) {
			t.Fatalf("removal from %v", decision.Verdict)
		}
		undecided := decision.Verdict == NeedsDetail || decision.Verdict == NeedsFields || decision.Verdict == Failed
		if undecided && change != Unchanged {
			t.Fatalf("%v changed the placement: %v", decision.Verdict, change)
		}
		if again, change := Next(decision, next, true); again != next || change != Unchanged {
			t.Fatalf("the same decision again: %v", change)
		}
	})
}

func TestNextOp(t *testing.T) {
	here := State{Present: true, Path: "p", Version: "v", MetadataHash: library.Hash{1}}
	with := func(path, version string, hash byte) State {
		return State{Present: true, Path: path, Version: version, MetadataHash: library.Hash{hash}}
	}
	tests := map[string]struct {
		desired, applied State
		state            Applied
		mode             RemoveMode
		want             Op
	}{
		"new":                   {here, State{}, AppliedAbsent, RemoveArchive, OpPut},
		"equal":                 {here, here, AppliedPresent, RemoveArchive, OpNone},
		"bytes":                 {here, with("p", "old", 1), AppliedPresent, RemoveArchive, OpPut},
		"bytes and all":         {here, with("q", "old", 2), AppliedPresent, RemoveArchive, OpPut},
		"path":                  {here, with("q", "v", 1), AppliedPresent, RemoveArchive, OpMove},
		"path and metadata":     {here, with("q", "v", 2), AppliedPresent, RemoveArchive, OpMove},
		"metadata":              {here, with("p", "v", 2), AppliedPresent, RemoveArchive, OpSetMetadata},
		"back from the archive": {here, here, AppliedArchived, RemoveArchive, OpPut},
		"delete":                {State{}, here, AppliedPresent, RemoveDelete, OpRetire},
		"archive":               {State{}, here, AppliedPresent, RemoveArchive, OpRetire},
		"keep":                  {State{}, here, AppliedPresent, RemoveKeep, OpNone},
		"archived, mode delete": {State{}, here, AppliedArchived, RemoveDelete, OpNone},
		"never there":           {State{}, State{}, AppliedAbsent, RemoveDelete, OpNone},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := NextOp(test.desired, test.applied, test.state, test.mode); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestNextOpConverges plays an engine that does every operation as told: from
// any state it ends, in few steps, with the target as desired.
func TestNextOpConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		desired, applied := anyState().Draw(t, "desired"), anyState().Draw(t, "applied")
		mode := rapid.SampledFrom([]RemoveMode{RemoveDelete, RemoveArchive, RemoveKeep}).Draw(t, "mode")
		state := AppliedAbsent
		if applied.Present {
			state = rapid.SampledFrom([]Applied{AppliedPresent, AppliedArchived}).Draw(t, "state")
		}
		before := state
		steps := 0
		for op := NextOp(desired, applied, state, mode); op != OpNone; op = NextOp(desired, applied, state, mode) {
			switch op {
			case OpPut:
				applied, state = desired, AppliedPresent
			case OpMove:
				applied.Path = desired.Path
			case OpSetMetadata:
				applied.MetadataHash = desired.MetadataHash
			case OpRetire:
				state = AppliedAbsent
			}
			if steps++; steps > 2 {
				t.Fatalf("no end: %+v to %+v", applied, desired)
			}
		}
		switch {
		case desired.Present && (state != AppliedPresent || applied != desired):
			t.Fatalf("ended with %+v, want %+v", applied, desired)
		case !desired.Present && mode != RemoveKeep && state == AppliedPresent:
			t.Fatal("still there")
		case !desired.Present && mode == RemoveKeep && state != before:
			t.Fatal("keep touched the object")
		}
	})
}
