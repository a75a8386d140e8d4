package plan

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/library"
)

// Needs names the keys that make a rule expensive, so that the forecast can show their cost.
func TestNeeds(t *testing.T) {
	target, problems := Compile(Spec{
		Name:   "brand",
		Select: Select{When: `asset.type == "image" and asset.width > 100 and asset.fields["Usage"] == "free"`},
		Path:   `{asset.folder}/{asset.height}x{asset.width}/{asset.file_name}`,
		Metadata: []MetadataRule{
			{Key: "title", Expr: "asset.title"},
			{Key: "alt", Expr: "asset.alt_text + asset.description + asset.alt_text"},
		},
	})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := []Need{
		{Key: "select.expired", Reads: []string{"expires_at"}, Level: library.LevelDetail},
		{Key: "select.when", Reads: []string{"fields", "width"}, Level: library.LevelFields},
		{Key: "path", Reads: []string{"height", "width"}, Level: library.LevelDetail},
		{Key: "metadata.alt", Reads: []string{"alt_text", "description"}, Level: library.LevelDetail},
	}
	if diff := gocmp.Diff(want, target.Needs()); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
	cheap, problems := Compile(Spec{Name: "cheap", Select: Select{Expired: ExpiredIgnore}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if needs := cheap.Needs(); len(needs) != 0 || cheap.Level() != library.LevelSummary {
		t.Errorf("a rule of summaries needs %v", needs)
	}
}
