package cmpsim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

func (b *bench) fault(f cmpsim.Fault) {
	b.t.Helper()
	b.sim.ClearFaults()
	if _, err := b.sim.AddFault(f); err != nil {
		b.t.Fatal(err)
	}
}

func TestFaultAnswers(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct {
		fault        cmpsim.Fault
		status       int
		kind, header string
	}{
		{cmpsim.Fault{Kind: cmpsim.FaultStatus}, 500, "application/json", ""},
		{cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 503, Body: "html", RetryAfter: "3"}, 503, "text/html; charset=utf-8", "3"},
		{cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 502, Body: "empty"}, 502, "", ""},
		{cmpsim.Fault{Kind: cmpsim.FaultRateLimit, RetryAfter: "9"}, 429, "application/json", "9"},
		{cmpsim.Fault{Kind: cmpsim.FaultUnauthorized}, 401, "application/json", ""},
		{cmpsim.Fault{Kind: cmpsim.FaultHTML}, 200, "text/html; charset=utf-8", ""},
		{cmpsim.Fault{Kind: cmpsim.FaultSlow, DelayMillis: 20}, 200, "application/json", ""},
		{cmpsim.Fault{Kind: cmpsim.FaultDrip, DelayMillis: 20}, 200, "application/json", ""},
	} {
		b.fault(c.fault)
		began := time.Now()
		r := b.api("GET", "/assets", nil)
		if r.status != c.status || r.header.Get("Content-Type") != c.kind || r.header.Get("Retry-After") != c.header {
			t.Errorf("%+v: %d %v %.60s", c.fault, r.status, r.header, r.body)
		}
		if took := time.Since(began); took < time.Duration(c.fault.DelayMillis)*time.Millisecond {
			t.Errorf("%+v took %v", c.fault, took)
		}
	}
}

func TestFaultsBreakConnections(t *testing.T) {
	b := start(t, nil)
	for _, kind := range []cmpsim.FaultKind{cmpsim.FaultDrop, cmpsim.FaultCut, cmpsim.FaultCutChunked} {
		b.fault(cmpsim.Fault{Kind: kind})
		r, err := b.tryAPI("GET", "/assets?page_size=100", nil)
		if err == nil {
			t.Errorf("%s: a whole answer", kind)
		}
		if got := len(r.body) > 0; got != (kind != cmpsim.FaultDrop) {
			t.Errorf("%s: %d bytes, %v", kind, len(r.body), err)
		}
		if promised := r.header.Get("Content-Length") != ""; promised != (kind == cmpsim.FaultCut) {
			t.Errorf("%s: header %v", kind, r.header)
		}
	}
}

func TestFaultsChangeAnswers(t *testing.T) {
	b := start(t, nil)
	const list = "/assets?page_size=100"
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultEmptyList})
	if p := b.get(list); len(p.list("data")) != 0 || p.num("total_count") != 0 {
		t.Errorf("empty list: %v", p)
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultHalfPage})
	if p := b.get(list); len(p.list("data")) != 50 || p.num("total_count") != 600 {
		t.Errorf("half page: %d rows", len(p.list("data")))
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultTotalCap, Value: 100})
	if p := b.get(list); p.num("total_count") != 100 {
		t.Errorf("cap: %v", p["total_count"])
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultTotalLie, Value: 1e6})
	if p := b.get(list); p.num("total_count") != 1e6 {
		t.Errorf("lie: %v", p["total_count"])
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultTotalMissing})
	if p := b.get(list); p["total_count"] != nil || len(p.list("data")) != 100 {
		t.Errorf("no total: %v", p["total_count"])
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultNoCreated})
	if p := b.get(list + "&created_at__to=1999-01-01T00:00:00Z"); p.num("total_count") != 600 {
		t.Errorf("filter by created_at: %v", p["total_count"])
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultNewFields})
	if p := b.get(list); p["new_field"] == nil || p.list("data")[0]["new_field"] == nil {
		t.Error("no new fields")
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultNewEnums})
	if p := b.get(list); p.list("data")[0]["type"] != "hologram" {
		t.Error("no new enum values")
	}
	a := b.oneOf("image")
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultWrongSize})
	if d := b.get("/images/" + a.ID); d.num("file_size") != int(a.Size+1) {
		t.Errorf("file_size %v of %d", d["file_size"], a.Size)
	}
}

func TestFaultsOnFilesAndTokens(t *testing.T) {
	b := start(t, nil)
	id := b.oneOf("image").ID
	a, err := b.sim.Asset(id)
	must(t, err)
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultCorrupt, Count: 1})
	body := b.download(b.fileURL(id), nil).body
	sum := sha256.Sum256(body)
	if int64(len(body)) != a.Size || hex.EncodeToString(sum[:]) == a.SHA256 {
		t.Error("the file is not corrupt")
	}
	if good := b.download(b.fileURL(id), nil).body; bytes.Equal(good, body) {
		t.Error("a fault of count 1 struck twice")
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultTokenError, Status: 400, Body: "invalid_grant"})
	if r := b.grant(url.Values{"grant_type": {"client_credentials"}}); r.status != 400 || r.object()["error"] != "invalid_grant" {
		t.Errorf("token: %d %s", r.status, r.body)
	}
}

// Path, method, skip, count and probability decide what a fault strikes.
func TestFaultSelection(t *testing.T) {
	b := start(t, nil)
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Path: "/v3/images/*", Method: "GET", Skip: 1, Count: 2})
	id := b.oneOf("image").ID
	var got []string
	for range 4 {
		status, _ := b.status("GET", "/images/"+id, nil)
		got = append(got, map[bool]string{true: "ok", false: "bad"}[status == 200])
	}
	if strings.Join(got, " ") != "ok bad bad ok" {
		t.Errorf("struck %v", got)
	}
	if status, _ := b.status("GET", "/assets", nil); status != 200 {
		t.Errorf("another path: %d", status)
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Probability: 0.5})
	bad := 0
	for range 100 {
		if status, _ := b.status("GET", "/label-groups", nil); status != 200 {
			bad++
		}
	}
	if bad < 25 || bad > 75 {
		t.Errorf("struck %d of 100", bad)
	}
	if _, err := b.sim.AddFault(cmpsim.Fault{Kind: "nonsense"}); err == nil {
		t.Error("an unknown kind was taken")
	}
}
