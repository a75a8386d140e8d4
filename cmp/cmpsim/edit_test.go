package cmpsim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

func ptr[T any](v T) *T { return &v }

// Which edits move modified_at and which send asset_modified decides what a mirror can notice. Where
// that is not documented, Behavior must decide it.
func TestEffectsOfEdits(t *testing.T) {
	quiet := cmpsim.Behavior{SilentDetails: true, SilentFields: true}
	loud := cmpsim.Behavior{EventsOnDetails: true}
	for _, c := range []struct {
		name                      string
		edit                      func(*cmpsim.Simulator, string) error
		moved, event              bool // by default
		movedQuietly, eventLoudly bool
	}{
		{"title", func(s *cmpsim.Simulator, id string) error { return s.EditTitle(id, "t") }, true, true, true, true},
		{"labels", func(s *cmpsim.Simulator, id string) error {
			return s.SetLabels(id, map[string][]string{"Status": {"Rejected"}})
		}, true, true, true, true},
		{"folder", func(s *cmpsim.Simulator, id string) error { return s.MoveAsset(id, "/Press/Kits") }, true, true, true, true},
		{"version", func(s *cmpsim.Simulator, id string) error { return s.NewVersion(id, 0) }, true, true, true, true},
		{"description", func(s *cmpsim.Simulator, id string) error {
			return s.SetDetail(id, cmpsim.Detail{Description: ptr("d")})
		}, true, true, true, true},
		{"tags", func(s *cmpsim.Simulator, id string) error {
			return s.SetDetail(id, cmpsim.Detail{Tags: ptr([]string{"x"})})
		}, true, false, false, true},
		{"expiry", func(s *cmpsim.Simulator, id string) error {
			return s.SetDetail(id, cmpsim.Detail{ExpiresAt: ptr(time.Unix(2e9, 0))})
		}, true, false, false, true},
		{"archive", func(s *cmpsim.Simulator, id string) error { return s.Archive(id, true) }, true, false, false, true},
		{"field", func(s *cmpsim.Simulator, id string) error { return s.SetField(id, "Rights", "Owned") }, true, false, false, true},
	} {
		for _, mode := range []struct {
			name         string
			behavior     cmpsim.Behavior
			moved, event bool
		}{
			{"by default", cmpsim.Behavior{}, c.moved, c.event},
			{"when silent", quiet, c.movedQuietly, c.event},
			{"with events", loud, c.moved, c.eventLoudly},
		} {
			t.Run(c.name+" "+mode.name, func(t *testing.T) {
				b := start(t, func(o *cmpsim.Options) { o.Assets, o.Behavior = 50, mode.behavior })
				r := receive(t, b, always(200))
				id := b.oneOf("image").ID
				before, _ := b.sim.Asset(id)
				must(t, c.edit(b.sim, id))
				b.delivered()
				after, _ := b.sim.Asset(id)
				if moved := after.ModifiedAt.After(before.ModifiedAt); moved != mode.moved {
					t.Errorf("modified_at moved: %v, want %v", moved, mode.moved)
				}
				if sent := len(r.got()); (sent == 1) != mode.event {
					t.Errorf("%d events sent, want one: %v", sent, mode.event)
				}
			})
		}
	}
}

// Everything below a renamed folder shows its new name, but no modified_at moves and no webhook is
// sent.
func TestFolderEditsAreSilent(t *testing.T) {
	b := start(t, nil)
	r := receive(t, b, always(200))
	before := map[string]cmpsim.Asset{}
	all, err := b.sim.Assets(0, 0, false)
	must(t, err)
	for _, a := range all {
		before[a.ID] = a
	}
	must(t, b.sim.RenameFolder("/Brand/Logos", "Marks"))
	must(t, b.sim.MoveFolder("/Brand/Marks", "/Press"))
	moved := 0
	all, err = b.sim.Assets(0, 0, false)
	must(t, err)
	for _, a := range all {
		old := before[a.ID]
		if a.ModifiedAt != old.ModifiedAt {
			t.Fatalf("%s: modified_at moved", a.ID)
		}
		if a.Folder != strings.Replace(old.Folder, "/Brand/Logos", "/Press/Marks", 1) {
			t.Fatalf("%s: %s became %s", a.ID, old.Folder, a.Folder)
		}
		if a.Folder != old.Folder {
			moved++
		}
	}
	b.delivered()
	if moved == 0 || len(r.got()) != 0 {
		t.Errorf("%d moved, %d events", moved, len(r.got()))
	}
}

func TestTrashAndRestore(t *testing.T) {
	b := start(t, nil)
	a := b.oneOf("image")
	must(t, b.sim.DeleteAsset(a.ID))
	if got, _ := b.status("GET", "/images/"+a.ID, nil); got != 404 {
		t.Errorf("detail of a deleted asset: %d", got)
	}
	if got := b.get("/assets").num("total_count"); got != 599 {
		t.Errorf("total %v", got)
	}
	if b.fileURL(a.ID) != "" {
		t.Error("a deleted asset has a file URL")
	}
	if err := b.sim.DeleteAsset(a.ID); !errors.Is(err, cmpsim.ErrNotFound) {
		t.Errorf("second deletion: %v", err)
	}
	must(t, b.sim.RestoreAsset(a.ID))
	if now, err := b.sim.Asset(a.ID); err != nil || now.Title != a.Title || now.CreatedAt != a.CreatedAt {
		t.Errorf("restored %+v, %v", now, err)
	}
}

func TestLibraryIsDeterministic(t *testing.T) {
	c := newClock()
	made := func(seed int64) []cmpsim.Asset {
		all, err := cmpsim.New(cmpsim.Options{Seed: seed, Assets: 300, Now: c.now}).Assets(0, 0, true)
		must(t, err)
		return all
	}
	one, two, other := made(1), made(1), made(2)
	kinds := map[string]bool{}
	for i := range one {
		if one[i].ID != two[i].ID || one[i].SHA256 != two[i].SHA256 || one[i].ModifiedAt != two[i].ModifiedAt {
			t.Fatalf("asset %d differs", i)
		}
		kinds[one[i].Type] = true
	}
	if one[0].ID == other[0].ID || len(kinds) != 5 {
		t.Errorf("kinds %v, same id under another seed: %v", kinds, one[0].ID == other[0].ID)
	}
}
