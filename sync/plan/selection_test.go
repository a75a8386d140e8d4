package plan

import (
	"testing"

	"damsync/internal/state"
)

func TestFolders(t *testing.T) {
	tests := []struct {
		pattern, folder string
		want            bool
	}{
		{"/Brand/**", "/Brand", true},
		{"/Brand/**", "/Brand/a/b", true},
		{"/Brand/**", "/Brandy", false},
		{"/Brand/**", "/", false},
		{"Brand/**", "/Brand/a", true},
		{"/Brand/**/", "/Brand/a", true},
		{"/Brand/", "/Brand", true},
		{"/Brand", "Brand/", true},
		{"/Brand", "/Brand/a", false},
		{"/Brand/*", "/Brand", false},
		{"/Brand/*", "/Brand/a", true},
		{"/Brand/*", "/Brand/a/b", false},
		{"/**", "/", true},
		{"/**", "/a/b", true},
		{"**", "/a", true},
		{"/", "/", true},
		{"/", "", true},
		{"/", "/a", false},
		{"/*/Final/**", "/a/Final", true},
		{"/**/Final", "/Final", true},
		{"/{A,B}/**", "/B/x", true},
		{`/Sale \[old\]/**`, "/Sale [old]/x", true},
		{"/Sale [old]/**", "/Sale [old]/x", false},
		{`/50% off\?`, "/50% off?", true},
		{"/brand", "/Brand", false},
		{"/Märkte/**", "/Märkte/Süd", true},
	}
	for _, test := range tests {
		target := mustCompile(t, Spec{Select: Select{Folders: []string{test.pattern}, Expired: ExpiredIgnore}})
		v := poster()
		v.Folder, v.Asset.FileLocation = test.folder, ""
		if d := target.Evaluate(v, day("2026-01-01")); (d.Outcome == Selected) != test.want {
			t.Errorf("%s on %s: %v because %s", test.pattern, test.folder, d.Outcome, d.Reason)
		}
	}
}

func TestLabelsAndTypesCombine(t *testing.T) {
	target := mustCompile(t, Spec{Select: Select{
		Types: []string{"video", "image"}, Folders: []string{"/Legal", "/Brand/**"}, Expired: ExpiredIgnore,
		Labels: map[string][]string{"Status": {"Draft", "Approved"}, "Audience": {"Trade"}},
	}})
	for name, test := range map[string]struct {
		change func(*state.Snapshot)
		want   Outcome
	}{
		"all":               {func(*state.Snapshot) {}, Selected},
		"one group missing": {func(v *state.Snapshot) { v.Asset.Labels = v.Asset.Labels[:1] }, NotSelected},
		"other value":       {func(v *state.Snapshot) { v.Asset.Labels[1] = label("Audience", "Press") }, NotSelected},
		"value of another group": {func(v *state.Snapshot) {
			v.Asset.Labels[1] = label("Season", "Trade")
		}, NotSelected},
		"group twice": {func(v *state.Snapshot) {
			v.Asset.Labels = append(v.Asset.Labels, label("Status", "x"))
		}, Selected},
		"second type": {func(v *state.Snapshot) { v.Asset.Type = "video" }, Selected},
	} {
		v := poster()
		test.change(&v)
		if d := target.Evaluate(v, day("2026-01-01")); d.Outcome != test.want {
			t.Errorf("%s: %v because %s", name, d.Outcome, d.Reason)
		}
	}
}
