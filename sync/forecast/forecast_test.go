package forecast_test

import (
	"fmt"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"damsync/internal/grant"
	"damsync/sync/forecast"
)

func utc(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return at
}

// defaults is a library of a million with the default schedules.
func defaults() forecast.Input {
	return forecast.Input{
		Now: utc("2026-03-11T12:00:00Z"), Since: utc("2026-03-01T00:00:00Z"), Until: utc("2026-04-01T00:00:00Z"),
		Limit: 200_000, PerSecond: 10,
		Schedule: forecast.Schedule{Incremental: "@every 5m", Audit: "@hourly", Sweep: "0 3 * * 0"},
		Library: forecast.Library{
			Assets: 1_000_000, Folders: 250, Details: 200_000, Fields: 50_000, Windows: 333,
			ObservedDays: 10, Changed: 10_000, Added: 2000, Removed: 500,
		},
		Targets: []forecast.Demand{
			{Target: "brand", Details: 200_000, Fields: 50_000, Alone: 150_000, Needs: []forecast.Part{
				{Key: "select.expired", Reads: []string{"expires_at"}},
				{Key: "metadata.alt", Reads: []string{"alt_text"}},
				{Key: "metadata.rights", Reads: []string{"fields"}, Fields: true},
			}},
			{Target: "web", Details: 50_000, Needs: []forecast.Part{{Key: "select.expired", Reads: []string{"expires_at"}}}},
		},
	}
}

