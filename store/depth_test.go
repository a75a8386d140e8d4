package store

import (
	"testing"
	"time"

	"damsync/internal/grant"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// What is left to be read in depth is told as it is now, not as it was when a daemon last looked.
func TestFirstLightIsToldAsItIs(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	place(t, s, "brand")
	apply(t, s, second(0), nothing("brand"), summary("a"), summary("b"))
	must(t, s.WantLookups(t.Context(), swept(), grant.Backfill, false, []state.Ref{{ID: "a"}, {ID: "b"}}))
	told := func() state.FirstLight {
		t.Helper()
		d, err := s.Depth(t.Context())
		must(t, err)
		if d.FirstLight == nil {
			return state.FirstLight{}
		}
		return *d.FirstLight
	}
	if f := told(); f.Left != 2 || f.Done != 0 || f.ExpectedEnd != nil {
		t.Errorf("before anybody looked: %+v", f)
	}
	_, err := s.NoteFirstLight(t.Context(), 2)
	must(t, err)
	claims, err := s.ClaimLookups(t.Context(), 2, time.Minute)
	must(t, err)
	read := func(l state.Lookup) {
		t.Helper()
		now, err := s.Now(t.Context())
		must(t, err)
		applyReading(t, s, l, reading(summary(l.AssetID), now, described("read")), nothing("brand"))
	}
	read(claims[0])
	if f := told(); f.Left != 1 || f.Done != 1 || f.Requests != 1 {
		t.Errorf("after one was read: %+v", f)
	}
	read(claims[1])
	if f := told(); f != (state.FirstLight{}) {
		t.Errorf("after all were read: %+v", f)
	}
}
