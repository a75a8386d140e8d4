package sidecar

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"damsync/dam"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestEncodedBytes pins the fixed interface: keys, their order, and text as it is.
func TestEncodedBytes(t *testing.T) {
	obj := dam.Object{
		Mark: dam.OwnerMark{
			Instance: "i", Target: "t", AssetID: "a", Version: "v", SHA256: "00ff", Size: 4, MetadataHash: "h", Generation: 7,
		},
		Path: "dir/a.png", Title: "<b> & co", MIMEType: "image/png", Metadata: dam.Metadata{"alt": "Ünï <&>"},
	}
	d, err := New(obj)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"instance":"i","target":"t","asset_id":"a","version":"v","sha256":"00ff","size":4,"generation":7,` +
		`"path":"dir/a.png","title":"<b> & co","mime_type":"image/png","metadata_hash":"h","metadata":{"alt":"Ünï <&>"}}`
	if got, err := d.Encode(); err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if d.Mark() != obj.Mark {
		t.Errorf("mark %+v, want %+v", d.Mark(), obj.Mark)
	}
}

func TestDecodeReturnsWhatWasEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Document{
			Instance: rapid.StringN(1, 20, 40).Draw(t, "instance"), Target: rapid.StringN(1, 20, 40).Draw(t, "target"),
			AssetID: rapid.StringN(1, 40, 80).Draw(t, "asset"), Version: rapid.String().Draw(t, "version"),
			SHA256: rapid.String().Draw(t, "sha256"), Size: rapid.Int64().Draw(t, "size"),
			Generation: rapid.Int64().Draw(t, "generation"), Path: rapid.String().Draw(t, "path"),
			Archived: rapid.Bool().Draw(t, "archived"), Title: rapid.String().Draw(t, "title"),
			MIMEType: rapid.String().Draw(t, "type"), MetadataHash: rapid.String().Draw(t, "hash"),
		}
		var err error
		if want.Metadata, err = EncodeMetadata("", dam.Metadata{"alt": rapid.String().Draw(t, "alt")}); err != nil {
			t.Fatal(err)
		}
		raw, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDecode(t *testing.T) {
	const owner = `"instance":"i","target":"t","asset_id":"a"`
	for name, c := range map[string]struct {
		raw string
		ok  bool
	}{
		"accepts a document with nothing but its owner": {`{` + owner + `}`, true},
		"ignores unknown keys":                          {`{` + owner + `,"colour":{"deep":[1]}}`, true},
		"accepts indentation":                           {"{\n  " + owner + "\n}\n", true},
		"refuses an empty file":                         {``, false},
		"refuses half a document":                       {`{` + owner, false},
		"refuses two documents":                         {`{` + owner + `}{}`, false},
		"refuses a list":                                {`[]`, false},
		"refuses null":                                  {`null`, false},
		"refuses a size in words":                       {`{` + owner + `,"size":"4"}`, false},
		"refuses a generation out of range":             {`{` + owner + `,"generation":9223372036854775808}`, false},
		"refuses a document without instance":           {`{"target":"t","asset_id":"a"}`, false},
		"refuses a document without target":             {`{"instance":"i","asset_id":"a"}`, false},
		"refuses a document without asset":              {`{"instance":"i","target":"t"}`, false},
		"refuses a document over the limit":             {`{` + owner + `}` + strings.Repeat(" ", MaxBytes), false},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Decode([]byte(c.raw))
			if (err == nil) != c.ok || c.ok != (d.AssetID == "a") {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

func TestEncodeMetadata(t *testing.T) {
	room := MaxMetadataBytes - len(`""`) - len(`{"a":""}`)
	for name, c := range map[string]struct {
		title string
		md    dam.Metadata
		ok    bool
	}{
		"writes an empty object for no metadata": {"", nil, true},
		"accepts metadata at the limit":          {"", dam.Metadata{"a": strings.Repeat("x", room)}, true},
		"refuses metadata over the limit":        {"", dam.Metadata{"a": strings.Repeat("x", room+1)}, false},
		"counts the title":                       {"t", dam.Metadata{"a": strings.Repeat("x", room)}, false},
		"refuses what JSON cannot hold":          {"", dam.Metadata{"a": func() {}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := EncodeMetadata(c.title, c.md)
			if !c.ok {
				if !errors.Is(err, dam.ErrInvalid) {
					t.Errorf("want ErrInvalid, got %v", err)
				}
				return
			}
			if err != nil || !json.Valid(raw) || raw[0] != '{' {
				t.Errorf("%.20s, %v", raw, err)
			}
		})
	}
}

func TestHolds(t *testing.T) {
	d := Document{Version: "v", SHA256: "s", Size: 4}
	unhashed := Document{Version: "v", Size: 4}
	for name, c := range map[string]struct {
		d    Document
		mark dam.OwnerMark
		want bool
	}{
		"a digest decides alone":                  {d, dam.OwnerMark{Version: "w", SHA256: "s", Size: 5}, true},
		"another digest is other content":         {d, dam.OwnerMark{Version: "v", SHA256: "x", Size: 4}, false},
		"version and size do without digest":      {d, dam.OwnerMark{Version: "v", Size: 4}, true},
		"version does without size":               {d, dam.OwnerMark{Version: "v", Size: dam.UnknownSize}, true},
		"another size is other content":           {d, dam.OwnerMark{Version: "v", Size: 5}, false},
		"an empty version proves nothing":         {Document{Size: 4}, dam.OwnerMark{Size: 4}, false},
		"without its own digest, version decides": {unhashed, dam.OwnerMark{Version: "v", SHA256: "s", Size: 4}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.d.Holds(c.mark); got != c.want {
				t.Errorf("Holds = %v", got)
			}
		})
	}
}
