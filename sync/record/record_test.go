package record

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
)

// remote is a whole answer about an object in a state.
func remote(at dam.State) dam.Remote {
	return dam.Remote{
		Ref: "id 17", Path: "a/b.png", State: at, Token: "etag", Hash: "md5:00ff",
		Mark: dam.OwnerMark{
			Instance: "installation", Target: "target", AssetID: "asset", Version: "v1", SHA256: "aa", Size: 7,
			MetadataHash: "01" + string(slices.Repeat([]byte("00"), 31)), Generation: 5,
		},
	}
}

// What a target answered is recorded such that the next look at it starts from the same answer.
func TestAnswerSurvivesItsRecord(t *testing.T) {
	absent := dam.Remote{State: dam.Absent, Mark: dam.OwnerMark{Generation: 5}}
	for name, test := range map[string]struct {
		answer, want dam.Remote
		record       func(dam.Remote) state.Object
	}{
		"a whole object":     {remote(dam.Present), remote(dam.Present), Object},
		"an archived object": {remote(dam.Archived), remote(dam.Archived), Object},
		"an absent object, of which a generation is left": {absent, absent, Object},
		"an incomplete object that was found":             {remote(dam.Incomplete), remote(dam.Incomplete), Found},
		"a whole object that was found":                   {remote(dam.Present), remote(dam.Present), Found},
	} {
		t.Run(name, func(t *testing.T) {
			w := state.Work{Target: "target", AssetID: "asset", Applied: test.record(test.answer)}
			if diff := gocmp.Diff(test.want, Remote("installation", w)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestObject(t *testing.T) {
	nothing := state.Object{State: "absent", Generation: 5, Ref: "id 17"}
	whole := state.Object{
		State: "present", Path: "a/b.png", Version: "v1", MetadataHash: library.Hash{1}, Generation: 5, SHA256: "aa", Size: 7,
		Ref: "id 17", Token: "etag", Hash: "md5:00ff",
	}
	unmarked := remote(dam.Foreign)
	unmarked.Mark = dam.OwnerMark{}
	for name, test := range map[string]struct {
		answer dam.Remote
		want   state.Object
	}{
		"a whole object is recorded with everything its mark says": {remote(dam.Present), whole},
		"an incomplete object counts as absent":                    {remote(dam.Incomplete), nothing},
		"a foreign object counts as absent":                        {unmarked, state.Object{State: "absent", Ref: "id 17"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := gocmp.Diff(test.want, Object(test.answer)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("a metadata hash that cannot be read is recorded as none", func(t *testing.T) {
		for _, hash := range []string{"", "xyz", "00ff", remote(dam.Present).Mark.MetadataHash + "00"} {
			answer := remote(dam.Present)
			answer.Mark.MetadataHash = hash
			if got := Object(answer).MetadataHash; got != (library.Hash{}) {
				t.Errorf("%q is recorded as %x", hash, got)
			}
		}
	})
}

func TestHintsAreInOrderWithoutDuplicates(t *testing.T) {
	if got := Hints("b", "", "a", "b", "c", "a"); !slices.Equal(got, []string{"b", "a", "c"}) {
		t.Errorf("%q", got)
	}
	if got := Hints("", ""); len(got) != 0 {
		t.Errorf("%q of nothing", got)
	}
}
