package cmpsim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
)

// Editor simulates a person that works in one folder: uploads, titles, approvals, moves, new
// versions, deletions. The same seed over the same library gives the same steps, so that demos and
// random histories can be repeated. It is not safe for concurrent use.
type Editor struct {
	lib     *Library
	r       *rand.Rand
	folder  string
	n       int // steps so far
	trashed []string
}

// Step is one edit of an Editor.
type Step struct {
	Verb    string `json:"verb"` // of POST /edit
	AssetID string `json:"asset_id,omitempty"`
	Text    string `json:"text"` // for people, such as: renames "A" to "B"
}

// NewEditor returns an Editor for a folder, given by its path, and the folders below it.
func (l *Library) NewEditor(folder string, seed int64) *Editor {
	return &Editor{lib: l, r: newRand(seed, "editor "+folder, 0), folder: folder}
}

// Step makes one edit.
func (e *Editor) Step() (Step, error) {
	e.n++
	a, ok := e.chooseFile()
	if !ok {
		return e.upload()
	}
	switch n := e.r.IntN(100); {
	case n < 25:
		return e.upload()
	case n < 40:
		title := someTitle(e.r, uint32(e.n))
		return e.done("edit_title", a.id, e.lib.EditTitle(a.id, title), "renames %q to %q", a.title, title)
	case n < 60:
		return e.label(a, "Approved")
	case n < 68:
		return e.label(a, pickFrom(e.r, []string{"Draft", "Rejected"}))
	case n < 75:
		to := e.chooseFolder()
		return e.done("move_asset", a.id, e.lib.MoveAsset(a.id, to), "moves %q to %s", a.title, to)
	case n < 85:
		return e.done("new_version", a.id, e.lib.NewVersion(a.id, 0), "uploads a new version of %q", a.title)
	case n < 90:
		tags := []string{pickFrom(e.r, tagWords())}
		return e.done("set_detail", a.id, e.lib.SetDetail(a.id, Detail{Tags: &tags}), "tags %q with %q", a.title, tags[0])
	case n < 93:
		return e.done("archive", a.id, e.lib.Archive(a.id, true), "archives %q", a.title)
	case n < 97 || len(e.trashed) == 0:
		e.trashed = append(e.trashed, a.id)
		return e.done("delete_asset", a.id, e.lib.DeleteAsset(a.id), "deletes %q", a.title)
	default:
		id := e.trashed[len(e.trashed)-1]
		e.trashed = e.trashed[:len(e.trashed)-1]
		return e.done("restore_asset", id, e.lib.RestoreAsset(id), "restores %s", id)
	}
}

// done returns what an edit did, or its error.
func (e *Editor) done(verb, id string, err error, format string, args ...any) (Step, error) {
	if err != nil {
		return Step{}, fmt.Errorf("step %d of the editor: %w", e.n, err)
	}
	return Step{verb, id, fmt.Sprintf(format, args...)}, nil
}

func (e *Editor) upload() (Step, error) {
	title := someTitle(e.r, uint32(e.n))
	status := pickFrom(e.r, []string{"Draft", "Approved"})
	id, err := e.lib.AddAsset(NewAsset{
		Title: title, Folder: e.chooseFolder(), Labels: map[string][]string{"Status": {status}},
		Detail: Detail{AltText: &title},
	})
	return e.done("add_asset", id, err, "uploads %q (%s)", title, status)
}

func (e *Editor) label(a chosen, status string) (Step, error) {
	err := e.lib.SetLabels(a.id, map[string][]string{"Status": {status}})
	return e.done("set_labels", a.id, err, "marks %q as %s", a.title, status)
}

// chosen is what a step needs of an asset, copied under the lock.
type chosen struct{ id, title string }

// chooseFile chooses a file asset in the folder or below, each with the same chance. The choice does
// not depend on the order of the list, which follows the clock.
func (e *Editor) chooseFile() (out chosen, ok bool) {
	e.lib.mu.RLock()
	defer e.lib.mu.RUnlock()
	top, err := e.lib.catalog.findFolder(e.folder)
	if err != nil {
		return chosen{}, false
	}
	key, lowest := e.r.Uint64(), uint64(0)
	for a := range e.lib.catalog.modified.all() {
		if !a.kind.isFile() || !a.folder.within(top) {
			continue
		}
		if n := mix(key + uint64(a.ordinal)); !ok || n < lowest {
			out, ok, lowest = chosen{a.id, a.title}, true, n
		}
	}
	return out, ok
}

// chooseFolder chooses the folder or one below it; the root when it is gone.
func (e *Editor) chooseFolder() string {
	var paths []string
	for _, f := range e.lib.Folders() {
		if f.Path == e.folder || strings.HasPrefix(f.Path, e.folder+"/") {
			paths = append(paths, f.Path)
		}
	}
	if len(paths) == 0 {
		return "/"
	}
	return pickFrom(e.r, paths)
}

// editorDesk keeps the editors of the control API, so that an order continues where the last one for
// the same folder and seed stopped.
type editorDesk struct {
	mu      sync.Mutex
	lib     *Library
	editors map[editorKey]*Editor
}

type editorKey struct {
	Folder string `json:"folder"`
	Seed   int64  `json:"seed"`
}

type editorOrder struct {
	editorKey
	Steps int `json:"steps"`
}

// work makes the ordered steps, at least one, and returns them.
func (d *editorDesk) work(o editorOrder) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.Folder = cmp.Or(o.Folder, "/Brand")
	e, ok := d.editors[o.editorKey]
	if !ok {
		e = d.lib.NewEditor(o.Folder, o.Seed)
		d.editors[o.editorKey] = e
	}
	var steps []Step
	for range max(o.Steps, 1) {
		s, err := e.Step()
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
	}
	return steps, nil
}
