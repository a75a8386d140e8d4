package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// decisionFailures collects the rules that failed on single assets, for people to see. Such a failure changes no
// placement.
type decisionFailures struct {
	target, asset, reason []string
}

func (f *decisionFailures) add(asset string, failed []state.DecisionFailure) {
	for _, d := range failed {
		f.target, f.asset, f.reason = append(f.target, d.Target), append(f.asset, asset), append(f.reason, cleanText(d.Reason))
	}
}

// write replaces what is recorded for the assets that were evaluated.
func (f *decisionFailures) write(ctx context.Context, tx pgx.Tx, evaluated []string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM damsync.decision_failure WHERE asset_id = ANY($1)`, evaluated); err != nil {
		return fmt.Errorf("clear decision failures: %w", err)
	}
	if len(f.asset) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `INSERT INTO damsync.decision_failure (target, asset_id, reason)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[])`, f.target, f.asset, f.reason)
	if err != nil {
		return fmt.Errorf("record decision failures: %w", err)
	}
	return nil
}
