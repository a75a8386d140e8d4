package plan

import (
	"math"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/library"
)

// TestCompileNamesTheProblem checks the field and position of problems.
func TestCompileNamesTheProblem(t *testing.T) {
	when := func(source string) Spec { return Spec{Select: Select{When: source}} }
	value := func(source string) Spec { return Spec{Metadata: []MetadataRule{{Key: "x", Expr: source}}} }
	tests := map[string]struct {
		spec   Spec
		field  string
		offset int
		says   string
	}{
		"typo":                 {when(`asset.titel == "x"`), "select.when", 6, "no property titel"},
		"typo after umlaut":    {when(`"ü" == asset.titel`), "select.when", 14, "no property titel"},
		"method after umlaut":  {when(`"ü" == asset.title.foo`), "select.when", 20, "no field foo"},
		"typo in brackets":     {when(`asset["titel"] == "x"`), "select.when", 6, "no property titel"},
		"typo behind let":      {when(`let a = asset; a.titel == "x"`), "select.when", 17, "type asset has no field titel"},
		"unknown name":         {when(`assets.title == "x"`), "select.when", 0, "unknown name assets"},
		"mismatch":             {when(`asset.width == "a"`), "select.when", 12, "mismatched types"},
		"not boolean":          {when(`asset.title`), "select.when", 0, "true or false"},
		"syntax":               {when(`asset.title ==`), "select.when", 13, "unexpected token EOF"},
		"blank":                {when(` `), "select.when", 0, "empty"},
		"clock":                {when(`asset.created_at < now()`), "select.when", 19, "unknown name now"},
		"random order":         {when(`values(asset.labels) == []`), "select.when", 0, "unknown name values"},
		"machine's zone":       {when(`asset.created_at.Local() == nil`), "select.when", 17, "UTC"},
		"zone file":            {when(`date("2026", "2006", "Europe/Berlin") == nil`), "select.when", 0, "time zone"},
		"range":                {when(`asset.width in 1..100`), "select.when", 16, "ranges"},
		"whole environment":    {when(`$env.asset.public`), "select.when", 0, "$env"},
		"bad regexp":           {when(`asset.title matches "("`), "select.when", 12, "missing closing )"},
		"too long":             {when(strings.Repeat(" ", maxExpression) + "true"), "select.when", 0, "longer than"},
		"type":                 {Spec{Select: Select{Types: []string{"image", "imgae"}}}, "select.types[1]", 0, "imgae"},
		"folder pattern":       {Spec{Select: Select{Folders: []string{"/a", "/b/[x"}}}, "select.folders[1]", 0, "backslash"},
		"folder empty":         {Spec{Select: Select{Folders: []string{" "}}}, "select.folders[0]", 0, "empty"},
		"label without values": {Spec{Select: Select{Labels: map[string][]string{"Status": nil}}}, "select.labels.Status", 0, "at least one"},
		"label without value":  {Spec{Select: Select{Labels: map[string][]string{"Status": {""}}}}, "select.labels.Status", 0, "empty"},
		"label without group":  {Spec{Select: Select{Labels: map[string][]string{"": {"x"}}}}, "select.labels", 0, "empty"},
		"expired":              {Spec{Select: Select{Expired: "never"}}, "select.expired", 0, "exclude or ignore"},
		"remove mode":          {Spec{OnRemove: "destroy"}, "on_remove", 0, "delete, archive or keep"},
		"percentage":           {Spec{RemovalLimit: RemovalLimit{Percent: math.NaN()}}, "removal_limit.percent", 0, "percentage"},
		"percentage over 100":  {Spec{RemovalLimit: RemovalLimit{Percent: 101}}, "removal_limit.percent", 0, "at most 100"},
		"path typo":            {Spec{Path: `a/{asset.idd}`}, "path", 9, "no property idd"},
		"path constant":        {Spec{Path: `all/{"x"}`}, "path", 0, "same path"},
		"path list":            {Spec{Path: `{asset.id}{asset.tags}`}, "path", 11, "first("},
		"path time":            {Spec{Path: `{asset.id}{asset.created_at}`}, "path", 11, "Format"},
		"path bool":            {Spec{Path: `{asset.id}{asset.public}`}, "path", 11, "text or a number"},
		"path empty braces":    {Spec{Path: `{asset.id}{}`}, "path", 11, "empty"},
		"path open":            {Spec{Path: `{asset.id}/{asset.title`}, "path", 11, "never closed"},
		"path close":           {Spec{Path: `{asset.id}}`}, "path", 10, "no opening brace"},
		"metadata whole":       {value(`asset`), "metadata.x", 0, "one property"},
		"metadata function":    {value(`asset.created_at.Year`), "metadata.x", 0, "call a function"},
		"metadata key":         {Spec{Metadata: []MetadataRule{{Expr: "asset.id"}}}, "metadata", 0, "empty"},
		"metadata twice":       {Spec{Metadata: []MetadataRule{{"x", "asset.id"}, {"x", "asset.id"}}}, "metadata.x", 0, "twice"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			target, problems := Compile(test.spec)
			if target != nil || len(problems) != 1 {
				t.Fatalf("got target %v, problems %+v; want one problem", target != nil, problems)
			}
			got := problems[0]
			if got.Field != test.field || got.Offset != test.offset || !strings.Contains(got.Message, test.says) {
				t.Errorf("got %+v, want %s at %d saying %q", got, test.field, test.offset, test.says)
			}
		})
	}
}

