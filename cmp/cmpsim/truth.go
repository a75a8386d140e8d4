package cmpsim

import (
	"net/http"
	"strconv"
	"time"
)

// State is an overview of the simulator.
type State struct {
	Assets     int            `json:"assets"` // living ones
	Trashed    int            `json:"trashed"`
	Folders    int            `json:"folders"`
	ByType     map[string]int `json:"by_type"`
	Counters   Counters       `json:"counters"`
	Pace       Pace           `json:"pace"`
	Limits     PaceCounters   `json:"limits"`
	Pending    int            `json:"deliveries_pending"`
	Behavior   Behavior       `json:"behavior"`
	Now        time.Time      `json:"now"`
	NewestEdit time.Time      `json:"newest_modified_at,omitzero"`
}

// State returns the overview now.
func (s *Simulator) State() State {
	out := State{
		Counters: s.Counters(), Pace: s.Pace(), Limits: s.PaceCounters(), Behavior: s.Behavior(),
		Now: s.opts.Now().UTC(), ByType: map[string]int{},
	}
	s.hooks.mu.Lock()
	out.Pending = len(s.hooks.queue) + s.hooks.busy
	s.hooks.mu.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	out.Assets, out.Folders = s.lib.modified.n, len(s.lib.folders)
	out.Trashed = len(s.lib.assets) - out.Assets
	for a := range s.lib.modified.span(0, s.lib.modified.n) {
		if out.NewestEdit.IsZero() {
			out.NewestEdit = time.Unix(a.modified, 0).UTC()
		}
		out.ByType[a.kind.about().name]++
	}
	return out
}

// Asset is the truth about one living asset, for checkers.
type Asset struct {
	ID            string              `json:"id"`
	Title         string              `json:"title"`
	Type          string              `json:"type"`
	MIMEType      string              `json:"mime_type"`
	FileExtension string              `json:"file_extension,omitempty"`
	FolderID      string              `json:"folder_id,omitempty"`
	Folder        string              `json:"folder"` // path, / at the root
	Labels        map[string][]string `json:"labels"`
	Archived      bool                `json:"archived"`
	Public        bool                `json:"public"`
	CreatedAt     time.Time           `json:"created_at"`
	ModifiedAt    time.Time           `json:"modified_at"`
	ExpiresAt     time.Time           `json:"expires_at,omitzero"`
	Description   string              `json:"description"`
	AltText       string              `json:"alt_text"`
	Attribution   string              `json:"attribution_text"`
	Tags          []string            `json:"tags"`
	Fields        map[string][]string `json:"fields"` // names of choices, else values
	Version       int                 `json:"version"`
	VersionID     string              `json:"version_id"`
	Size          int64               `json:"size"`             // bytes, 0 without a file
	SHA256        string              `json:"sha256,omitempty"` // hex, of the current version
}

// AssetIDs returns the ids of the living assets, newest modified first.
func (s *Simulator) AssetIDs() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]string, 0, s.lib.modified.n)
	for a := range s.lib.modified.span(0, s.lib.modified.n) {
		out = append(out, a.id)
	}
	return out
}

// Assets returns the truth about the living assets with ranks from offset to
// offset+limit-1, newest modified first; a limit of 0 means all. withHash reads
// every file to hash it.
func (s *Simulator) Assets(offset, limit int, withHash bool) ([]Asset, error) {
	s.mu.RLock()
	n := s.lib.modified.n
	from := min(max(offset, 0), n)
	to := n
	if limit > 0 {
		to = min(from+limit, n)
	}
	out := make([]Asset, 0, to-from)
	files := make([]file, 0, to-from)
	for a := range s.lib.modified.span(from, to) {
		out = append(out, s.lib.truth(a))
		files = append(files, s.lib.fileOf(a))
	}
	s.mu.RUnlock()
	for i := range out {
		if !withHash || out[i].Size == 0 {
			continue
		}
		var err error
		if out[i].SHA256, err = files[i].sha256(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Asset returns the truth about one living asset, its hash too.
func (s *Simulator) Asset(id string) (Asset, error) {
	s.mu.RLock()
	a, found := s.lib.live(id)
	if !found {
		s.mu.RUnlock()
		return Asset{}, ErrNotFound
	}
	out, f := s.lib.truth(a), s.lib.fileOf(a)
	s.mu.RUnlock()
	var err error
	if out.Size > 0 {
		out.SHA256, err = f.sha256()
	}
	return out, err
}

func (c *catalog) truth(a *asset) Asset {
	d := c.detailOf(a)
	t := Asset{
		ID: a.id, Title: a.title, Type: a.kind.about().name, MIMEType: a.format.mime, FileExtension: a.format.ext,
		FolderID: folderID(a.folder), Folder: a.folder.path(), Labels: map[string][]string{}, Fields: map[string][]string{},
		Archived: a.archived, Public: a.public,
		CreatedAt: time.Unix(a.created, 0).UTC(), ModifiedAt: time.Unix(a.modified, 0).UTC(),
		Description: d.description, AltText: d.alt, Attribution: d.attribution, Tags: append([]string{}, d.tags...),
		Version: int(a.version), VersionID: c.versionID(a), Size: d.size,
	}
	if d.expires != 0 {
		t.ExpiresAt = time.Unix(d.expires, 0).UTC()
	}
	for _, p := range a.labels {
		for _, v := range p.values {
			t.Labels[p.group.name] = append(t.Labels[p.group.name], v.name)
		}
	}
	for _, v := range d.fields {
		t.Fields[v.def.name] = v.def.namesOf(v.values)
	}
	return t
}

func (d *fieldDef) namesOf(values []string) []string {
	out := []string{}
	for _, v := range values {
		if n, ok := findNamed(d.choices, v); ok {
			v = n.name
		}
		out = append(out, v)
	}
	return out
}

// Folder is the truth about one folder.
type Folder struct {
	ID   string `json:"id"`
	Path string `json:"path"`
}

// Folders returns all folders.
func (s *Simulator) Folders() []Folder {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []Folder{}
	for _, f := range s.lib.folders {
		out = append(out, Folder{f.id, f.path()})
	}
	return out
}

// Labels returns group names with the names of their values.
func (s *Simulator) Labels() map[string][]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := map[string][]string{}
	for _, g := range s.lib.groups {
		for _, v := range g.values {
			out[g.name] = append(out[g.name], v.name)
		}
	}
	return out
}

// serveTruth answers GET /assets of the control API.
func (s *Simulator) serveTruth(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if id := q.Get("id"); id != "" {
		a, err := s.Asset(id)
		answer(w, a, err)
		return
	}
	offset, _ := strconv.Atoi(q.Get("offset")) // not a number reads as 0
	limit, _ := strconv.Atoi(q.Get("limit"))
	all, err := s.Assets(offset, limit, q.Get("sha256") != "false")
	answer(w, all, err)
}
