package cmpsim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// Editor plays a person who works in one folder: uploads, titles, approvals,
// moves, new versions, deletions. The same seed over the same library gives the
// same steps, so that demos and random histories can be repeated. It is not safe
// for concurrent use.
type Editor struct {
	sim     *Simulator
	r       *rand.Rand
	folder  string
	n       int
	trashed []string
}

// Step is what an Editor did.
type Step struct {
	Verb    string `json:"verb"` // as in POST /edit
	AssetID string `json:"asset_id,omitempty"`
	Text    string `json:"text"` // for people
}

// NewEditor returns an editor who works under a folder, given by its path.
func (s *Simulator) NewEditor(folder string, seed int64) *Editor {
	return &Editor{sim: s, r: newRand(seed, "editor "+folder, 0), folder: folder}
}

// Step does one edit.
func (e *Editor) Step() (Step, error) {
	e.n++
	a, found := e.pick()
	if !found {
		return e.add()
	}
	switch n := e.r.IntN(100); {
	case n < 25:
		return e.add()
	case n < 40:
		title := someTitle(e.r, uint32(e.n))
		return e.did("edit_title", a, "renames %q to %q", a.title, title)(e.sim.EditTitle(a.id, title))
	case n < 60:
		return e.label(a, "Approved")
	case n < 68:
		return e.label(a, []string{"Draft", "Rejected"}[e.r.IntN(2)])
	case n < 75:
		return e.move(a)
	case n < 85:
		return e.did("new_version", a, "uploads a new version of %q", a.title)(e.sim.NewVersion(a.id, 0))
	case n < 90:
		tags := []string{tagWords()[e.r.IntN(len(tagWords()))]}
		return e.did("set_detail", a, "tags %q with %q", a.title, tags[0])(e.sim.SetDetail(a.id, Detail{Tags: &tags}))
	case n < 93:
		return e.did("archive", a, "archives %q", a.title)(e.sim.Archive(a.id, true))
	case n < 97 || len(e.trashed) == 0:
		e.trashed = append(e.trashed, a.id)
		return e.did("delete_asset", a, "deletes %q", a.title)(e.sim.DeleteAsset(a.id))
	default:
		return e.restore()
	}
}

// picked is a copy of what a step needs of an asset.
type picked struct{ id, title string }

// pick chooses a file asset under the folder, each with the same chance. The choice does not depend
// on the order of the list, which the clock decides.
func (e *Editor) pick() (picked, bool) {
	s := e.sim
	s.mu.RLock()
	defer s.mu.RUnlock()
	top, err := s.lib.findFolder(e.folder)
	if err != nil {
		return picked{}, false
	}
	var chosen *asset
	var lowest uint64
	key := e.r.Uint64()
	for a := range s.lib.modified.span(0, s.lib.modified.n) {
		if !a.kind.isFile() || !a.folder.within(top) {
			continue
		}
		if n := mix(key + uint64(a.ordinal)); chosen == nil || n < lowest {
			chosen, lowest = a, n
		}
	}
	if chosen == nil {
		return picked{}, false
	}
	return picked{chosen.id, chosen.title}, true
}

func (e *Editor) did(verb string, a picked, format string, args ...any) func(error) (Step, error) {
	return func(err error) (Step, error) {
		if err != nil {
			return Step{}, fmt.Errorf("editor's step %d: %w", e.n, err)
		}
		return Step{verb, a.id, fmt.Sprintf(format, args...)}, nil
	}
}

func (e *Editor) add() (Step, error) {
	title := someTitle(e.r, uint32(e.n))
	status := []string{"Draft", "Approved"}[e.r.IntN(2)]
	id, err := e.sim.AddAsset(NewAsset{
		Title: title, Folder: e.somewhere(), Labels: map[string][]string{"Status": {status}},
		Detail: Detail{AltText: &title},
	})
	return e.did("add_asset", picked{id, title}, "uploads %q (%s)", title, status)(err)
}

func (e *Editor) label(a picked, status string) (Step, error) {
	err := e.sim.SetLabels(a.id, map[string][]string{"Status": {status}})
	return e.did("set_labels", a, "marks %q as %s", a.title, status)(err)
}

func (e *Editor) move(a picked) (Step, error) {
	to := e.somewhere()
	return e.did("move_asset", a, "moves %q to %s", a.title, to)(e.sim.MoveAsset(a.id, to))
}

func (e *Editor) restore() (Step, error) {
	id := e.trashed[len(e.trashed)-1]
	e.trashed = e.trashed[:len(e.trashed)-1]
	return e.did("restore_asset", picked{id: id}, "restores %s", id)(e.sim.RestoreAsset(id))
}

// somewhere is the folder or one below it.
func (e *Editor) somewhere() string {
	var below []string
	for _, f := range e.sim.Folders() {
		if f.Path == e.folder || strings.HasPrefix(f.Path, e.folder+"/") {
			below = append(below, f.Path)
		}
	}
	if len(below) == 0 {
		return "/"
	}
	return below[e.r.IntN(len(below))]
}

// editorDesk keeps the editors of the control API, so that asking the same one
// again goes on where it stopped.
type editorDesk struct {
	mu   sync.Mutex
	sim  *Simulator
	desk map[editorKey]*Editor
}

type editorKey struct {
	Folder string `json:"folder"`
	Seed   int64  `json:"seed"`
}

type editorOrder struct {
	editorKey
	Steps int `json:"steps"`
}

// work does the steps asked for, at least one, and returns them.
func (d *editorDesk) work(o editorOrder) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.Folder = cmp.Or(o.Folder, "/Brand")
	e, ok := d.desk[o.editorKey]
	if !ok {
		e = d.sim.NewEditor(o.Folder, o.Seed)
		d.desk[o.editorKey] = e
	}
	var done []Step
	for range max(o.Steps, 1) {
		s, err := e.Step()
		if err != nil {
			return nil, err
		}
		done = append(done, s)
	}
	return done, nil
}
