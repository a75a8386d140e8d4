package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/library"
	"damsync/internal/state"
)

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func mustCompile(t testing.TB, spec Spec) *Target {
	t.Helper()
	target, problems := Compile(spec)
	if len(problems) > 0 {
		t.Fatalf("Compile: %+v", problems)
	}
	return target
}

func label(group string, values ...string) library.Label {
	l := library.Label{Group: library.Named{ID: "id-" + group, Name: group}}
	for _, value := range values {
		l.Values = append(l.Values, library.Named{ID: "id-" + value, Name: value})
	}
	return l
}

// poster is an approved image with all levels known.
func poster() state.Snapshot {
	expires := day("2027-01-01")
	return state.Snapshot{
		Asset: library.Asset{
			ID: "a1", Type: library.TypeImage, Title: "Poster", MIMEType: "image/jpeg", FileExtension: "jpg",
			CreatedAt: day("2025-01-01"), ModifiedAt: day("2025-02-01"), FileLocation: "/Brand/Summer",
			Labels:              []library.Label{label("Status", "Approved"), label("Audience", "Press", "Trade")},
			OwnerOrganizationID: "org",
		},
		Detail: &library.Detail{
			AltText: "A poster", Tags: []string{"sea", "sun"}, ExpiresAt: &expires, Width: 640, Height: 480,
			Size: 12345, VersionNumber: 3, VersionID: "v3",
		},
		Fields: &library.Fields{Values: []library.FieldValue{
			{ID: "f1", Name: "Budget", Type: "currency_number", Values: []string{"20250131"}},
			{ID: "f2", Name: "Regions", Type: "checkbox", Values: []string{"c1", "c2"}, Names: []string{"EU", "US"}},
			{ID: "f3", Name: "Shot", Type: "date", Values: []string{"2025-01-31T10:00:00Z"}},
			{ID: "f4", Name: "Agency", Type: "text", Values: []string{"Blue/Green"}},
			{ID: "f5", Name: "Unset", Type: "text"},
		}},
	}
}

// brandImages is the example of the configuration reference.
func brandImages() Spec {
	return Spec{
		Name: "brand-images",
		Select: Select{
			Types: []string{"image"}, Folders: []string{"/Brand/**"},
			Labels: map[string][]string{"Status": {"Approved"}},
			When:   `asset.mime_type != "image/gif"`,
		},
		Path: "{asset.folder}/{asset.file_name}",
		Metadata: []MetadataRule{
			{Key: "title", Expr: "asset.title"},
			{Key: "alt", Expr: "asset.alt_text"},
			{Key: "audience", Expr: `asset.labels["Audience"]`},
		},
	}
}

func TestEvaluateSelectsAndMaps(t *testing.T) {
	got := mustCompile(t, brandImages()).Evaluate(poster(), day("2026-01-01"))
	want := Decision{
		Outcome: Selected, Path: "Brand/Summer/Poster.jpg", Version: "v3",
		Metadata: json.RawMessage(`{"alt":"A poster","audience":["Press","Trade"],"title":"Poster"}`),
	}
	want.MetadataHash = got.MetadataHash
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.MetadataHash == (library.Hash{}) {
		t.Error("no metadata hash")
	}
}

// A rule sees an unknown size as 0, not as a negative number.
func TestUnknownSizeIsNone(t *testing.T) {
	spec := brandImages()
	spec.Metadata = []MetadataRule{{Key: "size", Expr: "string(asset.size)"}}
	v := poster()
	v.Detail.Size = library.UnknownSize
	if got := mustCompile(t, spec).Evaluate(v, day("2026-01-01")).Metadata; string(got) != `{"size":"0"}` {
		t.Errorf("metadata %s", got)
	}
}

