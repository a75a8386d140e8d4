package plan

import (
	"encoding/json"
	"reflect"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/library"
)

// TestPropertiesAgree compares the struct that expressions read with the two lists
// of property names: a property missing from one of them would be rejected, or read
// before its level is requested.
func TestPropertiesAgree(t *testing.T) {
	documented := make(map[string]bool)
	for _, name := range propertyNames() {
		documented[name] = true
		if _, ok := propertyLevel(name); !ok {
			t.Errorf("%s has no level", name)
		}
	}
	value := reflect.TypeFor[assetValue]()
	for field := range value.Fields() {
		name := field.Tag.Get("expr")
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
		delete(documented, name)
	}
	if len(documented) > 0 {
		t.Errorf("documented but not there: %v", documented)
	}
}

// TestExpressionsSeeTheAsset evaluates every property and every kind of field.
func TestExpressionsSeeTheAsset(t *testing.T) {
	tests := map[string]any{
		`asset.id`:                                    "a1",
		`asset.title`:                                 "Poster",
		`asset.type`:                                  "image",
		`asset.mime_type`:                             "image/jpeg",
		`asset.extension`:                             "jpg",
		`asset.file_name`:                             "Poster.jpg",
		`asset.folder`:                                "/Brand/Summer",
		`asset.created_at`:                            "2025-01-01T00:00:00Z",
		`asset.modified_at.Year()`:                    int64(2025),
		`asset.created_at.Month()`:                    "January",
		`asset.modified_at - asset.created_at`:        "744h0m0s",
		`asset.archived`:                              false,
		`asset.labels["Audience"]`:                    []string{"Press", "Trade"},
		`asset.labels["None"]`:                        []string{},
		`asset.labels`:                                map[string]any{"Status": []string{"Approved"}, "Audience": []string{"Press", "Trade"}},
		`keys(asset.labels)`:                          []string{"Audience", "Status"},
		`asset.owner`:                                 "org",
		`asset.source_task`:                           "task-7",
		`asset.description`:                           "",
		`asset.alt_text`:                              "A poster",
		`asset.attribution`:                           "",
		`asset.tags`:                                  []string{"sea", "sun"},
		`map(asset.tags, upper(#))`:                   []string{"SEA", "SUN"},
		`[asset.width, asset.title]`:                  []any{int64(640), "Poster"},
		`asset.expires_at`:                            "2027-01-01T00:00:00Z",
		`asset.public`:                                false,
		`asset.width * asset.height`:                  int64(307200),
		`asset.size`:                                  int64(12345),
		`asset.version`:                               int64(3),
		`asset.fields["Budget"]`:                      20250131.0,
		`asset.fields["Regions"]`:                     []string{"EU", "US"},
		`asset.fields["Shot"]`:                        "2025-01-31T10:00:00Z",
		`asset.fields.Agency`:                         "Blue/Green",
		`asset.fields.Unset ?? "none"`:                "none",
		`{"w": asset.width, "t": asset.tags}`:         map[string]any{"w": int64(640), "t": []string{"sea", "sun"}},
		`asset.expires_at < date("2028-01-01")`:       true,
		`repeat("0", 3) + asset.id`:                   "000a1",
		`let a = asset; a.title + a.fields["Agency"]`: "PosterBlue/Green",
	}
	for source, want := range tests {
		t.Run(source, func(t *testing.T) {
			target := mustCompile(t, Spec{Metadata: []MetadataRule{{"x", source}}})
			v := poster()
			v.SourceTask = "task-7"
			d := target.Evaluate(v, day("2026-01-01"))
			if diff := gocmp.Diff(jsonOf(t, map[string]any{"x": want}), string(d.Metadata)); diff != "" {
				t.Errorf("%v %s\n%s", d.Outcome, d.Reason, diff)
			}
		})
	}
}