func of(t *testing.T, in forecast.Input) forecast.Report {
	t.Helper()
	r, err := forecast.Of(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func requests(r forecast.Report) map[string]int64 {
	out := map[string]int64{}
	for _, c := range r.Costs {
		out[c.Observation] = c.Requests
	}
	return out
}

func TestPriceList(t *testing.T) {
	in := defaults()
	in.Days = []forecast.Day{{Day: utc("2026-03-02T00:00:00Z"), ByClass: map[grant.Class]int64{grant.Webhook: 190}}}
	r := of(t, in)
	want := map[string]int64{
		"incremental": 8640 + 372, // 36,000 changed and new rows come in pages of 97
		"references":  720 * 5,
		"audit":       30*333 + 720 + 9568, // 333 windows a day and one more a run; deletions of an hour are found together, by 13.3 requests
		"sweep":       4 * 10_310,
		"details":     7200, // a fifth of what changed
		"fields":      1800,
		"webhooks":    600, // 190 in 9.5 days
	}
	if diff := gocmp.Diff(want, requests(r)); diff != "" {
		t.Errorf("price list (-want +got):\n%s", diff)
	}
	sum := int64(0)
	for _, c := range r.Costs {
		sum += c.Requests
	}
	if r.CostsMonth != sum {
		t.Errorf("the sum is %d, not %d", sum, r.CostsMonth)
	}
	resync := forecast.Resync{Requests: 260_315, Summaries: 10_315, Details: 200_000, Fields: 50_000, Seconds: 28_114, OfBalance: 260_315.0 / 199_810}
	if diff := gocmp.Diff(resync, r.FullResync); diff != "" {
		t.Errorf("full resync (-want +got):\n%s", diff)
	}
}

// What is switched off costs nothing.
func TestOffCostsNothing(t *testing.T) {
	in := defaults()
	in.Schedule = forecast.Schedule{}
	got := requests(of(t, in))
	if got["incremental"] != 0 || got["audit"] != 0 || got["sweep"] != 0 {
		t.Errorf("%v", got)
	}
}

func TestFirings(t *testing.T) {
	for spec, want := range map[string]int64{"@every 5m": 8640, "*/5 * * * *": 8640, "@hourly": 720, "0 3 * * *": 30, "0 3 * * 0": 4, "TZ=Europe/Berlin 0 3 1 * *": 1} {
		in := defaults()
		in.Library = forecast.Library{Assets: 1}
		in.Schedule = forecast.Schedule{Incremental: spec}
		if got := requests(of(t, in))["incremental"]; got != want {
			t.Errorf("%s fires %d times, want %d", spec, got, want)
		}
	}
	in := defaults()
	in.Schedule.Sweep = "now and then"
	if _, err := forecast.Of(in); err == nil {
		t.Error("a schedule that no parser reads is accepted")
	}
}

// Which part of a rule is to blame, and whether taking it out would help.
func TestNeedsArePriced(t *testing.T) {
	r := of(t, defaults())
	want := []forecast.Need{
		{Key: "select.expired", Reads: []string{"expires_at"}, Level: "detail", First: 200_000},
		{Key: "metadata.alt", Reads: []string{"alt_text"}, Level: "detail", First: 200_000},
		{Key: "metadata.rights", Reads: []string{"fields"}, Level: "fields", First: 50_000, OnlyReason: true},
	}
	if diff := gocmp.Diff(want, r.Targets[0].Needs); diff != "" {
		t.Errorf("needs (-want +got):\n%s", diff)
	}
	if web := r.Targets[1]; !web.Needs[0].OnlyReason || web.First != 50_000 || web.SavedWithout != 0 {
		t.Errorf("%+v", web)
	}
}

func TestProjection(t *testing.T) {
	day := func(day string, used int64) forecast.Day {
		return forecast.Day{Day: utc(day + "T00:00:00Z"), ByClass: map[grant.Class]int64{grant.Incremental: used}}
	}
	in := defaults()
	in.Days = []forecast.Day{day("2026-02-28", 9000), day("2026-03-09", 200), day("2026-03-10", 400), day("2026-03-11", 5000)}
	r := of(t, in)
	if r.Month.Used != 5600 || r.Month.Balance != 194_400 || r.Month.ProjectedBy != "observed" || r.Month.Projected != 5600+300*205/10 {
		t.Errorf("%+v", r.Month)
	}
	if len(r.Days) != 3 {
		t.Errorf("%d days, want those of the month", len(r.Days))
	}
	in.Days = in.Days[3:]
	if r = of(t, in); r.Month.ProjectedBy != "configuration" || r.Month.Projected <= 5000 {
		t.Errorf("without a whole day: %+v", r.Month)
	}
	in.Rolling, in.Since, in.Until = true, utc("2026-02-10T00:00:00Z"), in.Now
	in.Days = []forecast.Day{day("2026-03-10", 400)}
	if r = of(t, in); r.Month.Until != nil || r.Month.Projected != 12_000 {
		t.Errorf("rolling: %+v", r.Month)
	}
}

// Whatever the library and the ledger, no figure is negative or endless, and more assets never
// cost less.
func TestMoreNeverCostsLess(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := defaults()
		n := rapid.Int64Range(0, 1<<40)
		in.Library = forecast.Library{
			Assets: n.Draw(rt, "assets"), Folders: rapid.Int64Range(0, 1<<20).Draw(rt, "folders"),
			ObservedDays: rapid.Float64Range(0, 30).Draw(rt, "days"), Changed: n.Draw(rt, "changed"), Added: n.Draw(rt, "added"), Removed: n.Draw(rt, "removed"),
		}
		in.Library.Details = rapid.Int64Range(0, in.Library.Assets).Draw(rt, "details")
		in.Library.Fields = rapid.Int64Range(0, in.Library.Details).Draw(rt, "fields")
		in.Limit = rapid.Int64Range(0, 1<<40).Draw(rt, "limit")
		in.Days = []forecast.Day{{Day: utc("2026-03-03T00:00:00Z"), ByClass: map[grant.Class]int64{grant.Webhook: n.Draw(rt, "spent")}}}
		small := of(t, in)
		in.Library.Assets++
		in.Library.Details++
		large := of(t, in)
		if small.FullResync.Requests > large.FullResync.Requests || requests(small)["sweep"] > requests(large)["sweep"] {
			rt.Fatal("one asset more costs less")
		}
		for _, c := range small.Costs {
			if c.Requests < 0 {
				rt.Fatalf("%+v", c)
			}
		}
		if m := small.Month; m.Balance < 0 || m.Projected < m.Used || small.FullResync.OfBalance < 0 {
			rt.Fatal(fmt.Sprintf("%+v", m))
		}
	})
}
