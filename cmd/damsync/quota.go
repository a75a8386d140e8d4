package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/sync"
	"damsync/sync/forecast"
)

func newQuota(p process) *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Show what the month's requests went to, and what the configuration costs",
		Long: `quota shows what was spent by class and day, what each class may still spend, what
the month comes to at its end, and what the configuration costs a month for the
library as it is: each observation, the details and fields of each target with the
parts of its rule that ask for them, and a full resync. It sends no request and needs
no running daemon.`,
		Example: `  damsync quota
  damsync quota --json | jq '.full_resync.requests'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			r, err := a.forecast(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(p.stdout, r)
			}
			return printForecast(p.stdout, r)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// forecast gathers what the ledger, the mirror and the rules know.
func (a *app) forecast(ctx context.Context) (forecast.Report, error) {
	quota := a.quota()
	in := forecast.Input{
		Rolling: quota.Rolling, Limit: quota.PerMonth, Reserved: quota.Reserved, PerSecond: quota.PerSecond,
		Schedule: forecast.Schedule{Incremental: a.cfg.Schedule.Incremental, Audit: a.cfg.Schedule.Audit, Sweep: a.cfg.Schedule.Sweep},
	}
	if err := a.spending(ctx, &in); err != nil {
		return forecast.Report{}, err
	}
	if err := a.demand(ctx, &in); err != nil {
		return forecast.Report{}, err
	}
	return forecast.Of(in)
}

func (a *app) spending(ctx context.Context, in *forecast.Input) error {
	spent, err := a.store.Spending(ctx, in.Rolling)
	if err != nil {
		return err
	}
	in.Now, in.Since, in.Until = spent.Now, spent.Since, spent.Until
	for _, d := range spent.Days {
		in.Days = append(in.Days, forecast.Day(d))
	}
	ledger := a.store.Ledger(a.quota())
	for _, class := range grant.Classes() {
		allowance, err := ledger.Allowance(ctx, class)
		if err != nil {
			return err
		}
		in.Classes = append(in.Classes, allowance)
	}
	return nil
}

// demand judges the mirror by the rules as they are configured now.
func (a *app) demand(ctx context.Context, in *forecast.Input) error {
	engine, err := a.engine(ctx, nil)
	if err != nil {
		return err
	}
	d, err := engine.Demand(ctx)
	if err != nil {
		return err
	}
	seen, err := a.store.Activity(ctx)
	if err != nil {
		return err
	}
	in.Library = forecast.Library{
		Assets: int64(d.Assets), Folders: seen.Folders, Details: int64(d.Details), Unread: int64(d.Unread), Fields: int64(d.Fields), Windows: int64(d.Windows),
		ObservedDays: seen.Days, Changed: seen.Changed, Added: seen.Added, Removed: seen.Removed,
	}
	for _, t := range d.Targets {
		in.Targets = append(in.Targets, demandOf(t))
	}
	return nil
}

func demandOf(t sync.TargetDemand) forecast.Demand {
	d := forecast.Demand{Target: t.Name, Details: int64(t.Details), Fields: int64(t.Fields), Alone: int64(t.Alone)}
	for _, n := range t.Needs {
		d.Needs = append(d.Needs, forecast.Part{Key: n.Field, Reads: n.Reads, Fields: n.Level == library.LevelFields})
	}
	return d
}

func printForecast(w io.Writer, r forecast.Report) error {
	printMonth(w, r.Month)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	printClasses(tw, r.Classes)
	printDays(tw, r.Days)
	fmt.Fprintf(tw, "\nOBSERVATION\tA MONTH\t\n")
	for _, c := range r.Costs {
		fmt.Fprintf(tw, "%s\t%d\t%s\n", c.Observation, c.Requests, c.How)
	}
	fmt.Fprintf(tw, "together\t%d\t%.0f%% of the month\n", r.CostsMonth, percent(r.CostsMonth, r.Month.Limit))
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, t := range r.Targets {
		printTarget(w, t)
	}
	f := r.FullResync
	fmt.Fprintf(w, "\nresync --full: %d requests (%d summaries and references, %d details, %d fields), %s at the full pace, %s\n",
		f.Requests, f.Summaries, f.Details, f.Fields, duration(f.Seconds), ofBalance(f))
	for _, n := range r.Notes {
		fmt.Fprintf(w, "! %s\n", n)
	}
	return nil
}

func printMonth(w io.Writer, m forecast.Month) {
	fmt.Fprintf(w, "spent      %d of %d requests since %s", m.Used, m.Limit, m.Since.Format(time.DateOnly))
	if m.Until != nil {
		fmt.Fprintf(w, ", until %s", m.Until.Format(time.DateOnly))
	}
	if m.Reserved > 0 {
		fmt.Fprintf(w, "; %d are reserved for others", m.Reserved)
	}
	fmt.Fprintf(w, "\nbalance    %d\n", m.Balance)
	by := "as the last days"
	if m.ProjectedBy != "observed" {
		by = "by the costs below, since no whole day was observed"
	}
	fmt.Fprintf(w, "projected  %d, %.0f%% of the month, %s\n\n", m.Projected, percent(m.Projected, m.Limit), by)
}

func printClasses(w io.Writer, classes []forecast.Class) {
	fmt.Fprintln(w, "CLASS\tSPENT\tLEFT TODAY\tLEFT IN THE MONTH\tKEPT FOR OTHERS\t")
	for _, c := range classes {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t", c.Class, c.Used, c.LeftToday, c.LeftMonth, c.Floor)
		if c.DeferredUntil != nil {
			fmt.Fprintf(w, "deferred until %s: %s", moment(c.DeferredUntil), c.Reason)
		}
		fmt.Fprintln(w)
	}
}

// printDays shows the last days, with the classes that spent something.
func printDays(w io.Writer, days []forecast.Spent) {
	const shown = 10
	if len(days) == 0 {
		return
	}
	fmt.Fprintf(w, "\nDAY\tSPENT\t\n")
	for _, d := range days[max(len(days)-shown, 0):] {
		var by []string
		for _, class := range grant.Classes() {
			if n := d.ByClass[string(class)]; n > 0 {
				by = append(by, fmt.Sprintf("%s %d", class, n))
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", d.Day, d.Used, strings.Join(by, ", "))
	}
}

func printTarget(w io.Writer, t forecast.Target) {
	if len(t.Needs) == 0 {
		fmt.Fprintf(w, "\ntarget %s reads summaries alone\n", t.Name)
		return
	}
	fmt.Fprintf(w, "\ntarget %s reads %d details and %d custom fields: %d requests once, %d a month; %d of the details no other target reads\n",
		t.Name, t.Details, t.Fields, t.First, t.RequestsMonth, t.SavedWithout)
	for _, n := range t.Needs {
		fmt.Fprintf(w, "  %s reads %s: the %s, %d requests", n.Key, strings.Join(n.Reads, ", "), n.Level, n.First)
		if n.OnlyReason {
			fmt.Fprint(w, "; nothing else in the rule asks for that")
		}
		fmt.Fprintln(w)
	}
}

func percent(part, all int64) float64 { return 100 * float64(part) / float64(max(all, 1)) }

func duration(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}

func ofBalance(f forecast.Resync) string {
	if f.OfBalance >= 1 {
		return "more than the month has left"
	}
	return fmt.Sprintf("%.1f%% of what the month has left", 100*f.OfBalance)
}
