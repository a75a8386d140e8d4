package sync

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A put that a crash cut short between file and sidecar leaves nothing behind when
// the asset is gone before somebody comes back to it.
func TestRemovalAfterACrashInAPut(t *testing.T) {
	w, _ := quiet(t, worldOptions{})
	id := anyOf(w.wanted("photos"))
	if err := os.Remove(filepath.Join(w.root("photos"), w.wanted("photos")[id].Path+".damsync.json")); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE damsync.placement SET applied_state = 'absent', applied_path = '', applied_generation = 0,
		intent_generation = desired_generation, intent_path = desired_path, next_attempt_at = clock_timestamp() + interval '1 minute'
		WHERE target = 'photos' AND asset_id = $1`, id)
	if err := w.sim.DeleteAsset(id); err != nil {
		t.Fatal(err)
	}
	w.converge()
}

// An upload that was begun for an asset which then leaves is given up at the target: the
// record of it ends with the removal.
func TestUploadOfALeavingAssetIsAbandoned(t *testing.T) {
	w, _ := quiet(t, worldOptions{})
	id := anyOf(w.wanted("photos"))
	w.exec(`UPDATE damsync.placement SET upload_session = 'half of it' WHERE asset_id = $1 AND target = 'photos'`, id)
	if err := w.sim.DeleteAsset(id); err != nil {
		t.Fatal(err)
	}
	w.eventually("the asset leaves", 2*time.Minute, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.placement WHERE asset_id = $1 AND target = 'photos' AND applied_state = 'present'`, id); n != 0 {
			return errors.New("it is there still")
		}
		return nil
	})
	if got := w.adapters.abandoned(); !slices.Equal(got, []string{"half of it"}) {
		t.Errorf("abandoned: %q", got)
	}
}
