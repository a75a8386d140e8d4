package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
)

// lacking is a rule that names three things which the library does not have.
func lacking() plan.Spec {
	return summaries("lacking", func(s *plan.Spec) {
		s.Select.Folders = []string{"/Brand/**", "/Nowhere/**"}
		s.Select.Labels = map[string][]string{"Status": {"Approved", "Secret"}}
		s.Select.When = `asset.fields["Mood"] == "blue"`
	})
}

// lackingNames are the names that no report about lacking may leave out.
func lackingNames() []string { return []string{"/Nowhere", "Secret", "Mood"} }

func TestMissingNames(t *testing.T) {
	s := newShelf()
	have := state.NamesOf(s.folders, s.groups, s.fields)
	for name, test := range map[string]struct {
		refs plan.References
		want []string
	}{
		"none of what the library has": {plan.References{
			FolderPatterns: []string{"/Brand", "/"}, Labels: map[string][]string{"Status": {"Approved", "Draft"}}, Fields: []string{"Headline"},
		}, nil},
		"a folder": {plan.References{FolderPatterns: []string{"/Brand", "/Nowhere"}}, []string{`the library has no folder "/Nowhere"`}},
		"a label group, and what it has": {
			plan.References{Labels: map[string][]string{"Mood": {"Blue"}}}, []string{`the library has no label group "Mood" (it has Status)`},
		},
		"a label value, and what it has": {
			plan.References{Labels: map[string][]string{"Status": {"Approved", "Secret"}}},
			[]string{`label group "Status" has no value "Secret" (it has Approved, Draft)`},
		},
		"a field, and what it has": {plan.References{Fields: []string{"Mood"}}, []string{`the library has no field "Mood" (it has Headline)`}},
		"all of them": {plan.References{
			FolderPatterns: []string{"/Nowhere"}, Labels: map[string][]string{"Status": {"Secret"}}, Fields: []string{"Mood"},
		}, []string{
			`the library has no folder "/Nowhere"`, `label group "Status" has no value "Secret" (it has Approved, Draft)`,
			`the library has no field "Mood" (it has Headline)`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := MissingNames(test.refs, have); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// A rule that names what the library does not have does not run, and says all that is missing; the others run.
func TestOnlyRulesWhoseNamesExistRun(t *testing.T) {
	specs := []plan.Spec{summaries("approved", labeled("Approved")), lacking(), summaries("all", everything)}
	t.Run("none before the names were read", func(t *testing.T) {
		r := newRoom(t, specs...)
		if err := r.planner.Check(t.Context()); err != nil || r.planner.Rules.Known() {
			t.Errorf("known: %t, %v", r.planner.Rules.Known(), err)
		}
		r.running()
	})
	t.Run("when they are checked", func(t *testing.T) {
		r := newRoom(t, specs...)
		r.refresh()
		r.running("approved", "all")
		for range 3 {
			r.refresh()
		}
		if n := strings.Count(r.log.String(), "target does not run"); n != 1 {
			t.Errorf("the problem is logged %d times", n)
		}
		for name, broken := range map[string]bool{"approved": false, "all": false, "lacking": true} {
			p, err := r.TargetPlan(t.Context(), name)
			if err != nil || (p.Problem != "") != broken {
				t.Errorf("%s: problem %q, %v", name, p.Problem, err)
			}
			if broken {
				namesAll(t, p.Problem)
			}
		}
	})
	t.Run("when what is known is used", func(t *testing.T) {
		first := newRoom(t, specs...)
		first.refresh()
		first.Exec(`DELETE FROM damsync.target`)
		r := process(t, first.Database, first.shelf, specs...)
		if err := r.planner.UseKnown(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.running("approved", "all")
		if n := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.target`); n != 0 {
			t.Error("it wrote to the database")
		}
		known, err := r.Names(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		namesAll(t, r.planner.problems(known)["lacking"])
	})
}

// namesAll fails the test unless a problem says everything that the rule lacks.
func namesAll(t *testing.T, problem string) {
	t.Helper()
	for _, name := range lackingNames() {
		if !strings.Contains(problem, name) {
			t.Errorf("the problem %q leaves out %s", problem, name)
		}
	}
}

// A rule that runs again is planned for all assets: they were evaluated without it meanwhile.
func TestRuleThatRunsAgainIsPlanned(t *testing.T) {
	r := newRoom(t, summaries("approved", labeled("Approved")), summaries("all", everything))
	r.refresh()
	r.planStale()
	r.stale()
	r.planner.Plan.Take()
	r.shelf.rename("v1", "Released")
	r.refresh()
	r.running("all")
	r.planStale()
	r.stale()
	r.shelf.rename("v1", "Approved")
	r.refresh()
	r.running("approved", "all")
	if !r.planner.Plan.Take() {
		t.Error("no planning is requested")
	}
	r.planStale()
	r.stale()
}

// A rule that runs later here than in another process is planned once more: this process evaluated assets without it.
func TestRuleThatRunsLaterHereIsPlannedAgain(t *testing.T) {
	specs := []plan.Spec{summaries("approved", labeled("Approved")), summaries("all", everything)}
	other := newRoom(t, specs...)
	other.shelf.rename("v1", "Released")
	other.refresh()
	r := process(t, other.Database, other.shelf, specs...)
	if err := r.planner.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.running("all")
	other.shelf.rename("v1", "Approved")
	other.refresh()
	other.planStale()
	other.stale()
	if err := r.planner.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.running("approved", "all")
	r.stale("approved")
}

// Planning all assets ends with nothing stale, and planning again writes no row.
func TestPlanningIsIdempotent(t *testing.T) {
	r := newRoom(t, summaries("approved", labeled("Approved")), summaries("all", everything))
	r.Mirror(status("a", "v1", "Approved"), status("b", "v2", "Draft"), roomtest.Asset("c"))
	r.refresh()
	r.stale("approved", "all")
	r.planStale()
	r.stale()
	placed := []string{"all a", "all b", "all c", "approved a"}
	if got := r.placements(); !slices.Equal(got, placed) {
		t.Errorf("planned %q, want %q", got, placed)
	}
	before := r.versions()
	r.planStale()
	if _, err := r.planner.PlanStep(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.planner.PlanAssets(t.Context(), state.Observation{Kind: state.KindPlan, Class: grant.Sweep}, []string{"a", "b", "c"}); err != nil {
		t.Error(err)
	}
	r.Exec(`UPDATE damsync.target SET fingerprint = ''`) // as after a kill in the middle
	r.stale("approved", "all")
	r.planStale()
	r.stale()
	if after := r.versions(); !slices.Equal(after, before) {
		t.Errorf("placements were written again: %q, before %q", after, before)
	}
}

// placements lists what is planned, as "target asset".
func (r *room) placements() []string {
	return r.column(`SELECT target || ' ' || asset_id FROM damsync.placement WHERE desired_present ORDER BY 1`)
}

// versions changes whenever a placement is written.
func (r *room) versions() []string {
	return r.column(`SELECT concat_ws(' ', target, asset_id, ctid, xmin) FROM damsync.placement ORDER BY 1`)
}

func (r *room) column(sql string) []string {
	r.t.Helper()
	rows, err := r.Pool.Query(r.t.Context(), sql)
	if err != nil {
		r.t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// More assets than one transaction plans are all planned.
func TestPlanningGoesThroughAllAssets(t *testing.T) {
	r := newRoom(t, summaries("all", everything))
	var assets []library.Asset
	for i := range planChunk + 10 {
		assets = append(assets, roomtest.Asset(fmt.Sprintf("asset-%05d", i)))
	}
	r.Mirror(assets...)
	r.refresh()
	r.planStale()
	if n := len(r.placements()); n != len(assets) {
		t.Errorf("%d of %d assets are planned", n, len(assets))
	}
}

// Assets keep the old name of a label until they are read again. A rule that is changed to the new name still selects
// them.
func TestRenamedLabelDeselectsNothing(t *testing.T) {
	for name, next := range map[string]string{"the rule keeps the old name": "Approved", "the rule has the new name": "Released"} {
		t.Run(name, func(t *testing.T) {
			before := newRoom(t, summaries("approved", labeled("Approved")))
			before.Mirror(status("a", "v1", "Approved"), status("b", "v2", "Draft"))
			before.refresh()
			before.planStale()
			placed := before.versions()
			before.shelf.rename("v1", "Released")
			r := process(t, before.Database, before.shelf, summaries("approved", labeled(next)))
			r.refresh()
			r.planStale()
			if got := r.versions(); len(got) != 1 || !slices.Equal(got, placed) {
				t.Errorf("placements %q, before the rename %q", got, placed)
			}
			if runs := len(r.planner.Rules.InForce()) == 1; runs != (next == "Released") {
				t.Errorf("the rule runs: %t", runs)
			}
		})
	}
}

func TestRefreshReadsReferences(t *testing.T) {
	t.Run("fields only when a rule reads one", func(t *testing.T) {
		r := newRoom(t, summaries("all", everything))
		r.refresh()
		if r.shelf.defined != 0 {
			t.Errorf("fields were read %d times", r.shelf.defined)
		}
		r = process(t, r.Database, r.shelf, lacking())
		r.refresh()
		if r.shelf.defined != 1 {
			t.Errorf("fields were read %d times", r.shelf.defined)
		}
	})
	t.Run("in the class of its caller", func(t *testing.T) {
		r := newRoom(t)
		for _, class := range []grant.Class{grant.Manual, grant.Incremental} {
			if err := r.references.Refresh(t.Context(), class); err != nil {
				t.Fatal(err)
			}
		}
		if got := r.shelf.classes; !slices.Equal(got, []grant.Class{grant.Manual, grant.Incremental}) {
			t.Errorf("classes %q", got)
		}
	})
	t.Run("a failure is recorded and changes nothing", func(t *testing.T) {
		r := newRoom(t, summaries("approved", labeled("Approved")))
		r.refresh()
		down := errors.New("the library is down")
		r.shelf.fail = down
		if err := r.references.Refresh(t.Context(), grant.Manual); !errors.Is(err, down) {
			t.Errorf("error %v", err)
		}
		if got := roomtest.Query[string](r.Database, `SELECT error FROM damsync.observation WHERE kind = $1`, state.KindReferences); got != down.Error() {
			t.Errorf("recorded %q", got)
		}
		if n := len(r.shelf.noted); n != 2 || !errors.Is(r.shelf.noted[1], down) {
			t.Errorf("noted %v", r.shelf.noted)
		}
		r.running("approved")
	})
	t.Run("a list that is empty all at once is not believed", func(t *testing.T) {
		r := newRoom(t, summaries("approved", labeled("Approved")))
		r.Mirror(status("a", "v1", "Approved"))
		r.refresh()
		r.shelf.groups = nil
		r.refresh()
		r.running("approved")
	})
}
