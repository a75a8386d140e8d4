package cmp_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/cmp"
	"damsync/internal/library"
)

func detail(id, extra string) string {
	base := `"id":"` + id + `","title":"T ` + id + `","mime_type":"image/png","file_extension":"png",
		"created_at":"2024-05-01T10:00:00Z","modified_at":"2025-06-02T11:00:30Z","folder_id":null,"file_location":"/",
		"is_archived":false,"labels":[],"owner_organization_id":"o1","url":"https://files.example/x?token=SECRET",
		"thumbnail_url":"https://files.example/thumb?token=SECRET","description":"d","alt_text":"a","attribution_text":null,
		"tags":[{"guid":"g","name":"one"},"two"],"expires_at":"2030-01-01T00:00:00.5Z","is_public":true,
		"image_resolution":{"width":640,"height":"480"},"file_size":12345678901,"version_number":3,"version_id":"v3","owner_id":"u1"`
	if extra != "" {
		base += "," + extra
	}
	return "{" + base + "}"
}

func TestAssetsSendsTheQueryAndReadsTheRows(t *testing.T) {
	var query string
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.RawQuery
		answer(200, `{"data":[`+row("a", `"labels":[{"group":{"id":"g","name":"Status"},"values":[{"id":"v","name":"Approved"}]}]`)+
			`],"pagination":{"next":"https://elsewhere.example/"},"total_count":7}`, "Date", "Mon, 02 Jun 2025 11:00:31 GMT")(w, r)
	})
	no := false
	got, err := f.Assets(t.Context(), cmp.AssetQuery{
		ModifiedTo: time.Date(2025, 6, 2, 13, 0, 0, 0, time.FixedZone("", 7200)), Types: []string{"image", "video"},
		IncludeSubfolders: &no, Offset: 100, PageSize: 500,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "include_subfolder_assets=false&modified_at__to=2025-06-02T11%3A00%3A00Z&offset=100&page_size=100&type=image&type=video"
	if query != want {
		t.Errorf("query %s\nwant  %s", query, want)
	}
	if got.Total != 7 || !got.More || got.Served.Unix() != 1748862031 || got.Requested.IsZero() || len(got.Bad) != 0 {
		t.Errorf("page %+v", got)
	}
	if u := got.Items[0].URL.Reveal(); u != "https://files.example/x?token=SECRET" {
		t.Errorf("download URL %s", u)
	}
	a := got.Items[0].Asset
	a.Raw = nil
	if diff := gocmp.Diff(library.Asset{
		ID: "a", Type: "image", Title: "T a", MIMEType: "image/png", FileExtension: "png",
		CreatedAt: time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC), ModifiedAt: time.Date(2025, 6, 2, 11, 0, 30, 250e6, time.UTC),
		FolderID: "f1", FileLocation: "/Brand", OwnerOrganizationID: "o1", Self: "https://api.example/v3/images/a",
		Labels: []library.Label{{Group: library.Named{ID: "g", Name: "Status"}, Values: []library.Named{{ID: "v", Name: "Approved"}}}},
	}, a); diff != "" {
		t.Error(diff)
	}
}

func TestOneBadRowDoesNotLoseThePage(t *testing.T) {
	f := newFixture(t, answer(200, page(
		row("good1", `"new_key":{"deep":[1,2]},"type":"hologram","file_extension":null,"folder_id":null,"is_archived":"false"`),
		row("", ""), `{"title":"no id"}`, `null`, `17`, `[]`,
		row("badtime", `"modified_at":"yesterday"`), row("badlabels", `"labels":{"a":1}`),
		row("notime", `"created_at":null`), `{"type":{"x":1},"id":"late id"}`,
		row("good2", `"labels":null,"title":42`))))
	got, err := f.Assets(t.Context(), cmp.AssetQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var ids, bad []string
	for _, item := range got.Items {
		ids = append(ids, item.ID)
	}
	for _, b := range got.Bad {
		bad = append(bad, fmt.Sprintf("%d %s", b.Index, b.ID))
		if b.Reason == "" {
			t.Errorf("no reason in %+v", b)
		}
	}
	if diff := gocmp.Diff([]string{"good1", "good2"}, ids); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff([]string{"1 ", "2 ", "3 ", "4 ", "5 ", "6 badtime", "7 badlabels", "8 notime", "9 late id"}, bad); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(got.Items[0].Raw), `"new_key":{"deep":[1,2]}`) || got.Items[0].Type != "hologram" || got.Items[1].Title != "42" {
		t.Errorf("unknown fields were not kept: %s", got.Items[0].Raw)
	}
}

