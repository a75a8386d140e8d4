package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"damsync/internal/forecast"
	"damsync/internal/grant"
	"damsync/sync/rules"
)

func newQuota(p process) *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Show where the month's requests went and what the targets cost",
		Long: `quota shows the requests spent this month by day and class, and how many the month
will have spent at its end if the rate so far continues. Backfill does not count for
that rate. For each target it shows how many assets need more than their summary,
and which configuration keys are the reason. The last line is the cost of a full
resync. quota sends no request and needs no running daemon.`,
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

// forecast reads the ledger and evaluates the configured rules on the mirror.
func (a *app) forecast(ctx context.Context) (forecast.Report, error) {
	quota := a.quota()
	spent, err := a.store.Spending(ctx, quota.Rolling)
	if err != nil {
		return forecast.Report{}, err
	}
	engine, err := a.engine(ctx, nil)
	if err != nil {
		return forecast.Report{}, err
	}
	cost, err := engine.Cost(ctx)
	if err != nil {
		return forecast.Report{}, err
	}
	in := forecast.Input{
		Now: spent.Now, Since: spent.Since, Until: spent.Until,
		Limit: quota.PerMonth, Reserved: quota.Reserved, PerSecond: quota.PerSecond,
		Library: forecast.Library{Assets: int64(cost.Assets), Details: int64(cost.Details), Fields: int64(cost.Fields)},
		Targets: make([]forecast.Target, len(cost.Targets)),
	}
	for _, d := range spent.Days {
		in.Days = append(in.Days, forecast.Day(d))
	}
	for i, t := range cost.Targets {
		in.Targets[i] = forecastTarget(t)
	}
	return forecast.Of(in), nil
}

func forecastTarget(t rules.TargetCost) forecast.Target {
	target := forecast.Target{Name: t.Name, Details: int64(t.Details), Fields: int64(t.Fields), Needs: make([]forecast.Need, len(t.Needs))}
	for i, n := range t.Needs {
		target.Needs[i] = forecast.Need{Key: n.Key, Reads: n.Reads, Level: n.Level.String()}
	}
	return target
}

func printForecast(w io.Writer, r forecast.Report) error {
	printMonth(w, r.Month)
	if err := printDays(w, r); err != nil {
		return err
	}
	for _, t := range r.Targets {
		printTarget(w, t)
	}
	if r.Library.Assets == 0 {
		fmt.Fprintln(w, "\nthe mirror is empty; run damsync serve or damsync resync to fill it")
		return nil
	}
	f := r.FullResync
	fmt.Fprintf(w, "\nresync --full: %d requests (%d for summaries, %d details, %d fields), about %s, %s\n",
		f.Requests, f.Summaries, f.Details, f.Fields, duration(f.Seconds), ofBalance(f))
	return nil
}

func printMonth(w io.Writer, m forecast.Month) {
	fmt.Fprintf(w, "spent      %d of %d requests since %s\n", m.Used, m.Limit, m.Since.Format(time.DateOnly))
	fmt.Fprintf(w, "left       %d", m.Balance)
	if m.Reserved > 0 {
		fmt.Fprintf(w, "; %d are reserved for other integrations", m.Reserved)
	}
	fmt.Fprintf(w, "\nprojected  %d, %.0f%% of the month", m.Projected, 100*float64(m.Projected)/float64(max(m.Limit, 1)))
	if m.Until != nil {
		fmt.Fprintf(w, ", by %s", m.Until.Format(time.DateOnly))
	}
	fmt.Fprintln(w, ", at the rate so far without backfill")
}

// printDays prints a row for each day and a column for each class that spent something.
func printDays(w io.Writer, r forecast.Report) error {
	if len(r.Days) == 0 {
		return nil
	}
	var classes []grant.Class
	header := "\nDAY\tTOTAL\t"
	for _, class := range grant.Classes() {
		if r.Month.ByClass[class] > 0 {
			classes = append(classes, class)
			header += strings.ToUpper(string(class)) + "\t"
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, header)
	row := func(name string, used int64, byClass map[grant.Class]int64) {
		fmt.Fprintf(tw, "%s\t%d\t", name, used)
		for _, class := range classes {
			fmt.Fprintf(tw, "%d\t", byClass[class])
		}
		fmt.Fprintln(tw)
	}
	for _, d := range r.Days {
		row(d.Day, d.Used, d.ByClass)
	}
	row("total", r.Month.Used, r.Month.ByClass)
	return tw.Flush()
}

func printTarget(w io.Writer, t forecast.Target) {
	if len(t.Needs) == 0 {
		fmt.Fprintf(w, "\ntarget %s needs summaries only\n", t.Name)
		return
	}
	fmt.Fprintf(w, "\ntarget %s needs the detail of %d assets and the custom fields of %d\n", t.Name, t.Details, t.Fields)
	for _, n := range t.Needs {
		fmt.Fprintf(w, "  %s reads %s (%s)\n", n.Key, strings.Join(n.Reads, ", "), n.Level)
	}
}

func duration(seconds float64) string {
	return (time.Duration(seconds) * time.Second).String()
}

func ofBalance(f forecast.Resync) string {
	if f.OfBalance >= 1 {
		return "more than the month has left"
	}
	return fmt.Sprintf("%.1f%% of what the month has left", 100*f.OfBalance)
}
