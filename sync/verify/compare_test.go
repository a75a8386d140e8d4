package verify

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"damsync/dam"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/loop"
)

// Each difference that the target's answer shows is named; those that a push
// would not find by looking are unseen.
func TestDifferences(t *testing.T) {
	hash := library.Hash{1}
	p := state.Placed{Generation: 5, Applied: state.Object{State: "present", Path: "a.png", MetadataHash: hash, Generation: 5, SHA256: "aa", Size: 3, Token: "t"}}
	same := dam.Remote{
		Path: "a.png", State: dam.Present, Token: "t",
		Mark: dam.OwnerMark{Version: "another name of the same bytes", SHA256: "aa", Size: 3, MetadataHash: hex.EncodeToString(hash[:]), Generation: 4},
	}
	for name, test := range map[string]struct {
		change func(*dam.Remote)
		want   string
		unseen bool
	}{
		"nothing":        {func(*dam.Remote) {}, "", false},
		"no digest kept": {func(r *dam.Remote) { r.Mark.SHA256 = "" }, "", false},
		"moved":          {func(r *dam.Remote) { r.Path = "b.png" }, `at "b.png"`, false},
		"metadata":       {func(r *dam.Remote) { r.Mark.MetadataHash = "x" }, "metadata", false},
		"written later":  {func(r *dam.Remote) { r.Mark.Generation = 6 }, "generation 6", false},
		"size":           {func(r *dam.Remote) { r.Mark.Size = 4 }, "4 bytes", true},
		"digest":         {func(r *dam.Remote) { r.Mark.SHA256 = "bb" }, "SHA-256 bb", true},
		"incomplete":     {func(r *dam.Remote) { r.State = dam.Incomplete }, "ownership mark", false},
		"archived":       {func(r *dam.Remote) { r.State = dam.Archived }, "archived", false},
	} {
		r := same
		test.change(&r)
		differs, unseen := differences(p, r)
		if got := strings.Join(differs, "; "); (got == "") != (test.want == "") || !strings.Contains(got, test.want) || unseen != test.unseen {
			t.Errorf("%s: %q, unseen %t; want %q, %t", name, got, unseen, test.want, test.unseen)
		}
	}
}

// Hashes of one kind are compared; others prove nothing.
func TestHashDiffers(t *testing.T) {
	put := state.Object{SHA256: "aa", Hash: "md5:11"}
	for hash, want := range map[string]struct{ differs, proven bool }{
		"":          {false, false},
		"sha256:aa": {false, true},
		"sha256:bb": {true, true},
		"md5:11":    {false, true},
		"md5:22":    {true, true},
		"crc32c:11": {false, false},
	} {
		differs, proven := hashDiffers(put, dam.Remote{Hash: hash})
		if (differs != "") != want.differs || proven != want.proven {
			t.Errorf("%q: %q, %t", hash, differs, proven)
		}
	}
}

// The next verification comes with the schedule, and after a failure not before an hour.
func TestVerifyDue(t *testing.T) {
	weekly, err := loop.ParseSchedule("verify", "0 4 * * 6")
	if err != nil {
		t.Fatal(err)
	}
	saturday := time.Date(2026, 3, 7, 4, 0, 0, 0, time.Local)
	for name, test := range map[string]struct {
		last state.ObservationState
		want time.Duration
	}{
		"first":        {state.ObservationState{LastAttempt: saturday.Add(-time.Hour)}, 0},
		"overdue":      {state.ObservationState{LastAttempt: saturday.AddDate(0, 0, -7), LastSuccess: saturday.AddDate(0, 0, -7).Add(time.Minute)}, 0},
		"not yet":      {state.ObservationState{LastAttempt: saturday, LastSuccess: saturday.Add(time.Minute)}, 7*24*time.Hour - 5*time.Minute},
		"failed since": {state.ObservationState{LastAttempt: saturday, LastSuccess: saturday.AddDate(0, 0, -7)}, 55 * time.Minute},
	} {
		if got := due(weekly, test.last, saturday.Add(5*time.Minute)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