// Another reading of an unchanged asset has other tokens, but the same hash.
func TestUnchangedAssetHasTheSameHash(t *testing.T) {
	n := 0
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		body := page(row("a", ""))
		if strings.Contains(r.URL.Path, "images") {
			body = detail("a", "")
		}
		answer(200, strings.ReplaceAll(body, "SECRET", fmt.Sprint("S", n)))(w, r)
	})
	var rows, details []library.Hash
	for range 2 {
		p, err := f.Assets(t.Context(), cmp.AssetQuery{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := f.Asset(t.Context(), cmp.Ref{ID: "a", Type: "image"})
		if err != nil {
			t.Fatal(err)
		}
		rows, details = append(rows, sha256.Sum256(p.Items[0].Raw)), append(details, d.Detail.Hash)
	}
	if rows[0] != rows[1] || details[0] != details[1] {
		t.Error("the hash of an unchanged asset changed")
	}
}

func TestAssetReadsTheDetail(t *testing.T) {
	f := newFixture(t, answer(200, detail("a", "")))
	self := f.server.URL + "/v3/images/a"
	got, err := f.Asset(t.Context(), cmp.Ref{ID: "a", Self: self})
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Date(2030, 1, 1, 0, 0, 0, 5e8, time.UTC)
	d := got.Detail
	d.Raw, d.Hash = nil, library.Hash{}
	if diff := gocmp.Diff(library.Detail{
		Description: "d", AltText: "a", Tags: []string{"one", "two"}, ExpiresAt: &expires, Public: true,
		Width: 640, Height: 480, Size: 12345678901, VersionNumber: 3, VersionID: "v3", OwnerID: "u1",
	}, d); diff != "" {
		t.Error(diff)
	}
	if got.Asset.Type != "image" || got.Asset.Self != self || got.Asset.Title != "T a" || got.URL.IsZero() {
		t.Errorf("asset %+v", got.Asset)
	}
	if strings.Contains(string(got.Asset.Raw), "SECRET") {
		t.Errorf("a token in %s", got.Asset.Raw)
	}
}

// A size that the API does not name is unknown, not zero.
func TestMissingSizeIsUnknown(t *testing.T) {
	for field, want := range map[string]int64{`"file_size":null`: -1, `"file_size":-3`: -1, `"file_size":"0"`: 0, `"file_size":"7"`: 7, ``: -1} {
		body := detail("a", field)
		if field == "" {
			body = strings.Replace(body, `"file_size":12345678901,`, "", 1)
		}
		f := newFixture(t, answer(200, body))
		if got, err := f.Asset(t.Context(), cmp.Ref{ID: "a", Type: "image"}); err != nil || got.Detail.Size != want {
			t.Errorf("%s: %d bytes, %v, want %d", field, got.Detail.Size, err, want)
		}
	}
}

// A list row and a detail of one asset have the same digest, because the mirror compares
// them.
func TestDetailAgreesWithTheRow(t *testing.T) {
	rows := map[string]string{
		"images":              `"type":"image"`,
		"articles":            `"type":"article","mime_type":"application/x-article","file_extension":null`,
		"structured-contents": `"type":"structured_content","mime_type":"application/x-structured-content","file_extension":null`,
	}
	for path, extra := range rows {
		var f fixture
		f = newFixture(t, func(w http.ResponseWriter, r *http.Request) {
			self := `,"links":{"self":"` + f.server.URL + "/v3/" + path + `/a"},"folder_id":null,"file_location":"/","modified_at":"2025-06-02T11:00:30Z"`
			body := page(row("a", extra+self))
			if strings.Contains(r.URL.Path, path) {
				body = detail("a", "")
				if path != "images" {
					body = detail("a", `"mime_type":null,"file_extension":null`)
				}
			}
			answer(200, body)(w, r)
		})
		p, err := f.Assets(t.Context(), cmp.AssetQuery{})
		if err != nil {
			t.Fatal(err)
		}
		a := p.Items[0].Asset
		d, err := f.Asset(t.Context(), cmp.Ref{ID: "a", Type: a.Type, Self: a.Self})
		if err != nil {
			t.Fatal(err)
		}
		if d.Asset.Digest() != a.Digest() {
			t.Errorf("%s:\nrow    %+v\ndetail %+v", path, a, d.Asset)
		}
	}
}

func TestAssetOfUnknownTypeIsAskedFor(t *testing.T) {
	var paths []string
	var f fixture
	f = newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		switch r.URL.Path {
		case "/v3/asset-urls/a":
			answer(302, "", "Location", f.server.URL+"/v3/raw-files/a", "X-Resource-Location", "library")(w, r)
		case "/v3/asset-urls/t":
			answer(302, "", "Location", f.server.URL+"/v3/tasks/1/images/t", "X-Resource-Location", "task")(w, r)
		case "/v3/asset-urls/legacy":
			answer(302, "", "Location", "https://api.welcomesoftware.com/v3/videos/legacy", "X-Resource-Location", "library")(w, r)
		case "/v3/asset-urls/foreign":
			answer(302, "", "Location", "https://evil.example/somewhere", "X-Resource-Location", "library")(w, r)
		case "/v3/raw-files/a", "/v3/videos/legacy":
			answer(200, detail(r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], ""))(w, r)
		default:
			answer(404, `{"message":"Resource not found"}`)(w, r)
		}
	})
	for id, want := range map[string]string{"a": "raw_file", "legacy": "video"} {
		got, err := f.Asset(t.Context(), cmp.Ref{ID: id, Self: f.server.URL + "/v3/assets/" + id})
		if err != nil || got.Asset.Type != want {
			t.Errorf("%s: type %q, %v", id, got.Asset.Type, err)
		}
	}
	for _, ref := range []cmp.Ref{{ID: "a", Type: "picture"}, {ID: "a", Type: "image", Self: f.server.URL + "/v3/raw-files/a"}} {
		if got, err := f.Asset(t.Context(), ref); err != nil || got.Asset.Type != "raw_file" {
			t.Errorf("%+v: type %q, %v", ref, got.Asset.Type, err)
		}
	}
	for id, want := range map[string]error{"t": cmp.ErrNotFound, "gone": cmp.ErrNotFound, "foreign": cmp.ErrForeignHost, "..": cmp.ErrBadRequest, "": cmp.ErrBadRequest} {
		if _, err := f.Asset(t.Context(), cmp.Ref{ID: id}); !isClass(err, want) {
			t.Errorf("%q: %v, want %v", id, err, want)
		}
	}
	if _, err := f.Asset(t.Context(), cmp.Ref{ID: "../../x?y", Type: "image"}); !isClass(err, cmp.ErrNotFound) {
		t.Error(err)
	}
	if last := paths[len(paths)-1]; last != "/v3/images/../../x?y" { // sent as one escaped segment
		t.Errorf("path %s", last)
	}
}

