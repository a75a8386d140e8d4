package sync

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/plan"
)

// The oldest details that a target relies on are read again; a change that no event told of is found, and what
// has not changed writes nothing but when it was read.
func TestRefreshFindsSilentChanges(t *testing.T) {
	w, r := quiet(t, worldOptions{specs: []plan.Spec{brandSpec()}, sim: cmpsim.Options{Assets: 200}})
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
	relied := query[int](w, `SELECT count(*) FROM damsync.asset_detail`)
	var after state.LastReading
	if err := r.engine.refresh(t.Context(), &after, relied); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if n := query[int](w, `SELECT count(*) FROM damsync.change WHERE observation = 'refresh' AND field = 'alt_text' AND entity_id = $1`, silent); n != 1 {
		t.Errorf("the silent change is in the log %d times", n)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.change WHERE observation = 'refresh' AND entity_id <> $1`, silent); n > 0 {
		t.Errorf("%d changes of what had not changed", n)
	}
	if got := w.requests(); got["listAssets"] > 0 || sum(got) < len(brand) {
		t.Errorf("the refresh cost %v", got)
	}
	if n := query[int](w, `SELECT count(*) FROM damsync.asset_detail d JOIN damsync.placement p USING (asset_id) WHERE p.desired_present AND d.read_at < now() - interval '1 day'`); n > 0 {
		t.Errorf("%d details that the target relies on are old", n)
	}
	w.sim.ResetCounters()
	after = state.LastReading{}
	if err := r.engine.refresh(t.Context(), &after, relied); err != nil {
		t.Fatal(err)
	}
	w.converge()
	if got := w.requests(); sum(got) > 0 {
		t.Errorf("what is younger than a day was read again: %v", got)
	}
}

// The leader does it by itself, and the report tells the age.
func TestRefreshingOnTheLeader(t *testing.T) {
	w, r := quiet(t, worldOptions{specs: []plan.Spec{brandSpec()}, sim: cmpsim.Options{Assets: 60}})
	w.exec(`UPDATE damsync.asset_detail SET read_at = read_at - interval '3 days'`)
	w.exec(`UPDATE damsync.asset_fields SET read_at = read_at - interval '3 days'`)
	var after state.LastReading
	if _, err := r.engine.refreshStep(t.Context(), &after); err != nil {
		t.Fatal(err)
	}
	w.eventually("refresh", 30*time.Second, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.asset_detail WHERE read_at > now() - interval '1 hour'`); n == 0 {
			return fmt.Errorf("nothing is read again")
		}
		return nil
	})
	depth, err := w.store.Depth(t.Context())
	if err != nil || len(depth.Levels) != 2 || depth.Levels[0].Assets != int64(len(w.wanted("brand"))) {
		t.Errorf("%+v, %v", depth, err)
	}
}

// The refresh never takes more of a day than its share, however often it asks.
func TestRefreshRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
		end := now.AddDate(0, 0, 1)
		now = now.Add(time.Duration(rapid.IntRange(0, 1439).Draw(t, "minute")) * time.Minute)
		surplus, per := rapid.Int64Range(0, 200_000).Draw(t, "surplus"), rapid.Int64Range(1, 2).Draw(t, "per asset")
		spent := int64(0)
		for now.Before(end) {
			n, wait := refreshRoom(grant.Allowance{Surplus: surplus - spent, Today: surplus - spent, Until: end}, now, per)
			if n < 0 || wait <= 0 {
				t.Fatalf("%d assets, wait %s", n, wait)
			}
			spent += int64(n) * per
			now = now.Add(wait)
		}
		if spent > surplus {
			t.Fatalf("%d of %d were spent", spent, surplus)
		}
	})
}
