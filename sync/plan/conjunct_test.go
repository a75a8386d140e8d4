package plan

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestGatesAreTheCheaperParts(t *testing.T) {
	tests := map[string][]string{
		`asset.title == "x"`:                                        nil,
		`asset.title == "x" and asset.type == "image"`:              nil,
		`asset.title == "x" or asset.public`:                        nil,
		`not (asset.title == "x" and asset.public)`:                 nil,
		`asset.public and asset.title != "a\"\\{}\n'"`:              {`asset.title != "a\"\\{}\n'"`},
		`asset.public && (asset.title == "x" or true)`:              {`asset.title == "x" or true`},
		`asset.fields.x == 1 and (asset.public and asset.id != "")`: {`asset.fields.x == 1`, `asset.public`, `asset.id != ""`},
		`asset.fields.x == 1 and asset.width > 3`:                   {`asset.fields.x == 1`, `asset.width > 3`},
		`asset.public and "A" in asset.labels.B`:                    {`"A" in asset.labels.B`},
		`asset.public and not (asset.id startsWith "x")`:            {`not (asset.id startsWith "x")`},
		`asset.public and any(asset.labels.B, # == "x")`:            {`any(asset.labels.B, # == "x")`},
	}
	for when, want := range tests {
		var got []string
		for _, prefilter := range mustCompile(t, Spec{Select: Select{When: when, Expired: ExpiredIgnore}}).prefilters {
			got = append(got, prefilter.source)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s\n%s", when, diff)
		}
	}
}

// TestPrefiltersNeverChangeTheDecision compares a conjunction with the same condition
// written so that it has no parts: when all levels are known they agree.
func TestPrefiltersNeverChangeTheDecision(t *testing.T) {
	atom := rapid.SampledFrom([]string{
		`asset.title != "Poster"`, `"Press" in asset.labels["Audience"]`, `asset.width > 100`, `asset.tags[0] != "sea"`,
		`asset.fields["Agency"] == nil`, `(asset.type == "video" or asset.public)`, `not asset.public`, `true`,
	})
	rapid.Check(t, func(t *rapid.T) {
		when := atom.Draw(t, "first")
		for range rapid.IntRange(1, 3).Draw(t, "more") {
			when += rapid.SampledFrom([]string{" and ", " && ", " or "}).Draw(t, "operator") + atom.Draw(t, "atom")
		}
		split, problems := Compile(Spec{Select: Select{When: when}})
		whole, _ := Compile(Spec{Select: Select{When: "[" + when + "][0]"}})
		if split == nil || whole == nil {
			t.Fatalf("%s: %+v", when, problems)
		}
		v := poster()
		got, want := split.Evaluate(v, day("2026-01-01")), whole.Evaluate(v, day("2026-01-01"))
		if got.Outcome != want.Outcome {
			t.Fatalf("%s: %v because %s, want %v because %s", when, got.Outcome, got.Reason, want.Outcome, want.Reason)
		}
	})
}
