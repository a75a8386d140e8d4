package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"damsync/internal/state"
	"damsync/sync"
	"damsync/sync/audit"
	"damsync/sync/observe"
)

func newAudit(p process) *cobra.Command {
	var file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check with a few requests that the mirror is complete",
		Long: `audit compares the library with the mirror by counting. That takes one request if
nothing differs, and about 14 to find one missing asset among a million. It looks up
the assets that differ one by one and pushes what changed. An asset counts as removed
only if the library answers 404 for that asset. audit runs with or without a daemon.

An interrupted audit is not resumed: run it again. What it found before is in the
mirror and costs nothing the second time.

Exit codes: 0 complete; 1 the library could not be audited, or it kept changing;
3 deferred by quota; 4 done with failed placements; 5 removals held for approval.`,
		Example: `  damsync audit                  is the mirror complete?
  damsync audit --json           the same, for programs
  psql -c 'TABLE report.audits'  what audits found, including those of the daemon`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			a, err := openApp(cmd.Context(), p, appOptions{configFile: file, quiet: true})
			if err != nil {
				return err
			}
			defer a.closing(&err)
			engine, err := a.readingEngine(cmd.Context())
			if err != nil {
				return err
			}
			progress := newProgress(p.stderr)
			var result observe.AuditResult
			var left state.Backlog
			err = a.withPauseNotices(cmd.Context(), progress, func(ctx context.Context) (err error) {
				result, left, err = engine.Audit(ctx,
					func(r observe.AuditProgress) { progress.show(describeAudit(r)) },
					func(b state.Backlog) { progress.show(describe(sync.ResyncProgress{Phase: "targets", Backlog: b})) })
				return err
			})
			progress.end()
			return concludeAudit(p.stdout, asJSON, result, left, err)
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return cmd
}

func describeAudit(r observe.AuditProgress) string {
	return fmt.Sprintf("auditing: %d requests, %d windows counted, %d missing, %d new", r.Requests, r.Windows, r.Missing, r.Extra)
}

// auditReport is the output of --json.
type auditReport struct {
	RunID      int64      `json:"run_id"`
	Requests   int        `json:"requests"`
	Windows    int        `json:"windows"`
	Missing    int        `json:"missing"`
	Extra      int        `json:"extra"`
	Hidden     int        `json:"hidden"`
	Suspects   int        `json:"suspects"`
	CompleteAt *time.Time `json:"complete_at"` // null if the audit did not show the mirror to be complete
	Notes      []string   `json:"notes"`
	Error      string     `json:"error,omitempty"`
}

// concludeAudit prints the report, also of a failed audit, and turns the result into an exit code.
func concludeAudit(w io.Writer, asJSON bool, r observe.AuditResult, left state.Backlog, failure error) error {
	if r.RunID == 0 {
		return failure
	}
	if err := printAudit(w, asJSON, r, failure); err != nil {
		return err
	}
	switch {
	case errors.Is(failure, audit.ErrUncountable):
		return fmt.Errorf("%w; run damsync resync to read it in full", failure)
	case failure != nil:
		return failure
	case r.CompleteAt.IsZero():
		return errors.New("the library kept changing while it was counted; run damsync audit again")
	case !r.Found():
		return nil
	}
	text := w
	if asJSON {
		text = io.Discard
	}
	return concludeBacklog(text, left)
}

func printAudit(w io.Writer, asJSON bool, r observe.AuditResult, failure error) error {
	if asJSON {
		report := auditReport{
			RunID: r.RunID, Requests: r.Requests, Windows: r.Windows, Missing: r.Missing, Extra: r.Extra, Hidden: r.Hidden,
			Suspects: r.Suspects, Notes: append([]string{}, r.Notes...),
		}
		if !r.CompleteAt.IsZero() {
			report.CompleteAt = &r.CompleteAt
		}
		if failure != nil {
			report.Error = failure.Error()
		}
		return printJSON(w, report)
	}
	if errors.Is(failure, audit.ErrUncountable) {
		fmt.Fprintf(w, "%d requests, %d windows counted: nothing is inferred\n", r.Requests, r.Windows)
		return nil
	}
	fmt.Fprintf(w, "%d requests, %d windows counted: %d assets missing from the library, %d new to the mirror, %d looked up\n",
		r.Requests, r.Windows, r.Missing, r.Extra, r.Suspects)
	if r.Hidden > 0 {
		fmt.Fprintf(w, "the library counts %d assets that it does not list\n", r.Hidden)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	if !r.CompleteAt.IsZero() {
		fmt.Fprintf(w, "complete as of %s\n", r.CompleteAt.UTC().Format(time.RFC3339))
	}
	return nil
}
