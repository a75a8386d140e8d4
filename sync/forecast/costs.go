package forecast

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/internal/grant"
)

const (
	// referencesPerMonth is how often folders, labels and fields are read: once an hour.
	referencesPerMonth = 30 * 24
	// minBisection is the least that finding a difference of counts takes.
	minBisection = 1
)

// costsOf is the price list: what each kind of observation takes in a month.
func costsOf(in Input, c Counts) ([]Cost, error) {
	polls, err := firings(in.Schedule.Incremental, in.Now)
	if err != nil {
		return nil, err
	}
	audits, err := firings(in.Schedule.Audit, in.Now)
	if err != nil {
		return nil, err
	}
	sweeps, err := firings(in.Schedule.Sweep, in.Now)
	if err != nil {
		return nil, err
	}
	n := in.Library.Assets
	changes := 30 * (c.ChangedPerDay + c.AddedPerDay)
	return []Cost{
		{
			"incremental", polls + whole(changes/pageRows)*min(polls, 1),
			fmt.Sprintf("%d polls at most, 1 request each while fewer than 100 assets changed", polls),
		},
		{
			"references", referencesPerMonth * references(in.Library.Folders),
			fmt.Sprintf("folders, labels and fields once an hour, %d requests each", references(in.Library.Folders)),
		},
		audit(audits, in.Library, c.RemovedPerDay),
		{"sweep", sweeps * pages(n), fmt.Sprintf("%d sweeps of %d requests", sweeps, pages(n))},
		{
			"details", whole(changes * share(in.Library.Details, n)),
			fmt.Sprintf("%.1f changed and %.1f new assets a day, of which %.0f%% are read singly", c.ChangedPerDay, c.AddedPerDay, 100*share(in.Library.Details, n)),
		},
		{
			"fields", whole(changes * share(in.Library.Fields, n)),
			fmt.Sprintf("of these, %.0f%% with their custom fields", 100*share(in.Library.Fields, n)),
		},
		webhooks(in),
	}, nil
}

// audit counts every window once a day, spread over the runs of a day, each of which counts one
// more, and looks for each difference by bisection.
func audit(runs int64, l Library, removedPerDay float64) Cost {
	if runs == 0 {
		return Cost{"audit", 0, "off"}
	}
	windows := max(l.Windows, 1)
	bisection := math.Max(math.Log2(math.Max(float64(l.Assets), 1)/100), minBisection)
	differences := math.Min(removedPerDay, 24) // deletions of one hour are found together
	return Cost{
		"audit", min(30*windows+runs, runs*windows) + whole(30*differences*bisection),
		fmt.Sprintf("%d runs, counting %d windows a day; %.1f requests for each of %.1f differences a day", runs, windows, bisection, differences),
	}
}

// webhooks go on as observed.
func webhooks(in Input) Cost {
	sum, first := int64(0), in.Now
	for _, d := range in.Days {
		sum += d.ByClass[grant.Webhook]
		if d.Day.Before(first) {
			first = d.Day
		}
	}
	days := math.Max(in.Now.Sub(first).Hours()/24, 1)
	daily := float64(sum) / days
	return Cost{"webhooks", whole(daily * 30), fmt.Sprintf("%.1f requests a day, as in the last %.0f days", daily, days)}
}

// targetsOf prices what each target reads singly.
func targetsOf(in Input, c Counts) []Target {
	changes := 30 * (c.ChangedPerDay + c.AddedPerDay)
	targets := make([]Target, len(in.Targets))
	for i, d := range in.Targets {
		targets[i] = Target{
			Name: d.Target, Details: d.Details, Fields: d.Fields, First: d.Details + d.Fields,
			RequestsMonth: whole(changes * (share(d.Details, in.Library.Assets) + share(d.Fields, in.Library.Assets))),
			SavedWithout:  d.Alone, Needs: needsOf(d),
		}
	}
	return targets
}

// needsOf prices each part of a rule. Fields are read by a request of their own after the
// detail's, so a part that reads fields also asks for the detail.
func needsOf(d Demand) []Need {
	needs := []Need{}
	for _, n := range d.Needs {
		need := Need{Key: n.Key, Reads: slices.Clone(n.Reads), Level: "detail", First: d.Details}
		others := 0
		for _, other := range d.Needs {
			if !n.Fields || other.Fields {
				others++
			}
		}
		if n.Fields {
			need.Level, need.First = "fields", d.Fields
		}
		need.OnlyReason = others == 1
		needs = append(needs, need)
	}
	return needs
}

// firings counts how often a schedule fires in a month from now on.
func firings(spec string, now time.Time) (int64, error) {
	if spec == "" {
		return 0, nil
	}
	s, err := cron.ParseStandard(spec)
	if err != nil {
		return 0, fmt.Errorf("read schedule %q: %w", spec, err)
	}
	if every, ok := s.(cron.ConstantDelaySchedule); ok {
		return int64(month / every.Delay), nil
	}
	n := int64(0)
	for at, end := s.Next(now), now.Add(month); !at.IsZero() && !at.After(end); at = s.Next(at) {
		n++
	}
	return n, nil
}

// references is what reading folders, labels and fields takes: each is a list of pages.
func references(folders int64) int64 { return folders/100 + 3 }

func share(part, all int64) float64 {
	if all <= 0 {
		return 0
	}
	return float64(part) / float64(all)
}
