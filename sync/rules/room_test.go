package rules

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/sync/loop"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
)

// room is a planner with a database, and a library of which only folders, labels and fields can be read.
type room struct {
	*roomtest.Database
	t          *testing.T
	shelf      *shelf
	planner    *Planner
	references *References
	log        *bytes.Buffer
}

func newRoom(t *testing.T, specs ...plan.Spec) *room {
	t.Helper()
	return process(t, roomtest.NewDatabase(t), newShelf(), specs...)
}

// process is another process, perhaps with other rules, at the same database and library.
func process(t *testing.T, db *roomtest.Database, s *shelf, specs ...plan.Spec) *room {
	t.Helper()
	r := &room{Database: db, t: t, shelf: s, log: &bytes.Buffer{}}
	r.planner = &Planner{
		Rules: NewSet(compiled(t, specs...), plan.FolderOrder{}, func() {}), Store: db, SlowPoll: time.Hour, Log: zerolog.New(r.log),
		Plan: loop.NewWakeup(), Changed: loop.NewWakeup(), Expiry: loop.NewWakeup(),
	}
	r.references = &References{
		Library: s, Store: db, Planner: r.planner, Leading: func() bool { return true }, Wakeup: loop.NewWakeup(), Log: zerolog.Nop(),
	}
	return r
}

func compiled(t *testing.T, specs ...plan.Spec) []*plan.Target {
	t.Helper()
	var all []*plan.Target
	for _, spec := range specs {
		rule, problems := plan.Compile(spec)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		all = append(all, rule)
	}
	return all
}

// summaries is a rule that reads nothing but summaries.
func summaries(name string, change func(*plan.Spec)) plan.Spec {
	spec := plan.Spec{Name: name, Select: plan.Select{Expired: plan.ExpiredIgnore}, Path: "{asset.id}"}
	change(&spec)
	return spec
}

func everything(*plan.Spec) {}

// labeled selects by a value of the label group Status.
func labeled(value string) func(*plan.Spec) {
	return func(s *plan.Spec) { s.Select.Labels = map[string][]string{"Status": {value}} }
}

func (r *room) refresh() {
	r.t.Helper()
	if err := r.references.Refresh(r.t.Context(), grant.Manual); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) planStale() {
	r.t.Helper()
	if err := r.planner.PlanStale(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// running fails the test unless exactly the named rules are in force.
func (r *room) running(want ...string) {
	r.t.Helper()
	if got := namesOf(r.planner.Rules.InForce()); !slices.Equal(got, want) {
		r.t.Errorf("in force are %q, want %q", got, want)
	}
}

// stale fails the test unless exactly the named rules are not planned for all assets.
func (r *room) stale(want ...string) {
	r.t.Helper()
	stale, _, err := r.planner.Stale(r.t.Context())
	if got := namesOf(stale); err != nil || !slices.Equal(got, want) {
		r.t.Errorf("stale are %q, %v, want %q", got, err, want)
	}
}

func namesOf(rules []*plan.Target) []string {
	var all []string
	for _, rule := range rules {
		all = append(all, rule.Name())
	}
	return all
}

// shelf is a library of which folders, labels and fields can be read.
type shelf struct {
	folders []library.Folder
	groups  []library.LabelGroup
	fields  []library.FieldDefinition
	fail    error
	classes []grant.Class // of the readings of folders
	defined int           // readings of fields
	noted   []error
}

func newShelf() *shelf {
	return &shelf{
		folders: []library.Folder{{ID: "f1", Name: "Brand", Path: "/Brand"}},
		groups: []library.LabelGroup{{
			ID: "g1", Name: "Status", Values: []library.Named{{ID: "v1", Name: "Approved"}, {ID: "v2", Name: "Draft"}}, Raw: json.RawMessage(`{}`),
		}},
		fields: []library.FieldDefinition{{ID: "c1", Name: "Headline", Type: "text", Active: true, Raw: json.RawMessage(`{}`)}},
	}
}

func (s *shelf) Folders(ctx context.Context) ([]library.Folder, error) {
	s.classes = append(s.classes, grant.ClassOf(ctx))
	return s.folders, s.fail
}

func (s *shelf) LabelGroups(context.Context) ([]library.LabelGroup, error) { return s.groups, s.fail }

func (s *shelf) FieldDefinitions(context.Context) ([]library.FieldDefinition, error) {
	s.defined++
	return s.fields, s.fail
}

func (s *shelf) Note(err error) { s.noted = append(s.noted, err) }

// rename gives a label value another name.
func (s *shelf) rename(id, name string) {
	s.groups = slices.Clone(s.groups)
	s.groups[0].Values = slices.Clone(s.groups[0].Values)
	for i, v := range s.groups[0].Values {
		if v.ID == id {
			s.groups[0].Values[i].Name = name
		}
	}
}

// status gives an asset a value of the label group Status.
func status(id, valueID, value string) library.Asset {
	a := roomtest.Asset(id)
	a.Labels = []library.Label{{Group: library.Named{ID: "g1", Name: "Status"}, Values: []library.Named{{ID: valueID, Name: value}}}}
	return a
}
