package plan

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"damsync/internal/state"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPlainValue(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	moment := time.Date(2026, 1, 1, 0, 30, 0, 5, berlin)
	tests := map[string]struct{ in, want any }{
		"nil":            {nil, nil},
		"text":           {"é", "é"},
		"broken text":    {"a\xffb", "a\uFFFDb"},
		"bool":           {true, true},
		"int":            {7, int64(7)},
		"int64":          {int64(math.MinInt64), int64(math.MinInt64)},
		"byte":           {byte(7), int64(7)},
		"float32":        {float32(0.5), 0.5},
		"time in UTC":    {moment, "2025-12-31T23:30:00.000000005Z"},
		"pointer":        {&moment, "2025-12-31T23:30:00.000000005Z"},
		"nil pointer":    {(*time.Time)(nil), nil},
		"duration":       {90 * time.Second, "1m30s"},
		"weekday":        {time.Monday, "Monday"},
		"nil list":       {[]string(nil), []string{}},
		"texts":          {[]any{"a", "b\xff"}, []string{"a", "b\uFFFD"}},
		"empty":          {[]any{}, []string{}},
		"mixed":          {[]any{"a", 1, nil}, []any{"a", int64(1), nil}},
		"ints":           {[]int{1, 2}, []any{int64(1), int64(2)}},
		"map of lists":   {map[string][]string{"a": nil}, map[string]any{"a": []string{}}},
		"map in a map":   {map[string]any{"a": map[string]any{"b": 1}}, map[string]any{"a": map[string]any{"b": int64(1)}}},
		"list in a list": {[]any{[]string{"a"}}, []any{[]string{"a"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := plainValue(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlainValueRefuses(t *testing.T) {
	for name, in := range map[string]any{
		"NaN":             math.NaN(),
		"infinity":        float32(math.Inf(-1)),
		"deep infinity":   map[string]any{"a": []any{math.Inf(1)}},
		"function":        time.Now,
		"list of funcs":   []any{time.Now},
		"struct":          assetValue{},
		"keys not text":   map[int]string{1: "a"},
		"huge unsigned":   uint64(math.MaxUint64),
		"complex":         complex(1, 2),
		"channel in list": []any{make(chan int)},
	} {
		if got, err := plainValue(in); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// anyValue draws values that expressions and custom fields can have.
func anyValue(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "bool") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Int().Draw(t, "int") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Float64().Draw(t, "float") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "texts") }),
	)
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(
		leaf,
		rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(anyValue(depth-1), 0, 3).Draw(t, "list") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(rapid.String(), anyValue(depth-1), 0, 3).Draw(t, "map") }),
	)
}

// TestPlainValueProperties checks that plain values stay unchanged and always have the same
// JSON form. Otherwise every run would push the metadata again.
func TestPlainValueProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain, err := plainValue(anyValue(3).Draw(t, "value"))
		if err != nil {
			return // not finite
		}
		again, err := plainValue(plain)
		if err != nil || !reflect.DeepEqual(plain, again) {
			t.Fatalf("%#v, then %#v, %v", plain, again, err)
		}
		first, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		second, err := json.Marshal(again)
		if err != nil || string(first) != string(second) {
			t.Fatalf("%s, then %s, %v", first, second, err)
		}
	})
}

func TestPathText(t *testing.T) {
	for _, test := range []struct {
		in   any
		want string
	}{
		{nil, ""},
		{"a", "a"},
		{7, "7"},
		{int64(-7), "-7"},
		{20250131.0, "20250131"},
		{1e21, "1000000000000000000000"},
		{0.1, "0.1"},
		{time.March, "March"},
	} {
		if got, err := pathText(test.in); err != nil || got != test.want {
			t.Errorf("%v: %q, %v; want %q", test.in, got, err, test.want)
		}
	}
	for _, in := range []any{math.NaN(), math.Inf(1), true, []string{"a"}, []any{}, time.Time{}, map[string]any{}} {
		if got, err := pathText(in); err == nil {
			t.Errorf("%v became %q", in, got)
		}
	}
}

// TestMetadataHashIsFixed pins the hash. If it changed, the metadata of every object would be
// written again.
func TestMetadataHashIsFixed(t *testing.T) {
	rules := []MetadataRule{
		{"title", "asset.title"}, {"audience", `asset.labels["Audience"]`}, {"size", "asset.size"}, {"expires", "asset.expires_at"},
	}
	reversed := []MetadataRule{rules[3], rules[2], rules[1], rules[0]}
	const want = "6ded5ca133ede55d2d14026b3dbe5b3ac82b073cf638385bf88701cef23f993f" // of the title, NUL, {"audience":["Press","Trade"],"expires":"2027-01-01T00:00:00Z","size":12345,"title":"Poster"}
	for _, order := range [][]MetadataRule{rules, reversed} {
		d := mustCompile(t, Spec{Metadata: order}).Evaluate(poster(), day("2026-01-01"))
		if got := hex.EncodeToString(d.MetadataHash[:]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestMetadataHashFollowsTheMetadata(t *testing.T) {
	target := mustCompile(t, brandImages())
	base := target.Evaluate(poster(), day("2026-01-01"))
	for name, test := range map[string]struct {
		change  func(*state.Snapshot)
		differs bool
	}{
		"mapped title":    {func(v *state.Snapshot) { v.Asset.Title = "Other" }, true},
		"mapped label":    {func(v *state.Snapshot) { v.Asset.Labels[1] = label("Audience", "Press") }, true},
		"mapped alt":      {func(v *state.Snapshot) { v.Detail.AltText = "" }, true},
		"unmapped":        {func(v *state.Snapshot) { v.Detail.Description = "new" }, false},
		"other group":     {func(v *state.Snapshot) { v.Asset.Labels = append(v.Asset.Labels, label("Season", "x")) }, false},
		"moved elsewhere": {func(v *state.Snapshot) { v.Folder = "/Brand" }, false},
	} {
		v := poster()
		test.change(&v)
		if got := target.Evaluate(v, day("2026-01-01")).MetadataHash != base.MetadataHash; got != test.differs {
			t.Errorf("%s: another hash is %v, want %v", name, got, test.differs)
		}
	}
}