// jsonOf is the metadata of a decision that holds want.
func jsonOf(t *testing.T, want map[string]any) string {
	t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestNilMetadataIsLeftOut(t *testing.T) {
	v := poster()
	v.Detail.ExpiresAt = nil
	target := mustCompile(t, Spec{Metadata: []MetadataRule{
		{"missing", `asset.fields["None"]`}, {"unset", `asset.fields.Unset`}, {"never", `asset.expires_at`}, {"empty", `asset.description`},
	}})
	d := target.Evaluate(v, day("2026-01-01"))
	if diff := gocmp.Diff(`{"empty":""}`, string(d.Metadata)); diff != "" {
		t.Error(diff)
	}
}

// TestNeverExpiringIsNotEarly checks that a comparison with the expiry of an asset
// that never expires fails visibly instead of being true.
func TestNeverExpiringIsNotEarly(t *testing.T) {
	v := poster()
	v.Detail.ExpiresAt = nil
	for when, want := range map[string]Outcome{
		`asset.expires_at < date("2028-01-01")`:                            Failed,
		`asset.expires_at == nil or asset.expires_at < date("2028-01-01")`: Selected,
		`asset.expires_at != nil and asset.expires_at.Year() == 2027`:      NotSelected,
	} {
		if d := mustCompile(t, Spec{Select: Select{When: when}}).Evaluate(v, day("2026-01-01")); d.Outcome != want {
			t.Errorf("%s: %v because %q, want %v", when, d.Outcome, d.Reason, want)
		}
	}
}

func TestFieldValue(t *testing.T) {
	tests := map[string]struct {
		field library.FieldValue
		want  any
	}{
		"no value":          {library.FieldValue{Type: "text"}, nil},
		"no choice":         {library.FieldValue{Type: "dropdown"}, nil},
		"unresolved choice": {library.FieldValue{Type: "dropdown", Values: []string{"c9"}}, []string{"c9"}},
		"one choice":        {library.FieldValue{Type: "radio_button", Values: []string{"c1"}, Names: []string{"Yes"}}, []string{"Yes"}},
		"label":             {library.FieldValue{Type: "label", Values: []string{"c1"}, Names: []string{"Yes"}}, []string{"Yes"}},
		"percentage":        {library.FieldValue{Type: "percentage_number", Values: []string{"12.5"}}, 12.5},
		"odd number":        {library.FieldValue{Type: "simple_number", Values: []string{"1,5"}}, "1,5"},
		"not a number":      {library.FieldValue{Type: "simple_number", Values: []string{"NaN"}}, "NaN"},
		"odd date":          {library.FieldValue{Type: "date", Values: []string{"soon"}}, "soon"},
		"rich text":         {library.FieldValue{Type: "rich_text", Values: []string{"<b>x</b>"}}, "<b>x</b>"},
		"new type":          {library.FieldValue{Type: "hologram", Values: []string{"x", "y"}}, []string{"x", "y"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := gocmp.Diff(test.want, fieldValue(test.field)); diff != "" {
				t.Error(diff)
			}
		})
	}
	twice := fieldValues([]library.FieldValue{{Name: "A", Type: "text", Values: []string{"1"}}, {Name: "A", Type: "text", Values: []string{"2"}}})
	if diff := gocmp.Diff(map[string]any{"A": "1"}, twice); diff != "" {
		t.Error(diff)
	}
}

func TestFileName(t *testing.T) {
	tests := []struct{ title, extension, mime, want string }{
		{"Poster", "jpg", "image/jpeg", "Poster.jpg"},
		{"Poster.JPG", "jpg", "image/jpeg", "Poster.JPG"},
		{"Poster.v2", "jpg", "image/jpeg", "Poster.v2.jpg"},
		{"Posterjpg", "jpg", "image/jpeg", "Posterjpg.jpg"},
		{"Poster", ".jpg", "", "Poster.jpg"},
		{"Poster", "", "image/PNG; q=1", "Poster.png"},
		{"Poster", "", "application/x-unknown", "Poster"},
		{"", "jpg", "", "a1.jpg"},
		{"  ", "", "", "a1"},
		{".jpg", "jpg", "", ".jpg"},
		{"Clip", "", "video/mp4", "Clip.mp4"},
		{"Text", "", "application/pdf", "Text.pdf"},
	}
	for _, test := range tests {
		a := library.Asset{ID: "a1", Title: test.title, FileExtension: test.extension, MIMEType: test.mime}
		if got := fileName(&a, extensionOf(&a)); got != test.want {
			t.Errorf("%q with %q and %q: %q, want %q", test.title, test.extension, test.mime, got, test.want)
		}
	}
}
