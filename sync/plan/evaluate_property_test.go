package plan

import (
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/internal/library"
	"damsync/internal/state"
)

// anyTarget draws among rules that read every level in different places.
func anyTarget() *rapid.Generator[*Target] {
	specs := []Spec{
		{},
		brandImages(),
		{Select: Select{Expired: ExpiredIgnore}},
		{Select: Select{Expired: ExpiredIgnore, Types: []string{"image", "article"}, Folders: []string{"/", "/Brand"}}},
		{Select: Select{When: `asset.title != "" and asset.width > 100 and asset.fields["Agency"] != "x"`}, Path: "{asset.title}"},
		{Select: Select{When: `asset.fields["Agency"] == nil or asset.tags[0] == "sea"`, Expired: ExpiredIgnore}},
		{Select: Select{When: `asset.labels["Status"][0] == "Approved"`}, Path: `{asset.fields["Agency"]}/{asset.file_name}`},
		{Path: `{asset.folder + asset.title}`, Metadata: []MetadataRule{
			{"all", `asset.labels`}, {"expires", `asset.expires_at.Year()`}, {"json", `toJSON(asset.tags)`}, {"size", `asset.size / asset.width`},
		}},
		{Metadata: []MetadataRule{{"f", `asset.fields["Agency"]`}, {"g", `asset.fields["Budget"] * 2`}}},
	}
	return rapid.Custom(func(t *rapid.T) *Target {
		target, problems := Compile(rapid.SampledFrom(specs).Draw(t, "spec"))
		if target == nil {
			t.Fatalf("%+v", problems)
		}
		return target
	})
}

func anySnapshot() *rapid.Generator[state.Snapshot] {
	times := rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "unix"), 0) })
	return rapid.Custom(func(t *rapid.T) state.Snapshot {
		v := state.Snapshot{
			Asset: library.Asset{
				ID:            rapid.OneOf(rapid.StringMatching(`[0-9a-f]{8}`), oddText()).Draw(t, "id"),
				Type:          rapid.SampledFrom([]string{"image", "video", "raw_file", "article", "hologram", ""}).Draw(t, "type"),
				Title:         oddText().Draw(t, "title"),
				MIMEType:      rapid.SampledFrom([]string{"", "image/gif", "image/jpeg", ";;"}).Draw(t, "mime"),
				FileExtension: rapid.OneOf(rapid.SampledFrom([]string{"", "jpg"}), oddText()).Draw(t, "extension"),
				FileLocation:  rapid.OneOf(rapid.SampledFrom([]string{"", "/", "/Brand", "/Brand/x"}), oddText()).Draw(t, "folder"),
				Archived:      rapid.IntRange(0, 9).Draw(t, "archived") == 0,
				ModifiedAt:    times.Draw(t, "modified"),
			},
			Gone: rapid.IntRange(0, 9).Draw(t, "gone") == 0,
		}
		if rapid.Bool().Draw(t, "labelled") {
			v.Asset.Labels = []library.Label{label("Status", rapid.SampledFrom([]string{"Approved", "Draft"}).Draw(t, "status")), label("Empty")}
		}
		v.Detail = rapid.Ptr(anyDetail(times), true).Draw(t, "detail")
		v.Fields = rapid.Ptr(anyFields(), true).Draw(t, "fields")
		return v
	})
}

func anyDetail(times *rapid.Generator[time.Time]) *rapid.Generator[library.Detail] {
	return rapid.Custom(func(t *rapid.T) library.Detail {
		return library.Detail{
			AltText: rapid.String().Draw(t, "alt"), Tags: rapid.SliceOfN(oddText(), 0, 3).Draw(t, "tags"),
			ExpiresAt: rapid.Ptr(times, true).Draw(t, "expires"), Width: rapid.IntRange(0, 200).Draw(t, "width"),
			Size: rapid.Int64().Draw(t, "size"), VersionID: rapid.SampledFrom([]string{"", "v1"}).Draw(t, "version"),
		}
	})
}

func anyFields() *rapid.Generator[library.Fields] {
	return rapid.Custom(func(t *rapid.T) library.Fields {
		field := rapid.Custom(func(t *rapid.T) library.FieldValue {
			return library.FieldValue{
				Name:   rapid.SampledFrom([]string{"Agency", "Budget", ""}).Draw(t, "name"),
				Type:   rapid.SampledFrom([]string{"text", "simple_number", "date", "dropdown", "new"}).Draw(t, "type"),
				Values: rapid.SliceOfN(rapid.SampledFrom([]string{"x", "12", "2025-01-01T00:00:00Z", "/"}), 0, 2).Draw(t, "values"),
			}
		})
		return library.Fields{Values: rapid.SliceOfN(field, 0, 3).Draw(t, "values")}
	})
}

func TestEvaluateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target, v := anyTarget().Draw(t, "target"), anySnapshot().Draw(t, "snapshot")
		now := time.Unix(rapid.Int64Range(0, 3e9).Draw(t, "now"), 0)
		d := target.Evaluate(v, now)
		if again := target.Evaluate(v, now); !reflect.DeepEqual(d, again) {
			t.Fatalf("decided %+v, then %+v", d, again)
		}
		if (d.Reason == "") != (d.Outcome == Selected) {
			t.Fatalf("%v with the reason %q", d.Outcome, d.Reason)
		}
		checkSelected(t, target, v, d, now)
		checkAsking(t, target, v, d, now)
	})
}

// checkSelected checks that a decision selects nothing that must never be at a target.
func checkSelected(t *rapid.T, target *Target, v state.Snapshot, d Decision, now time.Time) {
	if d.Outcome != Selected {
		if d.Path != "" || d.Version != "" || d.Metadata != nil {
			t.Fatalf("%v, yet something to put: %+v", d.Outcome, d)
		}
		return
	}
	if v.Gone || v.Asset.Archived || v.Asset.Type == "hologram" {
		t.Fatalf("selected: %+v", v)
	}
	expires := v.Detail != nil && v.Detail.ExpiresAt != nil
	if target.excludeExpired && expires && !v.Detail.ExpiresAt.After(now) {
		t.Fatalf("selected at %v, expired %v", now, v.Detail.ExpiresAt)
	}
	if d.Path == "" || d.Version == "" || d.Metadata == nil || d.MetadataHash == (library.Hash{}) {
		t.Fatalf("incomplete: %+v", d)
	}
	checkSafe(t, d.Path)
}

// checkAsking checks that a decision asks only for unknown levels, and never beyond
// the announced level.
func checkAsking(t *rapid.T, target *Target, v state.Snapshot, d Decision, now time.Time) {
	switch {
	case d.Outcome == NeedsDetail && (v.Detail != nil || target.Level() < library.LevelDetail),
		d.Outcome == NeedsFields && (v.Fields != nil || target.Level() < library.LevelFields):
		t.Fatalf("%v, though level %v suffices or it is known", d.Outcome, target.Level())
	}
	less := v
	less.Detail, less.Fields = nil, nil
	known := target.Evaluate(less, now)
	if known.Outcome == NotSelected && d.Outcome != NotSelected {
		t.Fatalf("the summary excludes (%s), more knowledge says %v", known.Reason, d.Outcome)
	}
	more := v
	if more.Detail == nil {
		more.Detail = &library.Detail{}
	}
	if more.Fields == nil {
		more.Fields = &library.Fields{}
	}
	if got := target.Evaluate(more, now).Outcome; got == NeedsDetail || got == NeedsFields {
		t.Fatalf("%v with everything known", got)
	}
	if target.Level() == library.LevelSummary && !reflect.DeepEqual(d, known) {
		t.Fatalf("a rule of the summary looked further: %+v, then %+v", known, d)
	}
}

// TestVersionIgnoresAPassingDetail checks that a detail read for another target does
// not push the asset again.
func TestVersionIgnoresAPassingDetail(t *testing.T) {
	target := mustCompile(t, Spec{Select: Select{Expired: ExpiredIgnore}})
	v := poster()
	with := target.Evaluate(v, day("2026-01-01")).Version
	v.Detail = nil
	without := target.Evaluate(v, day("2026-01-01")).Version
	if with != without || with != "modified:2025-02-01T00:00:00Z" {
		t.Errorf("with a detail %q, without %q", with, without)
	}
}

// TestEvaluateChangesNothing checks that no expression changes the snapshot, which is shared between targets.
func TestEvaluateChangesNothing(t *testing.T) {
	target := mustCompile(t, Spec{Metadata: []MetadataRule{
		{"mutate", `asset.expires_at.UnmarshalText(asset.created_at.MarshalText()) == nil and asset.expires_at == asset.created_at`},
		{"sorted", `sort(asset.tags, "desc")`},
		{"tags", `asset.tags`},
		{"labels", `asset.labels["Audience"]`},
		{"regions", `asset.fields["Regions"]`},
	}})
	v, want := poster(), poster()
	if d := target.Evaluate(v, day("2026-01-01")); d.Outcome != Selected || !strings.Contains(string(d.Metadata), `"mutate":true`) {
		t.Fatalf("the expression that mutates did not run: %s", d.Metadata)
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("the snapshot changed: %+v", v)
	}
}

func TestEvaluateConcurrently(t *testing.T) {
	target := mustCompile(t, Spec{Path: "{asset.title}", Metadata: []MetadataRule{{"l", `asset.labels`}, {"t", `map(asset.tags, upper(#))`}}})
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			v := poster()
			v.Asset.Title = string(rune('a' + i))
			for range 500 {
				if d := target.Evaluate(v, day("2026-01-01")); d.Path != v.Asset.Title {
					t.Errorf("%s got the path %s", v.Asset.Title, d.Path)
					return
				}
			}
		})
	}
	group.Wait()
}
