package sync

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A database restored from an older copy continues above the generations that its targets hold, without help.
func TestRestoredDatabaseOvertakesItsTargets(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{})
	for id := range w.wanted("brand") { // the targets hold more generations than the copy knows
		if err := w.sim.EditTitle(id, "before the copy of "+id); err != nil {
			t.Fatal(err)
		}
	}
	w.delivered()
	w.exec(`UPDATE damsync.placement SET desired_generation = 1, applied_generation = 1`)
	w.exec(`SELECT setval('damsync.generation', 1)`)
	for id := range w.wanted("brand") {
		if err := w.sim.EditTitle(id, "after the copy of "+id); err != nil {
			t.Fatal(err)
		}
	}
	w.delivered()
}

// An implausible mark fails only its own asset, with a reason.
func TestSpoiltMarkFailsItsAssetAlone(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{})
	files := w.wanted("brand")
	id := anyOf(files)
	spoil(t, filepath.Join(w.root("brand"), files[id].Path+".damsync.json"))
	for _, edited := range []string{id, anyBut(files, id)} {
		if err := w.sim.EditTitle(edited, "edited "+edited); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("only the implausible asset fails", time.Minute, func() error {
		got := query[string](w, `SELECT coalesce(string_agg(concat_ws(' ', target, asset_id, error_class), ', '), '') FROM report.placements
			WHERE state NOT IN ('in_sync', 'removed')`)
		if want := "brand " + id + " invalid"; got != want {
			return fmt.Errorf("not in sync: %q, want %q", got, want)
		}
		return nil
	})
}

func anyBut(files map[string]file, not string) string {
	for id := range files {
		if id != not {
			return id
		}
	}
	return ""
}

// spoil sets the generation of a mark to the highest possible one.
func spoil(t *testing.T, sidecar string) {
	t.Helper()
	text, err := os.ReadFile(sidecar)
	if err != nil {
		t.Fatal(err)
	}
	var mark map[string]any
	if err := json.Unmarshal(text, &mark); err != nil {
		t.Fatal(err)
	}
	mark["generation"] = int64(math.MaxInt64)
	if text, err = json.Marshal(mark); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sidecar, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
