package sync

import (
	"context"
	"time"

	"damsync/internal/state"
	"damsync/sync/rules"
)

// Cost evaluates the rules on the mirror as if no detail had been read. It sends no request, writes nothing, and takes
// as long as Plan. A target that does not run, because its rule names something the library does not have, costs
// nothing.
func (e *Engine) Cost(ctx context.Context) (rules.Cost, error) {
	if err := e.planner.UseKnown(ctx); err != nil {
		return rules.Cost{}, err
	}
	c := e.rules.NewCost()
	var now time.Time // the database's
	clock := func(at time.Time, _ state.Snapshot) state.Decisions { now = at; return state.Decisions{} }
	err := e.stores.Preview.Preview(ctx, clock, func(k state.Snapshot, _ state.Decisions) error {
		c.Add(now, k)
		return nil
	})
	return c, err
}
