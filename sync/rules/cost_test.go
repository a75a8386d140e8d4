package rules

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

func TestCostCountsTheDeepestLevelOfAnyTarget(t *testing.T) {
	compile := func(spec plan.Spec) *plan.Target {
		rule, problems := plan.Compile(spec)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return rule
	}
	image := plan.Select{Types: []string{"image"}, Expired: plan.ExpiredIgnore}
	rules := []*plan.Target{
		compile(plan.Spec{Name: "summaries", Select: plan.Select{Expired: plan.ExpiredIgnore}}),
		compile(plan.Spec{Name: "details", Select: image, Metadata: []plan.MetadataRule{{Key: "alt", Expr: "asset.alt_text"}}}),
		compile(plan.Spec{Name: "fields", Select: image, Metadata: []plan.MetadataRule{{Key: "usage", Expr: `asset.fields["Usage"]`}}}),
		compile(plan.Spec{Name: "unexpired", Select: plan.Select{Types: []string{"video"}}}),
	}
	view := func(id, kind string) state.Snapshot {
		return state.Snapshot{Asset: library.Asset{ID: id, Type: kind}, Folder: "/"}
	}
	read := view("read", "image") // its known detail must count like an unread one
	read.Detail = &library.Detail{}
	set := NewSet(rules, plan.FolderOrder{}, func() {})
	set.activate(nil, nil)
	c := set.NewCost()
	for _, k := range []state.Snapshot{view("a", "image"), read, view("b", "video"), view("c", "raw_file")} {
		c.Add(time.Now(), k)
	}
	for i := range c.Targets {
		c.Targets[i].Name, c.Targets[i].Needs = "", nil
	}
	want := Cost{
		Assets: 4, Reads: Reads{Details: 3, Fields: 2},
		Targets: []TargetCost{{}, {Reads: Reads{Details: 2}}, {Reads: Reads{Details: 2, Fields: 2}}, {Reads: Reads{Details: 1}}},
	}
	if diff := gocmp.Diff(want, c, cmpopts.IgnoreUnexported(Cost{})); diff != "" {
		t.Errorf("cost (-want +got):\n%s", diff)
	}
}
