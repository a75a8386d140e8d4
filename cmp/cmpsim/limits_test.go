package cmpsim_test

import (
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

// Requests beyond the pace are refused in any sliding second, not only in calendar seconds. A refused
// request counts as an arrival.
func TestPaceIsSliding(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.RequestsPerSecond = 10 })
	hit := func() int { s, _ := b.status("GET", "/label-groups", nil); return s }
	for i := range 5 {
		if got := hit(); got != 200 {
			t.Fatalf("request %d: %d", i, got)
		}
	}
	b.clock.advance(900 * time.Millisecond)
	for i := range 5 {
		if got := hit(); got != 200 {
			t.Fatalf("request %d of the second burst: %d", i, got)
		}
	}
	if got := hit(); got != 429 {
		t.Errorf("eleventh arrival within a second: %d", got)
	}
	b.clock.advance(99 * time.Millisecond)
	if got := hit(); got != 429 {
		t.Errorf("arrival while the first burst is 0.999 s old: %d", got)
	}
	b.clock.advance(time.Millisecond)
	if got := hit(); got != 200 {
		t.Errorf("arrival when the first burst is 1 s old: %d", got)
	}
	want := cmpsim.PaceCounters{Used: 11, Refused: 2, PeakPerSecond: 12}
	if got := b.sim.PaceCounters(); got != want {
		t.Errorf("counters %+v, want %+v", got, want)
	}
	if c := b.sim.Counters(); c.Operations["listLabelGroups"] != 13 || c.Statuses[429] != 2 {
		t.Errorf("requests %v", c)
	}
}

func TestRetryAfterOnlyWhenAsked(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.RequestsPerSecond = 1 })
	b.get("/label-groups")
	if h := b.api("GET", "/label-groups", nil).header; h.Get("Retry-After") != "" {
		t.Errorf("undocumented header: %v", h)
	}
	b.sim.SetPace(cmpsim.Pace{RequestsPerSecond: 1, RetryAfterSeconds: 7})
	if h := b.api("GET", "/label-groups", nil).header; h.Get("Retry-After") != "7" {
		t.Errorf("header: %v", h)
	}
}

func TestQuotaEndsWithTheMonth(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.RequestsPerMonth = 3; o.TokenLifetime = 100 * 24 * time.Hour })
	for range 3 {
		b.get("/label-groups")
	}
	if got, _ := b.status("GET", "/label-groups", nil); got != 429 {
		t.Errorf("fourth request: %d", got)
	}
	b.clock.advance(22 * 24 * time.Hour) // the first of April
	if got, _ := b.status("GET", "/label-groups", nil); got != 200 {
		t.Errorf("next month: %d", got)
	}
	b.sim.SetQuotaUsed(3)
	if got, _ := b.status("GET", "/label-groups", nil); got != 429 {
		t.Errorf("after the quota was set as used: %d", got)
	}
}
