package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"damsync/sync"
)

func newPlan(p process) *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what would be done at the targets, without doing it",
		Long: `plan applies the rules of the configuration file to the mirror and lists every
difference from what is recorded at the targets. It sends no request, neither to the
CMP nor to a target.

--json prints {"changes": [...], "summary": {target: {op: count}}, "cost": {"spent": 0,
"requests": n}}. Each change has asset_id, title and op (put, move, set metadata,
retire, read or failed), and where they apply target, path, from, guard, reason and
requests. "cost" has the requests that plan spent, which is none, and the requests to
the CMP that the changes take.`,
		Example: `  damsync plan
  damsync plan --json | jq '.changes[] | select(.op == "retire")'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			return a.plan(cmd.Context(), p, asJSON)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (a *app) plan(ctx context.Context, p process, asJSON bool) error {
	engine, err := a.engine(ctx, nil)
	if err != nil {
		return err
	}
	printer := newPlanPrinter(p.stdout, a.targetNames())
	printer.json = asJSON
	if err := engine.Plan(ctx, printer.add); err != nil {
		return err
	}
	n, err := a.store.CountAssets(ctx)
	if err != nil {
		return err
	}
	if n == 0 && !asJSON {
		fmt.Fprintln(p.stdout, "the mirror is empty; run damsync serve or damsync resync to fill it")
		return nil
	}
	return printer.end()
}

// planPrinter prints differences as they come and counts them.
type planPrinter struct {
	w       io.Writer
	targets []string
	json    bool
	begun   bool                      // the array of changes was opened
	counts  map[string]map[string]int // target, op
	cost    planCost
}

// planCost counts the requests to the CMP that the changes of a plan take.
type planCost struct {
	singly int // to read assets one by one
	puts   int // downloads take no requests, but one for the URLs of each hundred
}

func (c planCost) requests() int { return c.singly + (c.puts+99)/100 }

func (c planCost) String() string {
	return fmt.Sprintf("up to %d requests on the changes: %d to read assets one by one, %d for download URLs", c.requests(), c.singly, c.requests()-c.singly)
}

func newPlanPrinter(w io.Writer, targets []string) *planPrinter {
	return &planPrinter{w: w, targets: targets, counts: map[string]map[string]int{}}
}

func (pp *planPrinter) add(d sync.Difference) error {
	if d.Target != "" && !slices.Contains(pp.targets, d.Target) {
		return nil
	}
	if pp.counts[d.Target] == nil {
		pp.counts[d.Target] = map[string]int{}
	}
	pp.counts[d.Target][d.Op]++
	pp.cost.singly += d.Requests
	if d.Op == "put" {
		pp.cost.puts++
	}
	if pp.json {
		return pp.addJSON(d)
	}
	_, err := fmt.Fprintln(pp.w, line(d))
	return err
}

// addJSON streams one element of the array of changes.
func (pp *planPrinter) addJSON(d sync.Difference) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	before := `{"changes":[` + "\n"
	if pp.begun {
		before = ",\n"
	}
	pp.begun = true
	_, err = fmt.Fprintf(pp.w, "%s%s", before, text)
	return err
}

// end prints the summary and closes the JSON.
func (pp *planPrinter) end() error {
	if !pp.json {
		pp.summary()
		fmt.Fprintf(pp.w, "cost: plan sent no request; damsync would spend %s\n", pp.cost)
		return nil
	}
	if !pp.begun {
		if _, err := fmt.Fprint(pp.w, `{"changes":[`); err != nil {
			return err
		}
	}
	text, err := json.Marshal(pp.counts)
	if err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	_, err = fmt.Fprintf(pp.w, "],\n\"summary\":%s,\n\"cost\":{\"spent\":0,\"requests\":%d}}\n", text, pp.cost.requests())
	return err
}

// line formats a difference, marked like a line of a diff.
func line(d sync.Difference) string {
	mark := map[string]string{"put": "+", "move": ">", "set metadata": "~", "retire": "-"}[d.Op]
	if mark == "" {
		mark = "?"
	}
	text := fmt.Sprintf("%s %-12s %s  %s", mark, d.Op, d.Target, d.Path)
	if d.From != "" && d.From != d.Path {
		text += "  from " + d.From
	}
	text += fmt.Sprintf("  [%s %q]", d.AssetID, d.Title)
	switch d.Guard {
	case "held":
		text += "  (held for approval)"
	case "waiting":
		text += "  (removal limit not checked yet)"
	}
	if d.Reason != "" {
		text += "  " + d.Reason
	}
	return text
}

func (pp *planPrinter) summary() {
	if len(pp.counts) == 0 {
		fmt.Fprintln(pp.w, "nothing to do: every target is in sync")
		return
	}
	for _, target := range slices.Sorted(maps.Keys(pp.counts)) {
		name := target
		if name == "" {
			name = "library"
		}
		fmt.Fprintf(pp.w, "%s:", name)
		for _, op := range slices.Sorted(maps.Keys(pp.counts[target])) {
			fmt.Fprintf(pp.w, " %d %s", pp.counts[target][op], op)
		}
		fmt.Fprintln(pp.w)
	}
}
