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
	Month struct {
		Used, Projected int64
		ByClass         map[string]int64 `json:"by_class"`
	}
	Days    []struct{ Used int64 }
	Library struct{ Assets, Details int64 }
	Targets []struct {
		Name            string
		Details, Fields int64
		Needs           []struct{ Key, Level string }
	}
	FullResync struct{ Requests, Details int64 } `json:"full_resync"`
}

func (s *site) quota() (r quotaReport) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.run("quota", "--json").wantCode(s.t, 0).stdout), &r); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func TestQuotaForecastsAFullResync(t *testing.T) {
	t.Parallel()
	s := newSite(t, 150, settings{})
	s.run("resync").wantCode(t, 0)
	before := int64(s.status().Quota.Used)
	r := s.quota()
	if used := int64(s.status().Quota.Used); used != before {
		t.Errorf("quota sent %d requests", used-before)
	}
	s.run("resync", "--full").wantCode(t, 0)
	took := int64(s.status().Quota.Used) - before
	if forecast := r.FullResync.Requests; took > forecast+10 || took < forecast-10 {
		t.Errorf("a full resync took %d requests; the forecast was %d", took, forecast)
	}
}

func TestQuotaShowsSpendingAndWhatTargetsRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{})
	s.run("quota").wantCode(t, 0).wantText(t, "spent      0 of 200000", "the mirror is empty")
	s.run("resync").wantCode(t, 0)
	doc := object(t, json.RawMessage(s.run("quota", "--json").wantCode(t, 0).stdout))
	needKeys(t, "quota", doc, "month", "days", "library", "targets", "full_resync")
	used := int64(s.status().Quota.Used)
	r := s.quota()
	sum := int64(0)
	for _, d := range r.Days {
		sum += d.Used
	}
	if r.Month.Used != used || sum != used || r.Month.ByClass["manual"] == 0 || r.Month.Projected < used {
		t.Errorf("%d requests are used; the report has %+v and days of %d", used, r.Month, sum)
	}
	if r.Library.Assets != 60 || r.Library.Details == 0 || r.FullResync.Details != r.Library.Details {
		t.Errorf("library %+v, full resync %+v", r.Library, r.FullResync)
	}
	if len(r.Targets) != 1 || r.Targets[0].Details != r.Library.Details || r.Targets[0].Fields != 0 ||
		len(r.Targets[0].Needs) != 2 || r.Targets[0].Needs[0].Key != "select.expired" || r.Targets[0].Needs[0].Level != "detail" {
		t.Errorf("targets %+v", r.Targets)
	}
	s.run("quota").wantCode(t, 0).wantText(t, "MANUAL", "select.expired reads expires_at (detail)", "metadata.alt reads alt_text (detail)", "resync --full:")
}

func TestExpensiveResyncNeedsConsent(t *testing.T) {
	t.Parallel()
	s := newSite(t, 60, settings{})
	s.run("resync").wantCode(t, 0)
	before := int64(s.status().Quota.Used)
	s.configure(func(c *settings) {
		c.cmp = fmt.Sprintf("requests_per_second: 500\n  requests_per_month: %d", before+60)
	})
	r := s.run("resync", "--full").wantCode(t, 2)
	if !strings.Contains(r.stderr, "--yes") || !strings.Contains(r.stderr, "of what the month has left") {
		t.Errorf("the message does not name the cost: %s", r)
	}
	if used := int64(s.status().Quota.Used); used != before {
		t.Errorf("refusing took %d requests", used-before)
	}
	s.run("resync", "--full", "--yes").wantCode(t, 0)
}

// deferredClasses returns the classes that may not send a request now.
func (s *site) deferredClasses() (classes []string) {
	s.t.Helper()
	var st struct {
		Quota struct {
			Classes map[string]struct {
				DeferredUntil *string `json:"deferred_until"`
			}
		}
	}
	if err := json.Unmarshal([]byte(s.run("status", "--json").wantCode(s.t, 0).stdout), &st); err != nil {
		s.t.Fatal(err)
	}
	for class, c := range st.Quota.Classes {
		if c.DeferredUntil != nil {
			classes = append(classes, class)
		}
	}
	return classes
}

func TestWebhooksContinueWhileDetailsAreDeferred(t *testing.T) {
	t.Parallel()
	s := newSite(t, 400, settings{
		cmp:      "requests_per_second: 500\n  requests_per_month: 300",
		schedule: `{incremental: "@every 1h", sweep: ""}`,
		target:   "\n    metadata: {title: asset.title, alt: asset.alt_text}\n",
	})
	s.run("resync").wantCode(t, 3).wantText(t, "deferred until")
	deferred := s.deferredClasses()
	if len(deferred) == 0 || slices.Contains(deferred, "webhook") {
		t.Fatalf("deferred classes: %v", deferred)
	}
	s.run("status").wantText(t, "deferred  "+deferred[0]+" until ")
	files, err := s.files() // before a daemon writes more of them
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	p := s.serve()
	s.registerWebhook()
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
