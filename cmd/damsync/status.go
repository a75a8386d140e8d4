package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"damsync/internal/grant"
	"damsync/store"
)

func newStatus(p process) *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show what is in sync, what is not and why, and how much quota is left",
		Example: "  damsync status\n  damsync status --json | jq .quota",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			return a.status(cmd.Context(), p.stdout, asJSON)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) status(ctx context.Context, w io.Writer, asJSON bool) error {
	st, err := a.store.Status(ctx, a.quota(), a.targetNames()...)
	if err != nil {
		return err
	}
	details, err := a.store.Details(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, struct {
			store.Status
			store.DetailStatus
		}{st, details})
	}
	printStatus(w, st)
	printDetails(w, details)
	failures, err := a.store.Failures(ctx, 20)
	if err != nil {
		return err
	}
	for _, f := range failures {
		fmt.Fprintf(w, "! %s %s %s: %s: %s\n", f.Kind, f.Target, f.AssetID, f.Class, f.Reason)
	}
	return nil
}

// printDetails prints the age of the details in use and the progress of the backfill.
func printDetails(w io.Writer, d store.DetailStatus) {
	const day = 24 * 60 * 60
	for _, l := range d.Levels {
		fmt.Fprintf(w, "%-9s %d in use; 95 %% were read in the last %.1f days, the oldest %.1f days ago\n", l.Level, l.Assets, l.P95/day, l.Oldest/day)
	}
	if b := d.Backfill; b != nil {
		fmt.Fprintf(w, "backfill  %d details read, %d left, %.0f a minute\n", b.Done, b.Left, b.PerMinute)
	}
}

func printStatus(w io.Writer, st store.Status) {
	fmt.Fprintf(w, "mirror    %d assets, %d folders\n", st.Mirror.Assets, st.Mirror.Folders)
	printQuota(w, st.Quota)
	fmt.Fprintf(w, "inbox     %d webhooks pending; %d assets to read, %d of them failed\n", st.Inbox.Pending, st.Lookups.Pending+st.Lookups.Failed, st.Lookups.Failed)
	for _, kind := range slices.Sorted(maps.Keys(st.Observations)) {
		o := st.Observations[kind]
		fmt.Fprintf(w, "observed  %s: last attempt %s, last success %s", kind, moment(o.LastAttempt), moment(o.LastSuccess))
		if o.Error != "" {
			fmt.Fprintf(w, ": %s", o.Error)
		}
		fmt.Fprintln(w)
	}
	printPlacements(w, st.Targets)
}

func printQuota(w io.Writer, q store.QuotaStatus) {
	fmt.Fprintf(w, "quota     %d of %d requests of the month used", q.Used, q.Limit)
	if q.ResetsAt != nil {
		fmt.Fprintf(w, ", until %s", q.ResetsAt.Format(time.DateOnly))
	}
	if q.Reserved > 0 {
		fmt.Fprintf(w, ", %d reserved for other integrations", q.Reserved)
	}
	if q.Deferred {
		fmt.Fprint(w, ": everything that needs a request is deferred")
	}
	fmt.Fprintln(w)
	printDeferred(w, q)
}

// printPlacements prints the counts of every target, then what a person should look at.
func printPlacements(w io.Writer, targets []store.TargetStatus) {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, "TARGET\tDESIRED\tIN SYNC\tPENDING\tFAILED\tHELD\tCONFLICTS\t")
	for _, t := range targets {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", t.Name, t.Desired, t.InSync, t.Pending, t.Failed, t.Held, t.Conflicts)
	}
	_ = tw.Flush() // errors of standard output are ignored throughout
	for _, t := range targets {
		if t.Problem != "" {
			fmt.Fprintf(w, "! target %s does not run: %s\n", t.Name, t.Problem)
		}
		if t.PauseReason != "" {
			fmt.Fprintf(w, "! target %s waits%s: %s\n", t.Name, untilMoment(t.PausedUntil), t.PauseReason)
		}
		if t.Held > 0 {
			fmt.Fprintf(w, "! target %s: %d removals are held; to approve them, run damsync approve --target %s\n", t.Name, t.Held, t.Name)
		}
	}
}

// printDeferred prints the classes that the quota defers, most urgent first, and whether requests
// are paused or slowed down.
func printDeferred(w io.Writer, q store.QuotaStatus) {
	for _, class := range grant.Classes() {
		if c := q.Classes[string(class)]; c.DeferredUntil != nil {
			fmt.Fprintf(w, "deferred  %s until %s: %s\n", class, moment(c.DeferredUntil), c.Reason)
		}
	}
	if q.PausedUntil != nil {
		fmt.Fprintf(w, "paused    until %s, as the CMP asked\n", moment(q.PausedUntil))
	}
	if q.Pace.Share < 1 {
		fmt.Fprintf(w, "pace      %.0f%% of %d requests a second: the CMP refused requests within the limit, last at %s; another integration is spending the organization's requests\n",
			100*q.Pace.Share, q.Pace.Limit, moment(q.Pace.ThrottledAt))
	}
}

// untilMoment formats an optional end.
func untilMoment(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " until " + moment(t)
}

func moment(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
