package push

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/internal/state"
	"damsync/sync/plan"
)

// However removals trickle in, the guard releases no more within a minute than the limit allows, or than count as single
// edits.
func TestTrickleIsNoWayAroundTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := plan.RemovalLimit{Count: rapid.IntRange(1, 8).Draw(t, "count"), Percent: rapid.Float64Range(1, 100).Draw(t, "percent")}
		objects := rapid.IntRange(1, 40).Draw(t, "objects")
		allowed := max(limit.Allowed(state.Wave{Present: objects}), min(plan.Singles, limit.Count))
		through := 0
		for range rapid.IntRange(1, 20).Draw(t, "removals within a minute") {
			w := state.Wave{Waiting: 1, Recent: through, Present: objects - through, NewestAge: time.Second}
			switch judge(limit).Evaluate(w) {
			case state.GuardHold:
				return
			case state.GuardRelease:
				through++
			}
			if through > allowed {
				t.Fatalf("%d of %d objects went within a minute, %d are allowed", through, objects, allowed)
			}
		}
	})
}
