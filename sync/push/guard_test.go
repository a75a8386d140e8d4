package push

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"damsync/dam"
	"damsync/internal/state"
	"damsync/sync/loop"
	"damsync/sync/plan"
	"damsync/sync/roomtest"
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
			switch guardLimit(limit).Evaluate(w) {
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

// planned says which rules are not planned for all assets.
type planned struct{ stale []*plan.Target }

func (p planned) Stale(context.Context) ([]*plan.Target, int64, error) { return p.stale, 1, nil }

// guarded is a room with a guard and a target that holds n assets.
func guarded(t *testing.T, n int) (*room, *Guard) {
	t.Helper()
	r := newRoom(t, plan.RemoveDelete)
	want := map[string]state.Desired{}
	for _, id := range numbered(n) {
		want[id] = roomtest.At(id, "v1", id)
	}
	r.want(want)
	inForce := func() []*plan.Target { return []*plan.Target{r.pusher.Target.Rule} }
	return r, &Guard{
		Store: r.Database, Planned: planned{}, InForce: inForce, Wakeup: loop.NewWakeup(), SlowPoll: time.Hour, Log: zerolog.Nop(),
	}
}

func numbered(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("asset-%02d", i)
	}
	return ids
}

// plannedAgo makes the waiting removals as old as ago.
func (r *room) plannedAgo(ago time.Duration) {
	r.t.Helper()
	r.Exec(`UPDATE damsync.placement SET desired_at = clock_timestamp() - $1::interval WHERE guard = 'waiting'`, ago)
}

func (r *room) evaluate(g *Guard) time.Duration {
	r.t.Helper()
	wait, err := g.Evaluate(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return wait
}

func TestGuardEvaluatesWaves(t *testing.T) {
	const objects = 40 // of which 10 percent may go
	for name, test := range map[string]struct {
		removals int
		age      time.Duration
		stale    bool
		guard    string
		left     int
	}{
		"a small wave is released":                  {3, time.Second, false, "open", objects - 3},
		"a wave over the limit is held whole":       {20, time.Second, false, "held", objects},
		"a wave that may grow waits":                {3, -time.Hour, false, "waiting", objects},
		"a wave over the limit does not wait":       {20, -time.Hour, false, "held", objects},
		"a target that is not planned whole waits":  {3, time.Second, true, "waiting", objects},
		"a big wave of a half-planned target waits": {20, time.Second, true, "waiting", objects},
	} {
		t.Run(name, func(t *testing.T) {
			r, g := guarded(t, objects)
			if test.stale {
				g.Planned = planned{g.InForce()}
			}
			r.Remove(true, numbered(test.removals)...)
			r.push() // nothing goes before the guard has answered
			r.plannedAgo(test.age)
			r.evaluate(g)
			if n := roomtest.Query[int](r.Database, `SELECT count(*) FROM damsync.placement WHERE NOT desired_present AND guard = $1`, test.guard); n != test.removals {
				t.Errorf("%d of %d removals are %s", n, test.removals, test.guard)
			}
			r.push()
			if paths, err := r.target.Paths(t.Context()); err != nil || len(paths) != test.left {
				t.Errorf("the target holds %d objects, %v, want %d", len(paths), err, test.left)
			}
		})
	}
}

// A wave is not evaluated while it may still grow, and looked at again as soon as it may not.
func TestGuardLooksAgain(t *testing.T) {
	r, g := guarded(t, 40)
	if wait := r.evaluate(g); wait != g.SlowPoll {
		t.Errorf("without removals it looks again after %s", wait)
	}
	r.Remove(true, numbered(2)...)
	r.plannedAgo(-10 * time.Minute)
	if wait := r.evaluate(g); wait < 9*time.Minute || wait > 10*time.Minute+guardDelay+time.Second {
		t.Errorf("it looks again after %s, want when the newest removal has waited long enough", wait)
	}
}

// While a wave is held, later removals are held with it, until a person approves them all.
func TestHeldWaveGrowsUntilItIsApproved(t *testing.T) {
	r, g := guarded(t, 40)
	all := numbered(40)
	r.Remove(true, all[:20]...)
	r.plannedAgo(time.Minute)
	r.evaluate(g)
	r.Remove(true, all[20])
	r.plannedAgo(time.Minute)
	r.evaluate(g)
	wave, err := r.Held(t.Context(), roomtest.Target, 5)
	if err != nil || len(wave.AssetIDs) != 21 {
		t.Fatalf("%d removals are held, %v", len(wave.AssetIDs), err)
	}
	if approved, left, err := r.Approve(t.Context(), roomtest.Target, wave); approved != 21 || left != 0 || err != nil {
		t.Fatalf("approved %d, %d left, %v", approved, left, err)
	}
	r.push()
	for i, id := range all {
		if got := r.at(id).State; (got == dam.Absent) != (i <= 20) {
			t.Errorf("asset %s is %s", id, got)
		}
	}
}