func TestCompileReportsEverythingAtOnce(t *testing.T) {
	_, problems := Compile(Spec{
		Select:   Select{Types: []string{"x"}, Folders: []string{"["}, When: `asset.a or asset.b`},
		Path:     "{asset.c}/{asset.d}",
		Metadata: []MetadataRule{{"m", "asset.e"}, {"n", "asset.f"}},
		OnRemove: "x",
	})
	var fields []string
	for _, p := range problems {
		fields = append(fields, p.Field)
	}
	want := []string{
		"select.types[0]", "select.folders[0]", "on_remove", "select.when", "select.when",
		"path", "path", "metadata.m", "metadata.n",
	}
	if diff := gocmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
}

func TestReferences(t *testing.T) {
	target := mustCompile(t, Spec{
		Select: Select{
			Folders: []string{"/Brand/**", "Logos/", "/**", "/{A,B}/x", `/Sale \[old\]/*`, "/a/b*/c", "/"},
			Labels:  map[string][]string{"Status": {"Final", "Approved", "Final"}},
			When:    `"Region" in asset.labels and asset.fields["Agency"] != "x" and get(asset.fields, "Brand") != nil`,
		},
		Path:     `{asset.labels.Season[0]}/{asset.id}`,
		Metadata: []MetadataRule{{"a", `asset.fields?.Agency`}, {"s", `asset.labels["Status"]`}, {"t", `asset.fields[asset.title]`}},
	})
	want := References{
		Labels:         map[string][]string{"Status": {"Approved", "Final"}, "Region": nil, "Season": nil},
		Fields:         []string{"Agency", "Brand"},
		FolderPatterns: []string{"/Brand", "/Logos", "/Sale [old]", "/a"},
	}
	if diff := gocmp.Diff(want, target.References()); diff != "" {
		t.Error(diff)
	}
}

func TestFingerprintFollowsDecisions(t *testing.T) {
	base := mustCompile(t, brandImages()).Fingerprint()
	same := map[string]func(*Spec){
		"name":          func(s *Spec) { s.Name = "other" },
		"on remove":     func(s *Spec) { s.OnRemove = RemoveDelete },
		"removal limit": func(s *Spec) { s.RemovalLimit.Count = 5 },
		"default named": func(s *Spec) { s.Select.Expired = ExpiredExclude },
	}
	differs := map[string]func(*Spec){
		"types":    func(s *Spec) { s.Select.Types = nil },
		"folders":  func(s *Spec) { s.Select.Folders[0] = "/x" },
		"labels":   func(s *Spec) { s.Select.Labels["Status"][0] = "x" },
		"when":     func(s *Spec) { s.Select.When = "" },
		"expired":  func(s *Spec) { s.Select.Expired = ExpiredIgnore },
		"path":     func(s *Spec) { s.Path = "" },
		"metadata": func(s *Spec) { s.Metadata[0].Expr = "asset.id" },
	}
	check := func(changes map[string]func(*Spec), wantSame bool) {
		for name, change := range changes {
			spec := brandImages()
			change(&spec)
			if got := mustCompile(t, spec).Fingerprint() == base; got != wantSame {
				t.Errorf("%s: same fingerprint is %v, want %v", name, got, wantSame)
			}
		}
	}
	check(same, true)
	check(differs, false)
}

func TestDefaults(t *testing.T) {
	target := mustCompile(t, Spec{Name: "x"})
	if target.Name() != "x" || target.OnRemove() != RemoveArchive || target.RemovalLimit() != (RemovalLimit{100, 10}) {
		t.Errorf("got %s, %s, %+v", target.Name(), target.OnRemove(), target.RemovalLimit())
	}
	for _, kind := range []string{"image", "video", "raw_file", "article", "structured_content", "hologram"} {
		v := poster()
		v.Asset.Type = kind
		d := target.Evaluate(v, day("2026-01-01"))
		hasFile := kind == "image" || kind == "video" || kind == "raw_file"
		if selected := d.Outcome == Selected; selected != hasFile {
			t.Errorf("%s: selected is %v", kind, selected)
		}
		if d.Outcome == Selected && d.Path != "Brand/Summer/a1/Poster.jpg" {
			t.Errorf("%s: path %q", kind, d.Path)
		}
	}
	articles := mustCompile(t, Spec{Select: Select{Types: []string{"article"}}})
	v := poster()
	v.Asset.Type = library.TypeArticle
	if d := articles.Evaluate(v, day("2026-01-01")); d.Outcome != Selected {
		t.Errorf("article named by the rule: %v because %s", d.Outcome, d.Reason)
	}
}
