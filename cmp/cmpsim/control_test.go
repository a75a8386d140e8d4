package cmpsim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// control sends one request to the control API and expects 200.
func (b *bench) control(method, path, body string) reply {
	b.t.Helper()
	r := b.send(method, b.at.ControlURL+path, nil, body)
	if r.status != http.StatusOK {
		b.t.Fatalf("%s %s %s: %d %s", method, path, body, r.status, r.body)
	}
	return r
}

// A test in another language can do everything that a Go test can.
func TestControlAPI(t *testing.T) {
	b := start(t, nil)
	r := receive(t, b, always(200))
	edit := func(body string) object { return b.control("POST", "/edit", body).object() }
	id := edit(`{"verb":"add_asset","title":"By hand","folder":"/Brand","labels":{"Status":["Approved"]},"detail":{"alt_text":"a"}}`).str("id")
	folder := edit(`{"verb":"add_folder","parent":"/Brand","name":"New"}`).str("id")
	for _, body := range []string{
		`{"verb":"edit_title","id":"ID","title":"Renamed"}`,
		`{"verb":"set_detail","id":"ID","detail":{"description":"d","tags":["x"],"expires_at":"2031-01-01T00:00:00Z"}}`,
		`{"verb":"set_labels","id":"ID","labels":{"Status":["Draft"],"Region":["EMEA","APAC"]}}`,
		`{"verb":"set_field","id":"ID","field":"Rights","values":["Licensed"]}`,
		`{"verb":"move_asset","id":"ID","folder":"` + folder + `"}`,
		`{"verb":"archive","id":"ID","archived":false}`,
		`{"verb":"new_version","id":"ID"}`,
		`{"verb":"rename_folder","folder":"/Brand/New","name":"Newer"}`,
		`{"verb":"move_folder","folder":"/Brand/Newer","parent":"/"}`,
		`{"verb":"rename_label","group":"Status","value":"Draft","name":"In work"}`,
		`{"verb":"delete_asset","id":"ID"}`,
		`{"verb":"restore_asset","id":"ID"}`,
	} {
		edit(strings.ReplaceAll(body, "ID", id))
	}
	a := b.control("GET", "/assets?id="+id, "").object()
	if a["title"] != "Renamed" || a["folder"] != "/Newer" || a.num("version") != 2 || a["sha256"] == "" ||
		a.obj("labels").texts("Status")[0] != "In work" {
		t.Errorf("truth %v", a)
	}
	if n := edit(`{"verb":"delete_folder","folder":"/Newer"}`).num("count"); n != 1 {
		t.Errorf("deleted %d", n)
	}
	edit(`{"verb":"bulk_delete","ids":["` + b.sim.AssetIDs()[0] + `"]}`)
	b.control("POST", "/webhooks/wait", "")
	if got := r.got(); got[0].name != "asset_added" || got[len(got)-1].name != "asset_removed" {
		t.Errorf("events %v", got)
	}
}

func TestControlAPIRules(t *testing.T) {
	b := start(t, nil)
	b.control("POST", "/faults", `{"kind":"status","path":"/v3/assets","status":503}`)
	if got, _ := b.status("GET", "/assets", nil); got != 503 {
		t.Errorf("fault: %d", got)
	}
	b.control("DELETE", "/faults", "")
	b.control("POST", "/pace", `{"requests_per_second":1}`)
	b.clock.advance(time.Second)
	b.get("/label-groups")
	if got, _ := b.status("GET", "/label-groups", nil); got != 429 {
		t.Errorf("pace: %d", got)
	}
	b.control("POST", "/pace", `{"requests_per_second":0}`)
	b.control("POST", "/behavior", `{"root_folders_only":true}`)
	b.control("POST", "/behavior", `{"silent_details":true}`)
	if got := b.sim.Behavior(); !got.RootFoldersOnly || !got.SilentDetails {
		t.Errorf("behavior %+v", got)
	}
	b.control("POST", "/quota", `{"used":199999}`)
	state := b.control("GET", "/state", "").object()
	if state.num("assets") != 600 || state.obj("limits").num("quota_used") != 199999 {
		t.Errorf("state %v", state)
	}
	b.control("POST", "/tokens/revoke", "")
	if got, _ := b.status("GET", "/assets", nil); got != 401 {
		t.Errorf("revoked: %d", got)
	}
	for _, path := range []string{"/requests", "/deliveries", "/faults", "/folders", "/labels", "/endpoints", "/assets?sha256=false&limit=3"} {
		b.control("GET", path, "")
	}
	if r := b.send("GET", b.at.ControlURL+"/assets?limit=many", nil, ""); r.status != http.StatusBadRequest {
		t.Errorf("a limit that is no number: %d", r.status)
	}
	b.control("POST", "/counters/reset", "")
	if c := b.sim.Counters(); c.Total != 0 {
		t.Errorf("counters %+v", c)
	}
}
