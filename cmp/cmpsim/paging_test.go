package cmpsim_test

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

func TestListIsNewestFirstAndComplete(t *testing.T) {
	b := start(t, nil)
	var rows []object
	for next := "/assets"; next != ""; { // 10 rows by default
		page := b.get(next)
		if got := len(page.list("data")); got > 10 {
			t.Fatalf("%d rows on a default page", got)
		}
		if page.num("total_count") != 600 {
			t.Fatalf("total_count %v", page["total_count"])
		}
		rows = append(rows, page.list("data")...)
		next = page.next()
	}
	ids := map[any]bool{}
	for i, r := range rows {
		ids[r["id"]] = true
		if i > 0 && r.str("modified_at") > rows[i-1].str("modified_at") {
			t.Fatalf("row %d is newer than the one before", i)
		}
		if at := r.str("modified_at"); len(at) != len("2026-01-01T00:00:00Z") || !strings.HasSuffix(at, "Z") {
			t.Fatalf("modified_at %q", at)
		}
	}
	if len(ids) != 600 {
		t.Errorf("%d assets in %d rows", len(ids), len(rows))
	}
}

// Some second holds more rows than a page, and their order is not that of the ids.
func TestTiesExceedAPage(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.Assets = 3000 })
	all, err := b.sim.Assets(0, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	count := map[time.Time]int{}
	for _, a := range all {
		count[a.ModifiedAt]++
	}
	var at time.Time
	for when, n := range count {
		if n > count[at] {
			at = when
		}
	}
	if count[at] <= 100 {
		t.Fatalf("at most %d rows share a second", count[at])
	}
	second := at.Format(time.RFC3339)
	page := b.get("/assets?page_size=100&modified_at__from=" + second + "&modified_at__to=" + second)
	if page.num("total_count") != count[at] || slices.IsSorted(page.ids()) {
		t.Errorf("total %v of %d, sorted %v", page["total_count"], count[at], slices.IsSorted(page.ids()))
	}
}

// Offset paging over the live list misses rows when others leave it. Clients must cope with that.
func TestOffsetPagingLosesRowsAfterDeletes(t *testing.T) {
	b := start(t, nil)
	first := b.get("/assets?page_size=100").ids()
	if err := b.sim.BulkDelete(first[:50]); err != nil {
		t.Fatal(err)
	}
	second := b.get("/assets?page_size=100&offset=100").ids()
	truth := b.sim.AssetIDs()
	if !slices.Equal(second, truth[100:200]) || slices.Contains(second, truth[99]) {
		t.Error("the second page is not of the list as it is now")
	}
	if missed := truth[50:100]; slices.ContainsFunc(missed, func(id string) bool {
		return slices.Contains(first, id) || slices.Contains(second, id)
	}) {
		t.Error("rows that moved up were still found")
	}
}

func TestEditedRowsMoveToTheTop(t *testing.T) {
	b := start(t, nil)
	last := b.sim.AssetIDs()[599]
	if err := b.sim.EditTitle(last, "Fresh"); err != nil {
		t.Fatal(err)
	}
	row := b.get("/assets?page_size=1").list("data")[0]
	if row["id"] != last || row["title"] != "Fresh" || row["modified_at"] != b.clock.now().Format(time.RFC3339) {
		t.Errorf("top row %v", row)
	}
}

func TestInvalidRequests(t *testing.T) {
	b := start(t, nil)
	for path, want := range map[string]int{
		"/assets?page_size=101": 400, "/assets?page_size=0": 400, "/assets?offset=-1": 400, "/assets?page_size=100": 200,
		"/assets?sort=title": 400, "/folders?folder_id=1": 400, "/assets?type=hologram": 400,
		"/assets?modified_at__from=yesterday": 400, "/assets?label=notjson": 400, "/assets?fields=%7B": 400,
		"/assets/" + b.oneOf("image").ID: 404, "/images/unknown": 404, "/nothing": 404, "/folders/unknown": 404,
	} {
		if got, msg := b.status("GET", path, nil); got != want || (want != 200 && msg == "") {
			t.Errorf("GET %s: %d %q, want %d", path, got, msg, want)
		}
	}
	if _, msg := b.status("GET", "/assets?zeta=1&alpha=2", nil); msg != "Unsupported arguments: alpha,zeta" {
		t.Errorf("message %q", msg)
	}
	b.token = "wrong"
	if got, _ := b.status("GET", "/assets", nil); got != 401 {
		t.Errorf("wrong token: %d", got)
	}
}

// A label filter without any known id filters nothing.
func TestUnknownLabelsAreIgnored(t *testing.T) {
	b := start(t, nil)
	groups := b.get("/label-groups").list("data")
	status := groups[3]
	value := func(i int) string { return status.list("values")[i].str("id") }
	label := func(group string, values ...string) url.Values {
		return url.Values{"label": {`{"group":"` + group + `","values":["` + strings.Join(values, `","`) + `"]}`}}
	}
	total := func(q url.Values) int { return b.get("/assets?" + q.Encode()).num("total_count") }
	approved := total(label(status.str("id"), value(1)))
	if approved == 0 || approved == 600 {
		t.Fatalf("%v approved", approved)
	}
	if got := total(label(status.str("id"), value(1), "unknown")); got != approved {
		t.Errorf("an unknown value beside a known one: %v", got)
	}
	if got := total(label("unknown", value(1))); got != 600 {
		t.Errorf("an unknown group: %v", got)
	}
	if got := total(label(status.str("id"), "unknown")); got != 600 {
		t.Errorf("only unknown values: %v", got)
	}
	if got := total(url.Values{"fields": {"W3siaWQiOiJ4IiwidmFsdWVzIjpbInkiXX1d"}}); got != 600 {
		t.Errorf("an unknown field: %v", got)
	}
}

