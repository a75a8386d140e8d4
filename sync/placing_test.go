package sync

import (
	"os"
	"path/filepath"
	"testing"
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