func TestEvaluateSaysWhyNot(t *testing.T) {
	tests := map[string]struct {
		change func(*state.Snapshot)
		reason string
	}{
		"gone":                   {func(v *state.Snapshot) { v.Gone = true }, "removed from the library"},
		"archived":               {func(v *state.Snapshot) { v.Asset.Archived = true }, "archived"},
		"type":                   {func(v *state.Snapshot) { v.Asset.Type = "video" }, "type video is none of image"},
		"folder":                 {func(v *state.Snapshot) { v.Asset.FileLocation = "/Legal" }, "folder /Legal matches none of /Brand/**"},
		"folder of the snapshot": {func(v *state.Snapshot) { v.Folder = "/Legal/" }, "folder /Legal matches none of /Brand/**"},
		"folder prefix":          {func(v *state.Snapshot) { v.Folder = "/Brandy" }, "folder /Brandy matches none of /Brand/**"},
		"label":                  {func(v *state.Snapshot) { v.Asset.Labels = v.Asset.Labels[1:] }, "label Status is none of Approved"},
		"label case": {
			func(v *state.Snapshot) { v.Asset.Labels = []library.Label{label("Status", "approved")} },
			"label Status is none of Approved",
		},
		"condition": {func(v *state.Snapshot) { v.Asset.MIMEType = "image/gif" }, `the condition does not hold: asset.mime_type != "image/gif"`},
		"expired": {
			func(v *state.Snapshot) { e := day("2026-01-01"); v.Detail.ExpiresAt = &e },
			"expired 2026-01-01",
		},
	}
	target := mustCompile(t, brandImages())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := poster()
			test.change(&v)
			d := target.Evaluate(v, day("2026-01-01"))
			if d.Outcome != NotSelected || d.Reason != test.reason {
				t.Errorf("got %v because %q, want not selected because %q", d.Outcome, d.Reason, test.reason)
			}
		})
	}
}

func TestEvaluateAsksForNoMoreThanItNeeds(t *testing.T) {
	summary := Select{Expired: ExpiredIgnore}
	with := func(when string) Select { return Select{When: when, Expired: ExpiredIgnore} }
	title := []MetadataRule{{Key: "x", Expr: "asset.title"}}
	field := []MetadataRule{{Key: "x", Expr: `asset.fields["Agency"]`}}
	tests := map[string]struct {
		spec           Spec
		level          library.Level
		none           Outcome // nothing but the summary known
		detail, fields Outcome // that level known too
	}{
		"summary only":           {Spec{Select: summary, Metadata: title}, library.LevelSummary, Selected, Selected, Selected},
		"expiry":                 {Spec{}, library.LevelDetail, NeedsDetail, Selected, NeedsDetail},
		"detail in path":         {Spec{Select: summary, Path: "{asset.id}-{asset.width}"}, library.LevelDetail, NeedsDetail, Selected, NeedsDetail},
		"fields alone":           {Spec{Select: summary, Metadata: field}, library.LevelFields, NeedsFields, NeedsFields, Selected},
		"both":                   {Spec{Metadata: field}, library.LevelFields, NeedsDetail, NeedsFields, NeedsDetail},
		"excluded by summary":    {Spec{Select: with(`asset.title == "x"`), Metadata: field}, library.LevelFields, NotSelected, NotSelected, NotSelected},
		"excluded by detail":     {Spec{Select: with(`asset.width > 9000`), Metadata: field}, library.LevelFields, NeedsDetail, NotSelected, NeedsDetail},
		"excluded by one part":   {Spec{Select: with(`asset.fields["Agency"] == "z" and asset.title == "x"`)}, library.LevelFields, NotSelected, NotSelected, NotSelected},
		"middle part":            {Spec{Select: with(`asset.title != "" && asset.width > 9000 && asset.fields.Agency == "z"`)}, library.LevelFields, NeedsDetail, NotSelected, NotSelected},
		"an alternative decides": {Spec{Select: with(`asset.title == "x" or asset.public`)}, library.LevelDetail, NeedsDetail, NotSelected, NeedsDetail},
		"whole asset":            {Spec{Select: with(`let a = asset; a.title != ""`)}, library.LevelFields, NeedsDetail, NeedsFields, NeedsDetail},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			target := mustCompile(t, test.spec)
			if got := target.Level(); got != test.level {
				t.Errorf("level %v, want %v", got, test.level)
			}
			v := poster()
			decide := func(d *library.Detail, f *library.Fields) Outcome {
				v.Detail, v.Fields = d, f
				return target.Evaluate(v, day("2026-01-01")).Outcome
			}
			detail, fields := v.Detail, v.Fields
			if got := decide(nil, nil); got != test.none {
				t.Errorf("with the summary: %v, want %v", got, test.none)
			}
			if got := decide(detail, nil); got != test.detail {
				t.Errorf("with the detail: %v, want %v", got, test.detail)
			}
			if got := decide(nil, fields); got != test.fields {
				t.Errorf("with the fields: %v, want %v", got, test.fields)
			}
		})
	}
}

