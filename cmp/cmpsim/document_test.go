package cmpsim_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"damsync/cmp/cmpsim"
	"damsync/cmp/cmpsim/simcheck"
)

// A client that works with these answers works with the shapes of the real API.
func TestAnswersFollowTheDocument(t *testing.T) {
	b := start(t, nil)
	b.check = simcheck.ForTest(t)
	paths := map[string]string{
		"image": "/images/", "video": "/videos/", "raw_file": "/raw-files/", "article": "/articles/",
		"structured_content": "/structured-contents/",
	}
	for next := "/assets?page_size=100"; next != ""; {
		page := b.get(next)
		for _, row := range page.list("data")[:20] {
			b.get(row.obj("links").str("self"))
			b.get("/assets/" + row.str("id") + "/fields?page_size=100")
		}
		next = page.next()
	}
	b.sim.SetBehavior(cmpsim.Behavior{AllFieldsAttached: true})
	for kind, path := range paths {
		a := b.oneOf(kind)
		b.get(path + a.ID)
		b.get("/assets/" + a.ID + "/fields")
		b.get("/assets/" + a.ID + "/renditions")
		b.get("/assets/" + a.ID + "/related-assets?page_size=5")
		if got, _ := b.status("GET", "/asset-urls/"+a.ID, nil); got != http.StatusFound {
			t.Errorf("asset-urls of %s: %d", kind, got)
		}
		for other, elsewhere := range paths {
			if got, _ := b.status("GET", elsewhere+a.ID, nil); (got == 200) != (other == kind) {
				t.Errorf("%s at %s: %d", kind, elsewhere, got)
			}
		}
	}
	for _, path := range []string{"/folders?page_size=100", "/folders", "/label-groups", "/fields?page_size=100", "/label-groups?source_org_type=related"} {
		b.get(path)
	}
	for _, f := range b.sim.Folders() {
		b.get("/folders/" + f.ID)
		b.get("/folders?parent_folder_id=" + f.ID)
	}
	if got, _ := b.status("POST", "/file-urls", map[string]any{"guids": []string{b.oneOf("image").ID, "nothing"}}); got != 200 {
		t.Errorf("file-urls: %d", got)
	}
}

func TestFiltersFollowTheDocument(t *testing.T) {
	b := start(t, nil)
	b.check = simcheck.ForTest(t)
	groups := b.get("/label-groups").list("data")
	value := groups[0].list("values")[0].str("id")
	label := `{"group":"` + groups[0].str("id") + `","values":["` + value + `"]}`
	field := base64.StdEncoding.EncodeToString([]byte(`[{"id":"` + groups[0].str("id") + `","values":["` + value + `"]}]`))
	for _, q := range []url.Values{
		{"type": {"image", "video"}},
		{"label": {label}},
		{"fields": {field}},
		{"created_at__from": {"2024-01-01T00:00:00Z"}, "modified_at__to": {"2026-01-01T00:00:00Z"}},
		{"folder_id": {b.sim.Folders()[0].ID}, "include_subfolder_assets": {"false"}},
		{"search_text": {"harbor"}, "page_size": {"7"}, "offset": {"3"}},
	} {
		if rows := b.get("/assets?" + q.Encode()).list("data"); len(rows) == 0 {
			t.Errorf("%v: nothing found", q)
		}
	}
}

func TestWritesFollowTheDocument(t *testing.T) {
	b := start(t, nil)
	b.check = simcheck.ForTest(t)
	image, raw, video := b.oneOf("image").ID, b.oneOf("raw_file").ID, b.oneOf("video").ID
	patch := map[string]any{
		"title": "New", "alt_text": "", "tags": []string{"a", "b"}, "expires_at": nil, "is_archived": true, "folder_id": nil,
	}
	folder := b.api("POST", "/folders", map[string]any{"name": "Fresh", "parent_folder_id": nil}).object().str("id")
	for _, c := range []struct {
		method, path string
		body         any
		want         int
	}{
		{"PATCH", "/images/" + image, patch, 200},
		{"PATCH", "/videos/" + video, map[string]any{"description": "d", "expires_at": "2030-01-01T00:00:00Z"}, 200},
		{"PATCH", "/raw-files/" + raw, map[string]any{"folder_id": folder}, 200},
		{"PATCH", "/folders/" + folder, map[string]any{"name": "Fresher"}, 200},
		{"DELETE", "/images/" + image, nil, 204},
		{"GET", "/images/" + image, nil, 404},
		{"DELETE", "/raw-files/" + raw, nil, 200},
		{"DELETE", "/folders/" + folder, nil, 204},
		{"GET", "/folders/" + folder, nil, 404},
	} {
		if got, msg := b.status(c.method, c.path, c.body); got != c.want {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, got, msg, c.want)
		}
	}
}

// Go's client decompresses silently; other clients rely on the header.
func TestCompressedAnswers(t *testing.T) {
	b := start(t, nil)
	b.http.Transport = &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	header := http.Header{"Authorization": {"Bearer " + b.token}, "Accept-Encoding": {"gzip"}}
	r := b.send(http.MethodGet, b.at.APIURL+"/assets?page_size=100", header, "")
	if got := r.header.Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("Content-Encoding %q", got)
	}
	zr, err := gzip.NewReader(bytes.NewReader(r.body))
	must(t, err)
	r.body, err = io.ReadAll(zr)
	must(t, err)
	if zipped, plain := r.object().ids(), b.get("/assets?page_size=100").ids(); len(zipped) != 100 || !slices.Equal(zipped, plain) {
		t.Error("the compressed answer is another one")
	}
}
