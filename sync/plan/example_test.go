package plan_test

import (
	"fmt"
	"time"

	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// A rule that needs only the summary costs no request.
func Example() {
	target, problems := plan.Compile(plan.Spec{
		Name: "brand-images",
		Select: plan.Select{
			Folders: []string{"/Brand/**"},
			Labels:  map[string][]string{"Status": {"Approved"}},
			Expired: plan.ExpiredIgnore,
		},
		Path:     "{asset.folder}/{asset.file_name}",
		Metadata: []plan.MetadataRule{{Key: "title", Expr: "asset.title"}},
	})
	if len(problems) > 0 {
		fmt.Println(problems)
		return
	}
	asset := library.Asset{
		ID: "6a1f", Type: library.TypeImage, Title: "AC/DC", FileExtension: "jpg", FileLocation: "/Brand/Tour",
		Labels: []library.Label{{Group: library.Named{Name: "Status"}, Values: []library.Named{{Name: "Approved"}}}},
	}
	decision := target.Evaluate(state.Snapshot{Asset: asset}, time.Now())
	fmt.Println(target.Level(), "is enough:", decision.Outcome, decision.Path, string(decision.Metadata))

	asset.FileLocation = "/Legal"
	decision = target.Evaluate(state.Snapshot{Asset: asset}, time.Now())
	fmt.Println(decision.Outcome, "because", decision.Reason)
	// Output:
	// summary is enough: selected Brand/Tour/AC_DC.jpg {"title":"AC/DC"}
	// not selected because folder /Legal matches none of /Brand/**
}

// Problems have the position of the mistake.
func ExampleCompile_problems() {
	_, problems := plan.Compile(plan.Spec{Select: plan.Select{When: `asset.width > "wide"`}})
	for _, p := range problems {
		fmt.Printf("%s at %d: %s\n", p.Field, p.Offset, p.Message)
	}
	// Output:
	// select.when at 12: invalid operation: > (mismatched types int and string)
}
