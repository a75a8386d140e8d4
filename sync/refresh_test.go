package sync

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/sync/observe"
	"damsync/sync/plan"
)

// The refresh reads the oldest details that a target needs, finds a change without an event, and writes only the time of
// reading for unchanged details.
func TestRefreshFindsSilentChanges(t *testing.T) {
	w, r := quietWorld(t, worldOptions{specs: []plan.Spec{brandSpec()}, sim: cmpsim.Options{Assets: 200}})
	brand := w.wanted("brand")
	silent := anyOf(brand)
	w.exec(`UPDATE damsync.asset_detail SET read_at = read_at - interval '3 days'`)
	w.sim.SetWebhookFaults(cmpsim.WebhookFaults{Lose: 1})
	alt := "Silent"
	if err := w.sim.SetDetail(silent, cmpsim.Detail{AltText: &alt}); err != nil {
		t.Fatal(err)
	}
	w.sim.ResetCounters()
	w.adapters.calls.Store(0)
	silently := &observe.Refresher{Details: w.store, Budget: unlimited{}, Rules: r.engine.rules, Log: zerolog.Nop()}
	if _, err := silently.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if n := query[int](w, `SELECT count(*) FROM damsync.change WHERE observation = 'refresh' AND field = 'alt_text' AND entity_id = $1`, silent); n != 1 {
		t.Errorf("the silent change is in the log %d times", n)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.change WHERE observation = 'refresh' AND entity_id <> $1`, silent); n > 0 {
		t.Errorf("%d changes of unchanged assets", n)
	}
	if got := w.requests(); got["listAssets"] > 0 || sum(got) < len(brand) {
		t.Errorf("the refresh cost %v", got)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.asset_detail d JOIN damsync.placement p USING (asset_id) WHERE p.desired_present AND d.read_at < now() - interval '1 day'`); n > 0 {
		t.Errorf("%d details that the target needs are old", n)
	}
	w.sim.ResetCounters()
	if _, err := silently.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if got := w.requests(); sum(got) > 0 {
		t.Errorf("details younger than a day were read again: %v", got)
	}
}

// The leader's step refreshes details, and the report shows their age.
func TestRefreshingOnTheLeader(t *testing.T) {
	w, r := quietWorld(t, worldOptions{specs: []plan.Spec{brandSpec()}, sim: cmpsim.Options{Assets: 60}})
	w.exec(`UPDATE damsync.asset_detail SET read_at = read_at - interval '3 days'`)
	w.exec(`UPDATE damsync.asset_fields SET read_at = read_at - interval '3 days'`)
	if _, err := r.engine.refresher.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually("refresh", 30*time.Second, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.asset_detail WHERE read_at > now() - interval '1 hour'`); n == 0 {
			return fmt.Errorf("nothing is read again")
		}
		return nil
	})
	depth, err := w.store.Details(t.Context())
	if err != nil || len(depth.Levels) != 2 || depth.Levels[0].Assets != int64(len(w.wanted("brand"))) {
		t.Errorf("%+v, %v", depth, err)
	}
}

// unlimited is a budget without limits.
type unlimited struct{}

func (unlimited) Allowance(context.Context, grant.Class) (grant.Allowance, error) {
	return grant.Allowance{Today: 1 << 40, Spare: 1 << 40, Until: time.Now().Add(24 * time.Hour)}, nil
}
