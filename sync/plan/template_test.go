package plan

import (
	"strings"
	"testing"

	"damsync/internal/state"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestParseTemplate(t *testing.T) {
	type part struct {
		Literal, Source string
		Offset          int
	}
	tests := map[string][]part{
		"":                             nil,
		"a/b":                          {{Literal: "a/b"}},
		"{x}":                          {{Source: "x", Offset: 1}},
		"a{x}{y}b":                     {{Literal: "a"}, {Source: "x", Offset: 2}, {Source: "y", Offset: 5}, {Literal: "b"}},
		"{{a}}":                        {{Literal: "{a}"}},
		"{{{x}}}":                      {{Literal: "{"}, {Source: "x", Offset: 3}, {Literal: "}"}},
		`{ {"a": {"b": 1}}.a }`:        {{Source: ` {"a": {"b": 1}}.a `, Offset: 1}},
		`{"}" + '{' + ` + "`\\`" + `}`: {{Source: `"}" + '{' + ` + "`\\`", Offset: 1}},
		`{"\"}"}`:                      {{Source: `"\"}"`, Offset: 1}},
		"it's {x}":                     {{Literal: "it's "}, {Source: "x", Offset: 6}},
	}
	for text, want := range tests {
		pieces, faults := parseTemplate(text)
		if len(faults) > 0 {
			t.Errorf("%s: %+v", text, faults)
		}
		var got []part
		for _, p := range pieces {
			got = append(got, part{p.literal, p.source, p.offset})
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	}
	for text, offset := range map[string]int{"{": 0, "ab{x": 2, `{"}`: 0, `{'\'}`: 0, "a}": 1, "{x}}": 3, "{{{": 2, "{`": 0, `{"\`: 0} {
		if _, faults := parseTemplate(text); len(faults) != 1 || faults[0].offset != offset {
			t.Errorf("%s: %+v, want one fault at %d", text, faults, offset)
		}
	}
}

// TestRender checks that only the folder makes directories, and that no title leads out
// of its folder or leaves an asset without a name.
func TestRender(t *testing.T) {
	tests := map[string]struct {
		path   string
		change func(*state.Snapshot)
		want   string
	}{
		"folder":             {"{asset.folder}/{asset.id}", nil, "Brand/Summer/a1"},
		"root":               {"{asset.folder}/{asset.id}", func(v *state.Snapshot) { v.Folder = "/" }, "a1"},
		"no folder known":    {"{asset.folder}/{asset.id}", func(v *state.Snapshot) { v.Asset.FileLocation = "" }, "a1"},
		"folder without /":   {"{asset.folder}/{asset.id}", func(v *state.Snapshot) { v.Folder = "Brand/" }, "Brand/a1"},
		"slash in title":     {"x/{asset.title}", func(v *state.Snapshot) { v.Asset.Title = "AC/DC" }, "x/AC_DC"},
		"escape by title":    {"x/{asset.file_name}", func(v *state.Snapshot) { v.Asset.Title = "../../etc/passwd" }, "x/___.._etc_passwd.jpg"},
		"composite":          {`{asset.folder + "/x"}/{asset.id}`, nil, "Brand/Summer/x/a1"},
		"folder's last part": {`{split(asset.folder, "/") | last()}-{asset.id}`, nil, "Summer-a1"},
		"literal dots":       {"../{asset.id}", nil, "a1"},
		"empty title":        {"{asset.folder}/{asset.title}", func(v *state.Snapshot) { v.Asset.Title = " " }, "Brand/Summer/a1"},
		"dots for a title":   {"{asset.folder}/{asset.title}", func(v *state.Snapshot) { v.Asset.Title = ".." }, "Brand/Summer/a1"},
		"invisible title":    {"{asset.title}", func(v *state.Snapshot) { v.Asset.Title = "\u200b" }, "a1"},
		"slash at the end":   {"{asset.folder}/", nil, "Brand/Summer/a1"},
		"nothing at all":     {"{asset.title}", func(v *state.Snapshot) { v.Asset.Title, v.Asset.ID = "", "" }, "_"},
		"number":             {"{asset.width}x{asset.height}-{asset.id}", nil, "640x480-a1"},
		"big number":         {`{asset.fields["Budget"]}/{asset.id}`, nil, "20250131/a1"},
		"absent field":       {`{asset.fields["None"]}/{asset.id}`, nil, "a1"},
		"field with slash":   {`{asset.fields["Agency"]}/{asset.id}`, nil, "Blue_Green/a1"},
		"first label":        {`{first(asset.labels["Audience"])}/{asset.id}`, nil, "Press/a1"},
		"no label":           {`{first(asset.labels["None"])}/{asset.id}`, nil, "a1"},
		"date":               {`{asset.created_at.Format("2006")}/{asset.id}`, nil, "2025/a1"},
		"month":              {`{asset.created_at.Month()}/{asset.id}`, nil, "January/a1"},
		"literal braces":     {`{{{asset.id}}}`, nil, "{a1}"},
		"reserved":           {"{asset.title}", func(v *state.Snapshot) { v.Asset.Title = "con" }, "con_"},
		"long title":         {"{asset.file_name}", func(v *state.Snapshot) { v.Asset.Title = strings.Repeat("🎉", 75) }, strings.Repeat("🎉", 46) + "~" + digest(strings.Repeat("🎉", 75)+".jpg", 4) + ".jpg"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			v := poster()
			if test.change != nil {
				test.change(&v)
			}
			d := mustCompile(t, Spec{Path: test.path}).Evaluate(v, day("2026-01-01"))
			if d.Path != test.want {
				t.Errorf("%v %s: %q, want %q", d.Outcome, d.Reason, d.Path, test.want)
			}
		})
	}
}

// FuzzTemplate compiles any text as a path and renders it when it compiles. It checks that
// nothing panics, every position is inside the text, and the path is safe.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		DefaultPath, "{", "}}", "{{", `{"}"}`, `{ {"a": asset.id}["a"] }`, "{asset.titel}", "ü{asset.folder + asset.title}",
		`{asset.fields["x"] ?? asset.id}`, `{join(map(asset.tags, # + "/"), "-")}{asset.id}`,
	} {
		f.Add(seed)
	}
	snapshot := poster()
	f.Fuzz(func(t *testing.T, text string) {
		target, problems := Compile(Spec{Path: text})
		for _, p := range problems {
			if p.Offset < 0 || p.Offset > len(text) || p.Message == "" {
				t.Fatalf("problem outside the template: %+v", p)
			}
		}
		if target == nil {
			return
		}
		first, second := target.Evaluate(snapshot, day("2026-01-01")), target.Evaluate(snapshot, day("2026-01-01"))
		if first.Outcome == Selected && (first.Path == "" || SafePath(first.Path) != first.Path) {
			t.Fatalf("unsafe path %q", first.Path)
		}
		if first.Path != second.Path {
			t.Fatalf("not stable: %q, then %q", first.Path, second.Path)
		}
	})
}

// FuzzExpression compiles any text as a condition and a metadata value, and evaluates it
// when it compiles.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`asset.title == "x"`, `"a" in asset.labels["Status"] and asset.fields.Budget > 3`, `asset.expires_at == nil`,
		`all(asset.tags, len(#) < 9)`, `let a = asset; a.size / 0 == 1`, `reduce(asset.tags, #acc + #, "") != ""`,
		`fromJSON(asset.title).x`, `asset.created_at.In(nil) == nil`, `keys(asset.fields)`, `repeat("x", -1)`,
	} {
		f.Add(seed)
	}
	snapshot := poster()
	f.Fuzz(func(t *testing.T, text string) {
		_, problems := Compile(Spec{Select: Select{When: text}, Metadata: []MetadataRule{{"x", text}}})
		for _, p := range problems {
			if p.Offset < 0 || p.Offset > len(text) || p.Message == "" {
				t.Fatalf("problem outside the expression: %+v", p)
			}
		}
		for _, spec := range []Spec{{Select: Select{When: text}}, {Metadata: []MetadataRule{{"x", text}}}} {
			if target, _ := Compile(spec); target != nil {
				target.Evaluate(snapshot, day("2026-01-01"))
			}
		}
	})
}