func TestAnswerAboutAnotherAssetIsAnError(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answer(200, detail("b", "")))
	if _, err := f.Asset(t.Context(), cmp.Ref{ID: "a", Type: "image"}); !isClass(err, cmp.ErrBadResponse) {
		t.Errorf("got %v", err)
	}
}

func TestFields(t *testing.T) {
	var f fixture
	f = newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("offset") == "" {
			answer(200, `{"data":[{"id":"1","name":"Audience","type":"dropdown","values":["c2","gone"],"choices":[{"id":"c1","name":"A"},{"id":"c2","name":"B"}]},
				{"id":"2","name":"Link","type":"text","values":["https://shop.example/?utm=1"]}],
				"pagination":{"next":"`+f.server.URL+r.URL.Path+`?offset=2"}}`)(w, r)
			return
		}
		answer(200, `{"data":[{"id":"3","name":"Hero","type":"image","values":["https://files.example/x?token=SECRET"]},
			{"id":"4","name":"Price","type":"currency_number","values":[12.5],"choices":null}],"pagination":{"next":null}}`)(w, r)
	})
	got, err := f.Fields(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff([]library.FieldValue{
		{ID: "1", Name: "Audience", Type: "dropdown", Values: []string{"c2", "gone"}, Names: []string{"B", ""}},
		{ID: "2", Name: "Link", Type: "text", Values: []string{"https://shop.example/?utm=1"}},
		{ID: "3", Name: "Hero", Type: "image", Values: []string{"https://files.example/x?token=SECRET"}},
		{ID: "4", Name: "Price", Type: "currency_number", Values: []string{"12.5"}},
	}, got.Values); diff != "" {
		t.Error(diff)
	}
	if raw := string(got.Raw); !json.Valid(got.Raw) || strings.Contains(raw, "SECRET") || !strings.Contains(raw, "utm=1") {
		t.Errorf("raw %s", raw)
	}
	if n := f.grants.count(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

func TestPaginationThatDoesNotEnd(t *testing.T) {
	var f fixture
	f = newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		answer(200, `{"data":[],"pagination":{"next":"`+f.server.URL+`/v3/label-groups?offset=0&page_size=100"}}`)(w, r)
	})
	if _, err := f.LabelGroups(t.Context()); !isClass(err, cmp.ErrBadResponse) {
		t.Errorf("got %v", err)
	}
}