func TestTimesAreInclusiveUnlessSwitched(t *testing.T) {
	b := start(t, nil)
	at := b.get("/assets?page_size=1&offset=300").list("data")[0].str("created_at")
	q := "/assets?created_at__from=" + at + "&created_at__to=" + at
	if got := b.get(q).num("total_count"); got < 1 {
		t.Errorf("inclusive: %v", got)
	}
	b.sim.SetBehavior(cmpsim.Behavior{ExclusiveTimes: true})
	if got := b.get(q).num("total_count"); got != 0 {
		t.Errorf("exclusive: %v", got)
	}
}

func TestFolderFilters(t *testing.T) {
	b := start(t, nil)
	all, err := b.sim.Assets(0, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	brand := ""
	for _, f := range b.sim.Folders() {
		if f.Path == "/Brand" {
			brand = f.ID
		}
	}
	for _, a := range all {
		switch {
		case a.Folder == "/Brand":
			want["flat"]++
			want["deep"]++
		case strings.HasPrefix(a.Folder, "/Brand/"):
			want["deep"]++
		case a.Folder == "/":
			want["root"]++
		}
	}
	for name, q := range map[string]string{
		"deep": "folder_id=" + brand, "flat": "include_subfolder_assets=false&folder_id=" + brand,
		"root": "include_subfolder_assets=false",
	} {
		if got := b.get("/assets?" + q).num("total_count"); got != want[name] || got == 0 {
			t.Errorf("%s: %d, want %d", name, got, want[name])
		}
	}
}

// Every filter must list what a scan of the truth finds, on all pages.
func TestFiltersAgreeWithTheTruth(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.Assets = 2500 })
	all, err := b.sim.Assets(0, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return all[n].CreatedAt }
	for i, c := range []struct{ created, modified, image bool }{
		{true, false, false}, {false, true, false}, {true, true, false}, {true, true, true}, {false, false, true}, {false, true, true},
	} {
		from, to := day(1800), day(200)
		if to.Before(from) {
			from, to = to, from
		}
		q := url.Values{"page_size": {"100"}}
		var want []string
		for _, a := range all {
			in := func(at time.Time) bool { return !at.Before(from) && !at.After(to) }
			if (!c.created || in(a.CreatedAt)) && (!c.modified || in(a.ModifiedAt)) && (!c.image || a.Type == "image") {
				want = append(want, a.ID)
			}
		}
		for name, on := range map[string]bool{"created_at": c.created, "modified_at": c.modified} {
			if on {
				q.Set(name+"__from", from.Format(time.RFC3339))
				q.Set(name+"__to", to.Format(time.RFC3339))
			}
		}
		if c.image {
			q.Set("type", "image")
		}
		var got []string
		for {
			q.Set("offset", strconv.Itoa(len(got)))
			page := b.get("/assets?" + q.Encode())
			got = append(got, page.ids()...)
			if page.next() == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("case %d: %d rows, want %d", i, len(got), len(want))
		}
	}
}

func TestRootFoldersOnly(t *testing.T) {
	b := start(t, nil)
	all := len(b.get("/folders?page_size=100").list("data"))
	b.sim.SetBehavior(cmpsim.Behavior{RootFoldersOnly: true})
	roots := b.get("/folders?page_size=100").list("data")
	if len(roots) == 0 || len(roots) >= all {
		t.Fatalf("%d roots of %d", len(roots), all)
	}
	for _, f := range roots {
		if f["parent_folder_id"] != nil {
			t.Errorf("%v is no root", f["path"])
		}
	}
}

// A filtered list shows edits and deletions at once.
func TestFilteredListsAreLive(t *testing.T) {
	b := start(t, nil)
	before := b.get("/assets?type=image&page_size=100")
	first := before.ids()[0]
	must(t, b.sim.DeleteAsset(first))
	after := b.get("/assets?type=image&page_size=100")
	if slices.Contains(after.ids(), first) || after.num("total_count") != before.num("total_count")-1 {
		t.Errorf("%d images, then %d", before.num("total_count"), after.num("total_count"))
	}
	last := after.ids()[50]
	must(t, b.sim.EditTitle(last, "Up"))
	if got := b.get("/assets?type=image").ids()[0]; got != last {
		t.Error("an edited image did not move up")
	}
}

// Concurrent reads and edits succeed.
func TestConcurrentUse(t *testing.T) {
	b := start(t, nil)
	receive(t, b, always(200))
	var readers sync.WaitGroup
	for _, path := range []string{"/assets?page_size=100", "/assets?type=image&page_size=100", "/folders", "/fields"} {
		readers.Go(func() {
			for range 40 {
				if r, err := b.tryAPI(http.MethodGet, path, nil); err != nil || r.status != http.StatusOK {
					t.Errorf("GET %s: %d, %v", path, r.status, err)
					return
				}
			}
		})
	}
	e := b.sim.NewEditor("/Brand", 1)
	for range 60 {
		_, err := e.Step()
		must(t, err)
		if _, err := b.sim.Assets(0, 5, true); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
	b.delivered()
	if state := b.sim.State(); state.Assets != len(b.sim.AssetIDs()) || state.Pending != 0 {
		t.Errorf("state %+v", state)
	}
}
