package cmp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestStable(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"sorts keys", `{"b":1,"a":{"d":1,"c":2}}`, `{"a":{"c":2,"d":1},"b":1}`},
		{"drops space", "{ \"a\" : [ 1 , true,null ] ,\n\"b\" : {} }", `{"a":[1,true,null],"b":{}}`},
		{"keeps numbers exactly", `[12345678901234567890.10,-2e3,1.0]`, `[12345678901234567890.10,-2e3,1.0]`},
		{"keeps order in arrays", `[3,1,2]`, `[3,1,2]`},
		{"blanks a volatile string", `{"thumbnail_url":"anything","b":1}`, `{"b":1,"thumbnail_url":""}`},
		{"keeps a volatile null", `{"thumbnail_url":null}`, `{"thumbnail_url":null}`},
		{"blanks below a key", `{"content":{"type":"url","value":"anything"}}`, `{"content":{"type":"url","value":""}}`},
		{"blanks only from the top", `{"other":{"content":{"value":"kept"},"value":"kept"}}`, `{"other":{"content":{"value":"kept"},"value":"kept"}}`},
		{"ignores the case of keys", `{"Thumbnail_URL":"x"}`, `{"Thumbnail_URL":""}`},
		{"unescapes keys", `{"thumb\u006eail_url":"x"}`, `{"thumbnail_url":""}`},
		{"redacts URLs anywhere", `{"list":[{"thumbnail_url":"https://h/p#f"}],"u":"HTTPS://h/p?x"}`, `{"list":[{"thumbnail_url":"https://h/p"}],"u":"HTTPS://h/p"}`},
		{"redacts URLs in arrays", `{"v":["http://a?b","httpx?y"]}`, `{"v":["http://a","httpx?y"]}`},
		{"redacts escaped URLs", `{"u":"https:\/\/h\/p\u003ftoken=a"}`, `{"u":"https://h/p"}`},
		{"keeps queries in prose", `{"title":"http://shop/?utm=1"}`, `{"title":"http://shop/?utm=1"}`},
		{"removes tokens in prose", `{"title":"http://shop/?a=1&token=abc&b=2"}`, `{"title":"http://shop/?a=1\u0026token=\u0026b=2"}`},
		{"removes tokens in HTML", `{"html_body":"<img src=\"https://h/p?token=abc.def\">"}`, `{"html_body":"\u003cimg src=\"https://h/p?token=\"\u003e"}`},
		{"a string", `"x"`, `"x"`},
		{"a number", ` 17 `, `17`},
		{"empty values", `[[],{}]`, `[[],{}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := stable([]byte(c.in), "thumbnail_url", "content.value")
			if diff := gocmp.Diff(c.want, string(got)); diff != "" || err != nil {
				t.Errorf("%v, %s", err, diff)
			}
		})
	}
}

// For any JSON, the result is valid, differs from the input in strings only, and does
// not change in a second pass.
func FuzzStable(f *testing.F) {
	f.Add([]byte(rowJSON(1)))
	f.Add([]byte(`[{"a":"http:\/\/x?y","b":["\\",{"token=":"token=x"}]}, 1e9 , null]`))
	f.Fuzz(func(t *testing.T, in []byte) {
		if !json.Valid(in) {
			return
		}
		once, err := stable(in, "thumbnail_url", "content.value")
		if err != nil || !json.Valid(once) {
			t.Fatalf("%q became %q, %v", in, once, err)
		}
		if twice, err := stable(once, "thumbnail_url", "content.value"); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("not stable: %q, then %q, %v", once, twice, err)
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
			t.Fatalf("accepted what encoding/json rejects: %v", err)
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
