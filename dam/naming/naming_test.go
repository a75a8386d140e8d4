package naming

import (
	"testing"

	"pgregory.net/rapid"
)

// The names are permanent: a change loses sight of what was archived before it.
func TestNamesArePermanent(t *testing.T) {
	if got := Segment("Ab_9-z"); got != "Ab_9-z" {
		t.Errorf("a safe id became %s", got)
	}
	if got, want := Segment("../B"), "id-"+Digest("../B")[:32]; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := Digest("a"), "4162fddd39a3e4225e8e2392eced237fbeb34e6e218b5647d27bd4d2b9c0da24"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A segment is safe whatever the id, and no other than a plain id is taken over.
func TestSegmentIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if s := Segment(rapid.String().Draw(t, "id")); !plainID.MatchString(s) {
			t.Errorf("unsafe: %q", s)
		}
	})
}

func TestDigestKeepsPartsApart(t *testing.T) {
	if Digest("a", "b") == Digest("ab") || Digest("a1:b") == Digest("a", "b") {
		t.Error("different parts have one digest")
	}
}
