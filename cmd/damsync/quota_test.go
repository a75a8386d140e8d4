package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// quotaReport is what the tests read of quota --json.
type quotaReport struct {
	Month   struct{ Limit, Reserved, Used, Balance, Projected int64 }
	Classes []struct {
		Class     string
		Used      int64
		LeftToday int64   `json:"left_today"`
		Until     *string `json:"deferred_until"`
	}
	Costs []struct {
		Observation string
		Requests    int64
	}
	Targets []struct {
		Name    string
		Details int64
		Needs   []struct {
			Key   string
			Level string
			First int64
			Only  bool `json:"only_reason"`
		}
	}
	FullResync struct{ Requests, Summaries, Details int64 } `json:"full_resync"`
}

func (s *site) quota() (r quotaReport) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.run("quota", "--json").wantCode(s.t, 0).stdout), &r); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// The forecast sends no request, names the part of the rule that costs details, and what it
// says of a full resync is what one takes.
func TestQuotaForecastsAFullResync(t *testing.T) {
	t.Parallel()
	s := newSite(t, 150, settings{schedule: `{incremental: "@every 5m", sweep: "0 3 * * 0"}`})
	s.run("resync").wantCode(t, 0)
	before := int64(s.status().Quota.Used)
	doc := object(t, json.RawMessage(s.run("quota", "--json").wantCode(t, 0).stdout))
	needKeys(t, "quota", doc, "month", "classes", "days", "library", "costs", "costs_month", "targets", "full_resync", "notes")
	r := s.quota()
	if r.Month.Used != before || int64(s.status().Quota.Used) != before {
		t.Errorf("%d requests after the forecast, %d before, and it says %d", s.status().Quota.Used, before, r.Month.Used)
	}
	if len(r.Targets) != 1 || len(r.Targets[0].Needs) == 0 || r.Targets[0].Needs[0].Key != "select.expired" || r.Targets[0].Needs[0].First != r.Targets[0].Details {
		t.Errorf("targets %+v", r.Targets)
	}
	for _, c := range r.Costs {
		if c.Observation == "incremental" && c.Requests != 8640 {
			t.Errorf("polls cost %d", c.Requests)
		}
	}
	s.run("quota").wantCode(t, 0).wantText(t, "select.expired reads expires_at", "resync --full:", "CLASS", "8640 polls at most")
	s.run("resync", "--full").wantCode(t, 0)
	took := int64(s.status().Quota.Used) - before
	if most := r.FullResync.Requests; took > most+10 || took < most-10 {
		t.Errorf("a full resync took %d requests, %d were forecast", took, most)
	}
}

// Where nobody can be asked, a full resync that takes much of the month needs --yes.
func TestDearResyncWantsConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{})
	s.run("resync").wantCode(t, 0)
	before := int64(s.status().Quota.Used)
	s.configure(func(c *settings) {
		c.cmp = fmt.Sprintf("requests_per_second: 500\n  requests_per_month: %d", before+60)
	})
	r := s.run("resync", "--full").wantCode(t, 2)
	if !strings.Contains(r.stderr, "--yes") || !strings.Contains(r.stderr, "of what the month has left") {
		t.Errorf("it does not say what it takes: %s", r)
	}
	if used := int64(s.status().Quota.Used); used != before {
		t.Errorf("asking took %d requests", used-before)
	}
	s.run("resync", "--full", "--yes").wantCode(t, 0)
}

// Details that the day's share or the floor defers leave webhooks what they need.
func TestWebhooksGoOnWhileDetailsAreDeferred(t *testing.T) {
	t.Parallel()
	s := newSite(t, 400, settings{
		cmp:      "requests_per_second: 500\n  requests_per_month: 300",
		schedule: `{incremental: "@every 1h", sweep: ""}`,
		target:   "\n    metadata: {title: asset.title, alt: asset.alt_text}\n",
	})
	s.run("resync").wantCode(t, 3).wantText(t, "deferred until")
	deferred := ""
	for _, c := range s.quota().Classes {
		if c.Until != nil {
			deferred = c.Class
			if c.Class == "webhook" || c.LeftToday != 0 {
				t.Errorf("%+v", c)
			}
		}
	}
	if deferred == "" {
		t.Fatal("no class is deferred")
	}
	s.run("status").wantText(t, "deferred  "+deferred+" until ")
	p := s.serve()
	s.registerWebhook()
	files, err := s.files()
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	id := slices.Sorted(maps.Keys(files))[0]
	s.sim.edit("edit_title", M{"id": id, "title": "Edited while details are deferred"})
	eventually(t, "the edit arrives", func() error {
		files, err := s.files()
		if err != nil {
			return err
		}
		if title := files[id].Metadata["title"]; title != "Edited while details are deferred" {
			return fmt.Errorf("the title is %v", title)
		}
		return nil
	})
	p.stop()
}
