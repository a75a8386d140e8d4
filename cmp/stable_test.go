package cmp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestStable(t *testing.T) {
	for in, want := range map[string]string{
		`{"thumbnail_url":"https://x/y?token=a","b":1}`:                  `{"thumbnail_url":"","b":1}`,
		`{"thumbnail_url":null}`:                                         `{"thumbnail_url":null}`,
		`{"content":{"type":"url","value":"anything"}}`:                  `{"content":{"type":"url","value":""}}`,
		`{"other":{"value":"kept","content":{"value":"kept"}}}`:          `{"other":{"value":"kept","content":{"value":"kept"}}}`,
		`{"list":[{"thumbnail_url":"https://h/p#f"}]}`:                   `{"list":[{"thumbnail_url":"https://h/p"}]}`,
		`{"u":"https:\/\/h\/p\u003ftoken=a"}`:                            `{"u":"https://h/p"}`,
		`{"u":"HTTPS://h/p?x","v":["http://a?b","httpx?y"]}`:             `{"u":"HTTPS://h/p","v":["http://a","httpx?y"]}`,
		`{"title":"http://shop/?utm=1"}`:                                 `{"title":"http://shop/?utm=1"}`,
		`{"title":"http://shop/?a=1&token=abc&b=2"}`:                     `{"title":"http://shop/?a=1\u0026token=\u0026b=2"}`,
		`{"html_body":"<img src=\"https://h/p?token=abc.def\">"}`:        `{"html_body":"\u003cimg src=\"https://h/p?token=\"\u003e"}`,
		"{ \"a\" : [ 1 , true,null , -2e3 ] ,\n\"u\" : \"http://h?x\" }": "{ \"a\" : [ 1 , true,null , -2e3 ] ,\n\"u\" : \"http://h\" }",
		`{"thumb\u006eail_url":"x"}`:                                     `{"thumb\u006eail_url":""}`,
		`{"Thumbnail_URL":"x"}`:                                          `{"Thumbnail_URL":""}`,
		`{"q":"\\","r":"\\\"","s":"http://h?\"\\"}`:                      `{"q":"\\","r":"\\\"","s":"http://h"}`,
		`{}`:      `{}`,
		`[]`:      `[]`,
		`"x"`:     `"x"`,
		` 17 `:    ` 17 `,
		`[[],{}]`: `[[],{}]`,
	} {
		if diff := gocmp.Diff(want, string(stable([]byte(in), "thumbnail_url", "content.value"))); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

// Whatever valid JSON comes: the result is valid, says the same but in strings, and is
// not changed by a second pass.
func FuzzStable(f *testing.F) {
	f.Add([]byte(rowJSON(1)))
	f.Add([]byte(`[{"a":"http:\/\/x?y","b":["\\",{"token=":"token=x"}]}, 1e9 , null]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if !json.Valid(in) {
			return
		}
		before := bytes.Clone(in)
		once := stable(in, "thumbnail_url", "content.value")
		if !bytes.Equal(before, in) {
			t.Fatal("the input was written to")
		}
		if !json.Valid(once) {
			t.Fatalf("%q became invalid: %q", in, once)
		}
		if twice := stable(once, "thumbnail_url", "content.value"); !bytes.Equal(once, twice) {
			t.Fatalf("not stable: %q, then %q", once, twice)
		}
		var a, b any
		if json.Unmarshal(in, &a) != nil || json.Unmarshal(once, &b) != nil {
			return // a number out of range
		}
		if diff := gocmp.Diff(a, b, gocmp.Comparer(func(string, string) bool { return true })); diff != "" {
			t.Fatalf("more than strings changed: %s", diff)
		}
	})
}

func FuzzDecodePage(f *testing.F) {
	f.Add(pageJSON(2))
	f.Add([]byte(`{"data":[null,{"id":1},{"id":"a","created_at":"2024-01-01T00:00:00Z","modified_at":"2024-01-01T00:00:00.5+02:00","labels":[null]}],"total_count":"3"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		page, err := decodePage(in)
		if err != nil {
			return
		}
		var e struct{ Data []json.RawMessage }
		if err := json.Unmarshal(in, &e); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if len(page.Items)+len(page.Bad) != len(e.Data) {
			t.Fatalf("%d items and %d bad of %d rows", len(page.Items), len(page.Bad), len(e.Data))
		}
		for _, item := range page.Items {
			if item.ID == "" || item.ModifiedAt.IsZero() || item.CreatedAt.IsZero() || !json.Valid(item.Raw) {
				t.Fatalf("half an item: %+v", item)
			}
		}
	})
}

func TestRawHoldsNoToken(t *testing.T) {
	page, err := decodePage(pageJSON(3))
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range page.Items {
		if strings.Contains(string(item.Raw), "eyJ") || !strings.Contains(item.URL.Reveal(), "token=eyJ") {
			t.Errorf("raw %s", item.Raw)
		}
	}
}
