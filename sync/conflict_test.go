package sync

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
	"damsync/sync/plan"
)

// titledSpec places assets under their titles, so that titles can collide.
func titledSpec() plan.Spec {
	return plan.Spec{
		Name: "titled", Select: plan.Select{Types: []string{"image"}, Folders: []string{"/Empty"}},
		Path: `{asset.title}.bin`, RemovalLimit: plan.RemovalLimit{Count: 1000},
	}
}

func (w *world) addTitled(titles ...string) []string {
	w.Helper()
	ids := make([]string, 0, len(titles))
	for _, title := range titles {
		id, err := w.sim.AddAsset(cmpsim.NewAsset{Title: title, Folder: "/Empty"})
		if err != nil {
			w.Fatalf("%v", err)
		}
		ids = append(ids, id)
	}
	return ids
}

// placed waits until the target holds exactly these assets at these paths.
func (w *world) placed(want map[string]string) {
	w.Helper()
	last := time.Now()
	w.eventually("placement", 30*time.Second, func() error {
		if time.Since(last) > time.Second {
			w.endBackoffs()
			last = time.Now()
		}
		held, err := w.held("titled")
		if err != nil {
			return err
		}
		for id, path := range want {
			if held[id].Path != path {
				return fmt.Errorf("asset %s is at %q, want %q", id, held[id].Path, path)
			}
		}
		if len(held) != len(want) {
			return fmt.Errorf("%d files, want %d", len(held), len(want))
		}
		return nil
	})
}

func titled(t *testing.T, titles ...string) (*world, []string) {
	t.Helper()
	w := newWorld(t, t, worldOptions{specs: []plan.Spec{titledSpec()}, schedule: &Schedule{}})
	t.Cleanup(w.close)
	w.start()
	return w, w.addTitled(titles...)
}

// Assets that swap paths converge: one of them is moved aside for a moment.
func TestAssetsSwapPaths(t *testing.T) {
	w, ids := titled(t, "a", "b", "c")
	w.placed(map[string]string{ids[0]: "a.bin", ids[1]: "b.bin", ids[2]: "c.bin"})
	err := errors.Join(w.sim.EditTitle(ids[0], "b"), w.sim.EditTitle(ids[1], "c"), w.sim.EditTitle(ids[2], "a"))
	if err != nil {
		t.Fatal(err)
	}
	w.placed(map[string]string{ids[0]: "b.bin", ids[1]: "c.bin", ids[2]: "a.bin"})
}

// The second of two assets with the same path is a visible conflict. It gets the path when it becomes free.
func TestConflictIsVisibleAndEnds(t *testing.T) {
	w, ids := titled(t, "same")
	w.placed(map[string]string{ids[0]: "same.bin"})
	second := w.addTitled("same")[0]
	w.eventually("conflict", time.Minute, func() error {
		if n := query[int](w, `SELECT count(*) FROM damsync.placement WHERE asset_id = $1 AND error_class = 'conflict'`, second); n != 1 {
			return errors.New("no conflict is recorded")
		}
		return nil
	})
	w.placed(map[string]string{ids[0]: "same.bin"})
	if err := w.sim.DeleteAsset(ids[0]); err != nil {
		t.Fatal(err)
	}
	w.placed(map[string]string{second: "same.bin"})
}

// A target that was removed from the configuration is left alone.
func TestRemovedTargetIsLeftAlone(t *testing.T) {
	w := newWorld(t, t, worldOptions{schedule: &Schedule{}})
	t.Cleanup(w.close)
	r := w.start()
	w.converge()
	before, err := w.held("photos")
	if err != nil || len(before) == 0 {
		t.Fatalf("%d files, %v", len(before), err)
	}
	r.stop()
	w.specs = slices.DeleteFunc(w.specs, func(s plan.Spec) bool { return s.Name == "photos" })
	w.start()
	for id := range before {
		if err := w.sim.DeleteAsset(id); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually("removal", time.Minute, func() error { return errors.Join(w.workLeft(), w.targetsEqual()) })
	if after, err := w.held("photos"); err != nil || len(after) != len(before) {
		t.Errorf("%d of %d files are left, %v", len(after), len(before), err)
	}
}

// A rule with a name that the library lacks neither pushes nor removes anything, while the others run. It runs again when
// the library has the name.
func TestRuleWithAnUnknownName(t *testing.T) {
	w := newWorld(t, t, worldOptions{schedule: &Schedule{}})
	t.Cleanup(w.close)
	r := w.start()
	w.converge()
	held, err := w.held("brand")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.sim.RenameLabel("Status", "Approved", "Released"); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.references.Refresh(t.Context(), "manual"); err != nil {
		t.Fatal(err)
	}
	w.sweep(r)
	if after, err := w.held("brand"); err != nil || len(after) != len(held) || len(w.adapters.retirements()) > 0 {
		t.Fatalf("%d of %d files are left, %v", len(after), len(held), err)
	}
	if problem := query[string](w, `SELECT problem FROM damsync.target WHERE name = 'brand'`); problem == "" {
		t.Error("the problem is not visible")
	}
	if err := w.sim.RenameLabel("Status", "Released", "Approved"); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.EditTitle(anyOf(held), "While the rule did not run"); err != nil {
		t.Fatal(err)
	}
	if err := r.engine.references.Refresh(t.Context(), "manual"); err != nil {
		t.Fatal(err)
	}
	w.recoverAndConverge()
	if got := w.adapters.retirements(); len(got) > 0 {
		t.Errorf("retired %v", got)
	}
}

// An asset is retired at its expiry without any event.
func TestExpiryActsByItself(t *testing.T) {
	w, _ := quietWorld(t, worldOptions{sim: cmpsim.Options{Behavior: cmpsim.Behavior{EventsOnDetails: true}}})
	id := anyOf(w.wanted("brand"))
	at := time.Now().Add(2 * time.Second).Truncate(time.Second).Add(time.Second)
	if err := w.sim.SetDetail(id, cmpsim.Detail{ExpiresAt: &at}); err != nil {
		t.Fatal(err)
	}
	w.eventually("expiry", time.Minute, func() error {
		held, err := w.held("brand")
		if _, there := held[id]; there || err != nil {
			return errors.Join(errors.New("it is still there"), err)
		}
		return nil
	})
	if early := time.Until(at); early > 0 {
		t.Errorf("it was retired %s before its expiry", early)
	}
}