func TestEvaluateFailsAlone(t *testing.T) {
	specs := map[string]Spec{
		"select.when":    {Select: Select{When: `asset.fields["Agency"]`}},
		"path":           {Path: `{asset.id}{asset.fields["Regions"]}`},
		"metadata.first": {Metadata: []MetadataRule{{Key: "first", Expr: `asset.labels["None"][0]`}}},
		"metadata.bytes": {Metadata: []MetadataRule{{Key: "bytes", Expr: `repeat("x", 1000000)`}}},
		"metadata.zero":  {Metadata: []MetadataRule{{Key: "zero", Expr: `asset.width / (asset.height - 480)`}}},
		"metadata.nil":   {Metadata: []MetadataRule{{Key: "nil", Expr: `asset.created_at.In(nil)`}}},
	}
	for field, spec := range specs {
		t.Run(field, func(t *testing.T) {
			d := mustCompile(t, spec).Evaluate(poster(), day("2026-01-01"))
			if d.Outcome != Failed || !strings.HasPrefix(d.Reason, field+": ") {
				t.Errorf("got %v because %q", d.Outcome, d.Reason)
			}
		})
	}
}

// TestAFailingConditionDoesNotOutliveTheRights checks that an expired asset leaves the
// target even when the condition fails on it.
func TestAFailingConditionDoesNotOutliveTheRights(t *testing.T) {
	target := mustCompile(t, Spec{Select: Select{When: `asset.labels["None"][0] == "x"`}})
	v := poster()
	detail := v.Detail
	v.Detail = nil
	if d := target.Evaluate(v, day("2028-01-01")); d.Outcome != NeedsDetail {
		t.Errorf("without the expiry: %v because %s", d.Outcome, d.Reason)
	}
	v.Detail = detail
	if d := target.Evaluate(v, day("2028-01-01")); d.Outcome != NotSelected {
		t.Errorf("after the expiry: %v because %s", d.Outcome, d.Reason)
	}
	if d := target.Evaluate(v, day("2026-01-01")); d.Outcome != Failed {
		t.Errorf("before the expiry: %v because %s", d.Outcome, d.Reason)
	}
}

// TestFailuresSayWhereAndWhat checks the reason of a failure, which is all that people see.
func TestFailuresSayWhereAndWhat(t *testing.T) {
	for source, want := range map[string]string{
		`upper(asset.fields["None"])`:   "a value is missing here; give a default with ??",
		`asset.fields["None"] + 1`:      "a value is missing here; give a default with ??",
		`"x" + asset.labels["None"][0]`: "index out of range: 0 (array length is 0)",
		`asset.fields["None"] contains "x" ? asset.fields["Regions"] + 1 : 1 / asset.fields["None"]`: "a value is missing here; give a default with ??",
	} {
		d := mustCompile(t, Spec{Metadata: []MetadataRule{{"x", source}}}).Evaluate(poster(), day("2026-01-01"))
		if d.Outcome != Failed || !strings.HasPrefix(d.Reason, "metadata.x: "+want+" (at character ") {
			t.Errorf("%s: %v because %s", source, d.Outcome, d.Reason)
		}
	}
}
