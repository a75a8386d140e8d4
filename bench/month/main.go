// Command month counts the requests that observing a library for a month takes, and how late it
// learns of changes.
//
//	go run ./bench/month -n 1e6
//	go run ./bench/month -n 1e6 --hook 0
//	go run ./bench/month -n 1e6 --details
//	go run ./bench/month -n 1e6 --bulk 0
//
// Editors change a library in memory for 30 days while the daemon's engine observes it. The engine's
// loops are the daemon's; its store is in memory too, and its clock jumps from event to event. The
// same flags give the same month.
//
// A share of edits and additions happens in bulk, 5 to 50 within seconds, the others one by one at
// any time of the day. Folders of 20 to 420 assets are deleted whole. Webhooks that are not lost
// arrive 1 to 3 s after the change.
//
// Observation is what polls, audits and the confirmation of removals cost. An asset that a webhook
// reports as changed is read singly, as is a changed asset whose detail a target reads; both count as
// details.
//
// Bounds: observation takes at most 15 % of the quota, 25 % without webhooks, and 50 % with details;
// the p99 of a change is 5 s, without webhooks a poll and 2 s; the p99 of a deletion is a poll, a
// second count, a bisection and a 404 for each asset of a folder; no request above the pace or the
// month; at most one asset wrong at the end.
package main

import (
	"context"
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	o := defaults()
	flag.Var(&o.assets, "n", "assets of the library")
	flag.IntVar(&o.edits, "mods", o.edits, "edits a day")
	flag.IntVar(&o.additions, "adds", o.additions, "additions a day")
	flag.IntVar(&o.deletions, "dels", o.deletions, "deletions a day, one by one")
	flag.IntVar(&o.folders, "folders", o.folders, "folders deleted in the month")
	flag.IntVar(&o.toggles, "toggles", o.toggles, "assets a day hidden from the app for hours or days, without a webhook")
	flag.Float64Var(&o.bulk, "bulk", o.bulk, "share of edits and additions made in bulk")
	flag.Float64Var(&o.hook, "hook", o.hook, "share of webhooks that arrive")
	flag.BoolVar(&o.details, "details", false, "a target reads the detail of every asset")
	flag.Uint64Var(&o.seed, "seed", o.seed, "seed of the month's random events")
	flag.DurationVar(&o.poll, "poll", o.poll, "interval of the poll")
	flag.StringVar(&o.audit, "audit", o.audit, "schedule of the windows that are counted in turn")
	flag.Int64Var(&o.quota, "quota", o.quota, "requests a month")
	os.Exit(benchkit.Main(func(ctx context.Context, s *benchkit.Sheet) error {
		m, err := simulate(ctx, o)
		if err != nil {
			return err
		}
		m.judge(s)
		return nil
	}, nil))
}
