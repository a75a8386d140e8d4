package sync

import (
	"context"
	"errors"
	"testing"
	"time"

	"damsync/cmp"
	"damsync/cmp/cmpsim"
)

// byHand resyncs with an engine of its own beside the world's daemon. A resync that takes minutes waits for something
// that it should not wait for.
func (w *world) byHand(o ResyncOptions) (ResyncResult, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	result, err := w.replica().engine.Resync(ctx, o)
	if ctx.Err() != nil {
		w.Fatalf("the resync did not end: %+v, %v\n%s", result, err, head(w.state(), 4000))
	}
	return result, err
}

func (w *world) fault(f cmpsim.Fault) {
	w.Helper()
	if _, err := w.sim.AddFault(f); err != nil {
		w.Fatalf("%v", err)
	}
}

// The resync of one asset waits neither for other lookups nor for failures of other assets.
func TestResyncOfOneAssetWaitsForNothingElse(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{})
	files := w.wanted("brand")
	id := anyOf(files)
	other := anyBut(files, id)
	w.fault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 403, Path: "/v3/images/" + other})
	w.stuckLookup("stuck before")
	result, err := w.byHand(ResyncOptions{AssetID: id})
	if b := result.Backlog; err != nil || b.LookupsFailed+b.Failed+b.Undecided > 0 {
		t.Errorf("%+v, %v", result, err)
	}
	result, err = w.byHand(ResyncOptions{AssetID: other})
	if err != nil || result.Backlog.LookupsFailed != 1 {
		t.Errorf("an asset that cannot be read: %+v, %v", result, err)
	}
}

// stuckLookup adds a lookup that another process has leased.
func (w *world) stuckLookup(id string) {
	w.Helper()
	w.exec(`INSERT INTO damsync.lookup (asset_id, asset_type, self, class, urgency, observation, lease_owner, lease_until)
		VALUES ($1, '', '', 'sweep', 5, 'sweep', 'another process', clock_timestamp() + interval '50 minutes')`, id)
}

// A resync ends although new work arrives and one asset keeps failing.
func TestResyncWaitsForItsOwnWork(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{})
	id := anyOf(w.wanted("brand"))
	w.fault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: 403, Path: "/v3/images/" + id})
	busy := false
	result, err := w.byHand(ResyncOptions{Full: true, Progress: func(p ResyncProgress) {
		if p.Phase == "targets" && !busy {
			busy = true
			w.stuckLookup("requested later")
		}
	}})
	if err != nil || !busy || result.Backlog.LookupsFailed != 1 {
		t.Errorf("%+v, %v", result, err)
	}
}

// A rejected login and an unavailable library end a resync with the reason.
func TestResyncEndsWithTheReason(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		want   error
	}{
		"login rejected": {401, cmp.ErrAuth},
		"outage":         {500, cmp.ErrTemporary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := quietWorld(t, worldOptions{})
			w.fault(cmpsim.Fault{Kind: cmpsim.FaultStatus, Status: test.status, Path: "/v3/images/*"})
			result, err := w.byHand(ResyncOptions{Full: true, Patience: time.Millisecond})
			if !errors.Is(err, test.want) {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}
