package plan

import (
	"fmt"
	"testing"
	"time"

	"damsync/internal/state"
)

// BenchmarkDecide evaluates one asset for two targets, as a full plan does for each
// asset: one that needs the detail and maps metadata, and one that reads only the
// summary.
func BenchmarkDecide(b *testing.B) {
	brand := mustCompile(b, brandImages())
	all := mustCompile(b, Spec{Name: "all", Select: Select{Expired: ExpiredIgnore}})
	views := make([]state.Snapshot, 1000)
	for i := range views {
		views[i] = poster()
		a := &views[i].Asset
		a.ID, a.Title = fmt.Sprintf("%032x", i), fmt.Sprintf("Poster %d", i)
		a.FileLocation = fmt.Sprintf("/Brand/Summer/%d", i%50)
		if i%2 == 1 {
			a.FileLocation = "/Legal"
		}
	}
	now := day("2026-01-01")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		brand.Evaluate(views[i%len(views)], now)
		all.Evaluate(views[i%len(views)], now)
	}
}

// BenchmarkDecideTarget measures each kind of target.
func BenchmarkDecideTarget(b *testing.B) {
	specs := map[string]Spec{
		"excluded by folder": {Select: Select{Folders: []string{"/Legal/**"}}},
		"default path":       {},
		"example":            brandImages(),
		"fields": {Metadata: []MetadataRule{
			{Key: "budget", Expr: `asset.fields["Budget"]`},
			{Key: "regions", Expr: `asset.fields["Regions"]`},
		}},
	}
	v, now := poster(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, spec := range specs {
		target := mustCompile(b, spec)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				target.Evaluate(v, now)
			}
		})
	}
}

func BenchmarkSafePath(b *testing.B) {
	for name, path := range map[string]string{
		"plain":  "Brand/Summer/0123456789abcdef0123456789abcdef/Poster of the sea.jpg",
		"accent": "Märkte/Été/0123456789abcdef0123456789abcdef/Plakat für das Meer.jpg",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				SafePath(path)
			}
		})
	}
}
