package forecast_test

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"damsync/internal/forecast"
	"damsync/internal/grant"
)

func utc(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return at
}

// inMarch is a million assets at noon of the 11th day of a calendar month.
func inMarch() forecast.Input {
	return forecast.Input{
		Now: utc("2026-03-11T12:00:00Z"), Since: utc("2026-03-01T00:00:00Z"), Until: utc("2026-04-01T00:00:00Z"),
		Limit: 200_000, PerSecond: 10,
		Library: forecast.Library{Assets: 1_000_000, Details: 200_000, Fields: 50_000},
	}
}

func spent(day string, byClass map[grant.Class]int64) forecast.Day {
	return forecast.Day{Day: utc(day + "T00:00:00Z"), ByClass: byClass}
}

func polls(day string, used int64) forecast.Day {
	return spent(day, map[grant.Class]int64{grant.Incremental: used})
}

func TestMonthAddsUpDaysAndClasses(t *testing.T) {
	in := inMarch()
	in.Reserved = 50_000
	in.Days = []forecast.Day{polls("2026-03-01", 300), spent("2026-03-02", map[grant.Class]int64{grant.Incremental: 200, grant.Webhook: 7})}
	r := forecast.Of(in)
	if r.Month.Used != 507 || r.Month.Balance != 149_493 || len(r.Month.ByClass) != len(grant.Classes()) ||
		r.Month.ByClass[grant.Incremental] != 500 || r.Month.ByClass[grant.Webhook] != 7 {
		t.Errorf("month %+v", r.Month)
	}
	want := []forecast.Spent{
		{Day: "2026-03-01", Used: 300, ByClass: in.Days[0].ByClass},
		{Day: "2026-03-02", Used: 207, ByClass: in.Days[1].ByClass},
	}
	if diff := gocmp.Diff(want, r.Days); diff != "" {
		t.Errorf("days (-want +got):\n%s", diff)
	}
}

func TestProjection(t *testing.T) {
	for name, c := range map[string]struct {
		days    []forecast.Day
		rolling bool
		now     string
		want    int64
	}{
		"nothing is spent":                         {nil, false, "2026-03-11T12:00:00Z", 0},
		"the rate so far continues to the end":     {[]forecast.Day{polls("2026-03-01", 1050)}, false, "2026-03-11T12:00:00Z", 3100},
		"the rate counts from the first request":   {[]forecast.Day{polls("2026-03-07", 450)}, false, "2026-03-11T12:00:00Z", 450 + 2050},
		"the first minutes of a month count a day": {[]forecast.Day{polls("2026-03-01", 100)}, false, "2026-03-01T00:00:00Z", 100 + 3100},
		"a part of a request is rounded up":        {[]forecast.Day{polls("2026-03-01", 1)}, false, "2026-03-11T12:00:00Z", 3},
		"backfill does not recur":                  {[]forecast.Day{spent("2026-03-01", map[grant.Class]int64{grant.Incremental: 1050, grant.Backfill: 9000})}, false, "2026-03-11T12:00:00Z", 9000 + 3100},
		"a rolling month lasts 30 days":            {[]forecast.Day{polls("2026-03-01", 1050)}, true, "2026-03-11T12:00:00Z", 3000},
	} {
		t.Run(name, func(t *testing.T) {
			in := inMarch()
			in.Days, in.Now = c.days, utc(c.now)
			if c.rolling {
				in.Since, in.Until = utc("2026-02-10T00:00:00Z"), time.Time{}
			}
			r := forecast.Of(in)
			if r.Month.Projected != c.want || (r.Month.Until == nil) != c.rolling {
				t.Errorf("projected %d, want %d; until %v", r.Month.Projected, c.want, r.Month.Until)
			}
		})
	}
}

func TestFullResyncReadsEveryLevelOnce(t *testing.T) {
	in := inMarch()
	in.Days = []forecast.Day{polls("2026-03-02", 190)}
	want := forecast.Resync{Requests: 260_313, Summaries: 10_313, Details: 200_000, Fields: 50_000, Seconds: 28_924, OfBalance: 260_313.0 / 199_810}
	if diff := gocmp.Diff(want, forecast.Of(in).FullResync); diff != "" {
		t.Errorf("full resync (-want +got):\n%s", diff)
	}
	in.Limit = 100
	if share := forecast.Of(in).FullResync.OfBalance; share < 1 {
		t.Errorf("without a balance the resync takes a share of %f", share)
	}
}

// No history yields a negative figure, and more assets never cost less.
func TestMoreNeverCostsLess(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := inMarch()
		count := rapid.Int64Range(0, 1<<40)
		in.Library.Assets = count.Draw(rt, "assets")
		in.Library.Details = rapid.Int64Range(0, in.Library.Assets).Draw(rt, "details")
		in.Library.Fields = rapid.Int64Range(0, in.Library.Details).Draw(rt, "fields")
		in.Limit = count.Draw(rt, "limit")
		in.Reserved = rapid.Int64Range(0, in.Limit).Draw(rt, "reserved")
		in.Now = in.Since.Add(time.Duration(rapid.IntRange(0, 31*24*60).Draw(rt, "minutes")) * time.Minute)
		in.Days = []forecast.Day{spent("2026-03-03", map[grant.Class]int64{grant.Webhook: count.Draw(rt, "webhooks"), grant.Backfill: count.Draw(rt, "backfill")})}
		small := forecast.Of(in)
		in.Library.Assets++
		in.Library.Details++
		large := forecast.Of(in)
		if small.FullResync.Requests >= large.FullResync.Requests {
			rt.Fatalf("one more asset costs %d instead of %d", large.FullResync.Requests, small.FullResync.Requests)
		}
		if m := small.Month; m.Balance < 0 || m.Projected < m.Used || small.FullResync.OfBalance < 0 {
			rt.Fatalf("%+v", small)
		}
	})
}
