package store

import (
	"encoding/json"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

func references() state.References {
	return state.References{
		Folders: []library.Folder{
			{ID: "f1", Name: "Brand", Path: "/Brand", CreatedAt: second(-9), ModifiedAt: second(-8), Raw: json.RawMessage(`{"id": "f1"}`)},
			{ID: "f2", ParentID: "f1", Name: "Spring", Path: "/Brand/Spring", Raw: json.RawMessage(`{"id": "f2"}`)},
		},
		LabelGroups: []library.LabelGroup{
			{ID: "g1", Name: "Status", Values: []library.Named{{ID: "v1", Name: "Approved"}, {ID: "v2", Name: "Draft"}}, Raw: json.RawMessage(`{}`)},
			{ID: "g2", Name: "Empty"},
		},
		Fields: []library.FieldDefinition{{ID: "d1", Name: "Market", Type: "choice", Active: true, Choices: []library.Named{{ID: "c1", Name: "DE"}}}},
	}
}

func applyReferences(t *testing.T, s *Store, refs state.References) bool {
	t.Helper()
	applied, err := s.ApplyReferences(t.Context(), state.Observation{Kind: "references"}, refs)
	must(t, err)
	if len(applied.Kept) > 0 {
		t.Errorf("%v are kept", applied.Kept)
	}
	return applied.Changed
}

func TestReferences(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	epoch := func() int64 {
		t.Helper()
		e, err := s.Epoch(t.Context())
		must(t, err)
		return e
	}
	l := listen(t, s)
	l.expect(state.Topics()...)
	first := epoch()
	if !applyReferences(t, s, references()) || epoch() != first+1 {
		t.Error("new references leave the plan as it is")
	}
	l.expect(state.TopicPlan)
	names, err := s.Names(t.Context())
	want := state.Names{
		Folders: map[string]bool{"/Brand": true, "/Brand/Spring": true},
		Labels:  map[string]map[string]bool{"Status": {"Approved": true, "Draft": true}, "Empty": {"": true}},
		Fields:  map[string]bool{"Market": true},

		LabelNames: map[string]string{"g1": "Status", "g2": "Empty", "v1": "Approved", "v2": "Draft"},
	}
	if diff := gocmp.Diff(want, names); err != nil || diff != "" {
		t.Errorf("names (-want +got):\n%s%v", diff, err)
	}

	// A different order, and a modified_at that moves with every asset, are no changes.
	same := references()
	same.Folders[0], same.Folders[1] = same.Folders[1], same.Folders[0]
	same.Folders[0].ModifiedAt = second(9)
	v := same.LabelGroups[0].Values
	same.LabelGroups[0].Values = []library.Named{v[1], v[0]}
	if applyReferences(t, s, same) || epoch() != first+1 {
		t.Error("unchanged references cause planning")
	}

	// A folder that is renamed changes the folder of its assets without touching them.
	apply(t, s, second(1), nil, summary("x", func(a *library.Asset) { a.FolderID, a.FileLocation = "f2", "/Brand/Spring" }))
	renamed := references()
	renamed.Folders[1].Name, renamed.Folders[1].Path = "Sp\x00ring", "/Brand/Sp\x00ring"
	renamed.LabelGroups[0].Values = renamed.LabelGroups[0].Values[:1]
	renamed.LabelGroups = renamed.LabelGroups[:1]
	renamed.Fields = nil // not read this time
	exec(t, pool, `DELETE FROM damsync.change`)
	if !applyReferences(t, s, renamed) || epoch() != first+2 {
		t.Error("a renamed folder leaves the plan as it is")
	}
	if _, known, err := s.Snapshots(t.Context(), []string{"x"}); err != nil || known[0].Folder != "/Brand/Sp�ring" {
		t.Errorf("known %+v, %v", known, err)
	}
	if path, err := s.FolderPath(t.Context(), "f2"); err != nil || path != "/Brand/Sp�ring" {
		t.Errorf("path %q, %v", path, err)
	}
	if path, err := s.FolderPath(t.Context(), "unknown"); err != nil || path != "" {
		t.Errorf("path %q of an unknown folder, %v", path, err)
	}
	log := lines(t, pool, `SELECT concat_ws(' ', entity, entity_id, field, old, '->', new) FROM damsync.change ORDER BY entity, entity_id, field`)
	wantLog := []string{
		`folder f2 name "Spring" -> "Sp�ring"`,
		`folder f2 path "/Brand/Spring" -> "/Brand/Sp�ring"`,
		`label_group g1 values [{"id": "v1", "name": "Approved"}, {"id": "v2", "name": "Draft"}] -> [{"id": "v1", "name": "Approved"}]`,
		`label_group g2 removed {"id": "g2", "name": "Empty", "values": []} ->`,
	}
	if diff := gocmp.Diff(wantLog, log); diff != "" {
		t.Errorf("change log (-want +got):\n%s", diff)
	}
	if names, err = s.Names(t.Context()); err != nil || len(names.Fields) != 1 || len(names.Labels) != 1 {
		t.Errorf("names %+v, %v", names, err)
	}
	applied := apply(t, s, second(2), nil, summary("x", func(a *library.Asset) { a.FolderID, a.FileLocation = "f2", "/Brand/Winter" }))
	if !applied.FolderUnknown {
		t.Error("a folder at another path is not noticed")
	}
}

// A set that is listed empty is kept while assets refer to it, and the other sets are written: a failing upstream lists
// nothing, and so does a library whose last folder was deleted. When no asset refers to its kind, the set is emptied.
func TestEmptyListing(t *testing.T) {
	for entity, c := range map[string]struct {
		empty func(*state.References)
		count string
		leave func(*library.Asset) // how the asset stops referring to any
	}{
		"folders": {
			func(r *state.References) { r.Folders = nil },
			`SELECT count(*) FROM damsync.folder`,
			func(a *library.Asset) { a.FolderID, a.FileLocation = "", "/" },
		},
		"label_groups": {
			func(r *state.References) { r.LabelGroups = nil },
			`SELECT count(*) FROM damsync.label_group`,
			func(a *library.Asset) { a.Labels = nil },
		},
		"field_definitions": {
			func(r *state.References) { r.Fields = []library.FieldDefinition{} },
			`SELECT count(*) FROM damsync.field_definition`,
			func(*library.Asset) {},
		},
	} {
		t.Run(entity, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t)
			s := New(pool, "a")
			applyReferences(t, s, references())
			before := query[int](t, pool, c.count)
			used := summary("x", func(a *library.Asset) { a.FolderID, a.FileLocation = "f2", "/Brand/Spring" })
			want1(t, s, "x")
			applyFetched(t, s, claimOne(t, s), reading(used, second(1), withFields(library.FieldValue{ID: "d1", Name: "Market"})), nil)

			refs := references()
			refs.Folders[0].Name, refs.LabelGroups[0].Name = "renamed", "renamed"
			c.empty(&refs)
			got, err := s.ApplyReferences(t.Context(), state.Observation{Kind: "references"}, refs)
			if want := (state.ReferencesApplied{Changed: true, Kept: []string{entity}}); err != nil || !gocmp.Equal(got, want) {
				t.Errorf("applied %+v, %v, want %+v", got, err, want)
			}
			if n := query[int](t, pool, c.count); n != before {
				t.Errorf("%d %s of %d are left", n, entity, before)
			}
			if query[int](t, pool, `SELECT count(*) FROM damsync.change WHERE field = 'name'`) == 0 {
				t.Error("what came with an empty set was not taken")
			}

			c.leave(&used)
			want1(t, s, "x")
			applyFetched(t, s, claimOne(t, s), reading(used, second(2), withFields()), nil)
			if !applyReferences(t, s, refs) || query[int](t, pool, c.count) != 0 {
				t.Errorf("%s that nothing refers to are kept", entity)
			}
		})
	}
}

// References of removed assets keep no set, and an empty library changes nothing.
func TestEmptyListingOfAnEmptyLibrary(t *testing.T) {
	s := New(pgtest.Pool(t), "a")
	nothing := state.References{Fields: []library.FieldDefinition{}}
	if applyReferences(t, s, nothing) {
		t.Error("a library without anything changes an empty mirror")
	}
	apply(t, s, second(1), nil, summary("x", func(a *library.Asset) { a.FolderID = "f2" }))
	applyReferences(t, s, references())
	want1(t, s, "x")
	must(t, s.ApplyGone(t.Context(), claimOne(t, s), second(2), nil))
	if !applyReferences(t, s, nothing) {
		t.Error("references are kept for a removed asset")
	}
}
