package cmpsim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
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
		resp := b.do("GET", "/assets", nil)
		body := readAll(t, resp)
		if resp.StatusCode != c.status || resp.Header.Get("Content-Type") != c.kind || resp.Header.Get("Retry-After") != c.header {
			t.Errorf("%+v: %d %v %.60s", c.fault, resp.StatusCode, resp.Header, body)
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
		resp, err := b.try("GET", "/assets?page_size=100", nil)
		if kind == cmpsim.FaultDrop {
			if err == nil {
				resp.Body.Close()
				t.Errorf("%s: an answer", kind)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil || len(got) == 0 {
			t.Errorf("%s: %d bytes, %v", kind, len(got), err)
		}
		if chunked := resp.ContentLength < 0; chunked != (kind == cmpsim.FaultCutChunked) {
			t.Errorf("%s: length %d", kind, resp.ContentLength)
		}
	}
}

func TestFaultsChangeAnswers(t *testing.T) {
	b := start(t, nil)
	const list = "/assets?page_size=100"
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultEmptyList})
	if p := b.get(list); len(rowsOf(p)) != 0 || p["total_count"].(float64) != 0 {
		t.Errorf("empty list: %v", p)
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultHalfPage})
	if p := b.get(list); len(rowsOf(p)) != 50 || p["total_count"].(float64) != 600 {
		t.Errorf("half page: %d rows", len(rowsOf(p)))
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultTotalCap, Value: 100})
	if p := b.get(list); p["total_count"].(float64) != 100 {
		t.Errorf("cap: %v", p["total_count"])
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultTotalLie, Value: 1e6})
	if p := b.get(list); p["total_count"].(float64) != 1e6 {
		t.Errorf("lie: %v", p["total_count"])
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultNewFields})
	if p := b.get(list); p["new_field"] == nil || rowsOf(p)[0]["new_field"] == nil {
		t.Error("no new fields")
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultNewEnums})
	if p := b.get(list); rowsOf(p)[0]["type"] != "hologram" {
		t.Error("no new enum values")
	}
	a := b.oneOf("image")
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultWrongSize})
	if d := b.get("/images/" + a.ID); d["file_size"].(float64) != float64(a.Size+1) {
		t.Errorf("file_size %v of %d", d["file_size"], a.Size)
	}
}

func TestFaultsOnFilesAndTokens(t *testing.T) {
	b := start(t, nil)
	id := b.oneOf("image").ID
	a, err := b.sim.Asset(id)
	must(t, err)
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultCorrupt, Count: 1})
	_, body := b.fetch(b.fileURL(id), nil)
	sum := sha256.Sum256(body)
	if int64(len(body)) != a.Size || hex.EncodeToString(sum[:]) == a.SHA256 {
		t.Error("the file is not corrupt")
	}
	if _, good := b.fetch(b.fileURL(id), nil); bytes.Equal(good, body) {
		t.Error("a fault of count 1 struck twice")
	}
	b.fault(cmpsim.Fault{Kind: cmpsim.FaultTokenError, Status: 400, Body: "invalid_grant"})
	if status, out := b.grant(url.Values{"grant_type": {"client_credentials"}}); status != 400 || out["error"] != "invalid_grant" {
		t.Errorf("token: %d %v", status, out)
	}
}

// Pattern, method, skip, count and probability choose what a fault strikes.
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
