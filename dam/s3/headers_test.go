package s3

import (
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/sidecar"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// FuzzEncode proves that any text survives as a header, and that the header contains nothing that
// a server or proxy changes.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", " ", "a  b ", "100%", "Ünï 日本", "\x00\xff\r\n", "=?UTF-8?q?x?=", "%41+"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := encode(s)
		if strings.ContainsFunc(e, notHeader) || strings.TrimSpace(e) != e || strings.Contains(e, "  ") || strings.Contains(e, "=?") {
			t.Errorf("%q is sent as %q", s, e)
		}
		if back, err := decode(e); err != nil || back != s {
			t.Errorf("%q comes back as %q, %v", s, back, err)
		}
	})
}

// A record is read from user metadata as it was written, and the limit is computed right.
func TestRecordInUserMetadata(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := record{Document: sidecar.Document{
			Instance: rapid.StringN(1, 20, 40).Draw(t, "instance"), Target: rapid.String().Draw(t, "target"),
			AssetID: rapid.StringN(1, 40, 80).Draw(t, "asset"), Version: rapid.String().Draw(t, "version"),
			Size: rapid.Int64Min(-1).Draw(t, "size"), Generation: rapid.Int64().Draw(t, "generation"),
			MetadataHash: rapid.String().Draw(t, "hash"), Title: rapid.String().Draw(t, "title"),
			Archived: rapid.Bool().Draw(t, "archived"),
		}, from: rapid.String().Draw(t, "from")}
		want.underID = want.Archived && rapid.Bool().Draw(t, "under id")
		var err error
		if want.Metadata, err = sidecar.EncodeMetadata("", dam.Metadata{"alt": rapid.String().Draw(t, "alt")}); err != nil {
			t.Fatal(err)
		}
		md, fits := want.userMetadata()
		got, marked, ok := parseUserMetadata(md)
		if !ok || !marked {
			t.Fatalf("%v is read as no mark", md)
		}
		if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(record{})); diff != "" {
			t.Error(diff)
		}
		n := 0
		for name, value := range md {
			n += len("x-amz-meta-") + len(name) + len(value)
		}
		if fits != (n <= 2048) {
			t.Errorf("%d bytes fit: %v", n, fits)
		}
	})
}

// Where user metadata has no room, the description goes to the sidecar and the mark stays. A mark
// without room is an error; nothing is cut.
func TestHeadersOverflow(t *testing.T) {
	a := newAdapter(t, map[string]any{"bucket": "b"})
	short := record{Document: sidecar.Document{Instance: "i", Target: "t", AssetID: "a", Title: "x", Metadata: []byte("{}"), Generation: 1}}
	long := short
	long.Title = strings.Repeat("日", 700)
	enormous := short
	enormous.AssetID = strings.Repeat("日", 700)

	if h, r, err := newHeaders(a.options, short, false); err != nil || r.overflow != "" || h.metadata["damsync-title"] != "x" {
		t.Errorf("a short record: %v, %v, %v", h.metadata, r.overflow, err)
	}
	h, r, err := newHeaders(a.options, long, false)
	if err != nil || r.overflow == "" || h.metadata["damsync-title"] != "" || h.metadata["damsync-asset"] != "a" {
		t.Errorf("a long record: %v, %v, %v", h.metadata, r.overflow, err)
	}
	if _, _, err := newHeaders(a.options, enormous, false); dam.Classify(err) != dam.ClassInvalid {
		t.Errorf("a mark without room: %v", err)
	}
}

func TestTags(t *testing.T) {
	a := newAdapter(t, map[string]any{"bucket": "b", "tags": []any{"audience", "n", "none"}})
	for metadata, want := range map[string]string{
		`{"audience":["Consumer","Café 1"],"n":3}`: "audience=Consumer%2FCaf%C3%A9+1&n=3",
		`{"other":"x"}`: "",
	} {
		if got, err := tagging(a.options.tags, record{Document: sidecar.Document{Metadata: []byte(metadata)}}); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", metadata, got, err, want)
		}
	}
	for _, metadata := range []string{`{"audience":"a<b"}`, `{"audience":"` + strings.Repeat("x", 257) + `"}`} {
		if _, err := tagging(a.options.tags, record{Document: sidecar.Document{Metadata: []byte(metadata)}}); dam.Classify(err) != dam.ClassInvalid {
			t.Errorf("%s: %v", metadata, err)
		}
	}
}