func folder(id, parent string) string {
	p := "null"
	if parent != "" {
		p = `"` + parent + `"`
	}
	return `{"id":"` + id + `","name":"N` + id + `","parent_folder_id":` + p + `,"path":"/N` + id + `","created_at":"2024-01-01T00:00:00Z","modified_at":"2024-01-01T00:00:00Z"}`
}

func TestFolders(t *testing.T) {
	list := func(rows ...string) string {
		return `{"data":[` + strings.Join(rows, ",") + `],"pagination":{"next":null}}`
	}
	tree := map[string]string{"a": list(folder("a1", "a"), folder("a2", "a")), "a1": list(folder("a11", "a1"), folder("a", ""))}
	for name, c := range map[string]struct {
		bare     string
		requests int
	}{
		"flat":       {list(folder("a11", "a1"), folder("a", ""), folder("a2", "a"), folder("b", ""), folder("a1", "a")), 1},
		"roots only": {list(folder("a", ""), folder("b", ""), folder("a", "")), 6},
		"roots only, one below what the app may not see": {list(folder("a", "hidden"), folder("b", "")), 6},
		"none": {list(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
				body, ok := tree[r.URL.Query().Get("parent_folder_id")]
				switch {
				case !r.URL.Query().Has("parent_folder_id"):
					body = c.bare
				case !ok:
					body = list()
				}
				answer(200, body)(w, r)
			})
			got, err := f.Folders(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			parents := map[string]string{}
			for _, one := range got {
				parents[one.ID] = one.ParentID
			}
			want := map[string]string{"a": "", "b": "", "a1": "a", "a2": "a", "a11": "a1"}
			switch {
			case name == "none":
				want = map[string]string{}
			case strings.Contains(c.bare, "hidden"):
				want["a"] = "hidden"
			}
			if diff := gocmp.Diff(want, parents); diff != "" || len(got) != len(want) {
				t.Errorf("%d folders: %s", len(got), diff)
			}
			if n := f.grants.count(); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

func TestFileURLsInBatches(t *testing.T) {
	var sizes []int
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		var ask struct{ GUIDs []string }
		body, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(body, &ask); err != nil {
			t.Error(err)
		}
		sizes = append(sizes, len(ask.GUIDs))
		urls := map[string]any{}
		for i, id := range ask.GUIDs {
			urls[id] = "https://files.example/" + id
			if i == 0 {
				urls[id] = nil
			}
		}
		out, _ := json.Marshal(map[string]any{"urls": urls})
		answer(200, string(out))(w, r)
	})
	ids := make([]string, 250)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	got, err := f.FileURLs(t.Context(), ids)
	if err != nil || len(got) != 247 || fmt.Sprint(sizes) != "[100 100 50]" {
		t.Fatalf("%d URLs, batches %v, %v", len(got), sizes, err)
	}
	if _, ok := got["100"]; ok {
		t.Error("an id without a URL is in the map")
	}
}

// A repeated POST carries its body again.
func TestRepeatedPostHasItsBody(t *testing.T) {
	t.Parallel()
	var bodies []string
	f := newFixture(t, script(
		func(w http.ResponseWriter, r *http.Request) { answer(500, "")(w, r) },
		func(w http.ResponseWriter, r *http.Request) { answer(401, "{}")(w, r) },
		func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(b))
			answer(200, `{"urls":{}}`)(w, r)
		}))
	if _, err := f.FileURLs(t.Context(), []string{"a"}); err != nil || fmt.Sprint(bodies) != `[{"guids":["a"]}]` {
		t.Errorf("bodies %v, %v", bodies, err)
	}
}

func TestLabelGroupsAndFieldDefinitions(t *testing.T) {
	f := newFixture(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/fields") {
			answer(200, `{"data":[{"id":"1","name":"F","type":"novel","is_active":false,"choices":[{"id":"c","name":"C","color":null}]}],"pagination":{}}`)(w, r)
			return
		}
		answer(200, `{"data":[{"id":"g","name":"Status","source_org_type":"current","values":[{"id":"v","name":"Approved"}]}],"pagination":{"next":null}}`)(w, r)
	})
	groups, err := f.LabelGroups(t.Context())
	if err != nil || len(groups) != 1 || groups[0].Name != "Status" || groups[0].Values[0].ID != "v" {
		t.Errorf("%+v, %v", groups, err)
	}
	defs, err := f.FieldDefinitions(t.Context())
	if err != nil || len(defs) != 1 || defs[0].Type != "novel" || defs[0].Active || defs[0].Choices[0].Name != "C" {
		t.Errorf("%+v, %v", defs, err)
	}
}
