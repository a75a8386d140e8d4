package cmpsim

import (
	"fmt"
	"time"
)

// Asset is the truth about one living asset, for tests of a mirror.
type Asset struct {
	ID            string              `json:"id"`
	Title         string              `json:"title"`
	Type          string              `json:"type"`
	MIMEType      string              `json:"mime_type"`
	FileExtension string              `json:"file_extension,omitempty"`
	FolderID      string              `json:"folder_id,omitempty"`
	Folder        string              `json:"folder"` // path; / at the root
	Labels        map[string][]string `json:"labels"` // values by group, by name
	Archived      bool                `json:"archived"`
	Public        bool                `json:"public"`
	CreatedAt     time.Time           `json:"created_at"`
	ModifiedAt    time.Time           `json:"modified_at"`
	ExpiresAt     time.Time           `json:"expires_at,omitzero"`
	Description   string              `json:"description"`
	AltText       string              `json:"alt_text"`
	Attribution   string              `json:"attribution_text"`
	Tags          []string            `json:"tags"`
	Fields        map[string][]string `json:"fields"` // values by name of the field; choices by name
	Version       int                 `json:"version"`
	VersionID     string              `json:"version_id"`
	Size          int64               `json:"size"`             // bytes; 0 without a file
	SHA256        string              `json:"sha256,omitempty"` // hex, of the current version
}

// Folder is the truth about one folder.
type Folder struct {
	ID   string `json:"id"`
	Path string `json:"path"`
}

// AssetIDs returns the ids of the living assets, newest modified first.
func (l *Library) AssetIDs() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make([]string, 0, l.catalog.modified.n)
	for a := range l.catalog.modified.all() {
		out = append(out, a.id)
	}
	return out
}

// Assets returns the truth about limit living assets from rank offset, newest modified first. A limit
// of 0 means all. withHash reads every file to hash it.
func (l *Library) Assets(offset, limit int, withHash bool) ([]Asset, error) {
	l.mu.RLock()
	n := l.catalog.modified.n
	from, to := min(max(offset, 0), n), n
	if limit > 0 {
		to = min(from+limit, n)
	}
	out := make([]Asset, 0, to-from)
	files := make([]file, 0, to-from)
	for a := range l.catalog.modified.span(from, to) {
		out = append(out, l.catalog.truth(a))
		files = append(files, l.catalog.fileOf(a))
	}
	l.mu.RUnlock()
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

// Asset returns the truth about one living asset with its hash.
func (l *Library) Asset(id string) (Asset, error) {
	l.mu.RLock()
	a, err := l.catalog.live(id)
	if err != nil {
		l.mu.RUnlock()
		return Asset{}, fmt.Errorf("find asset %s: %w", id, err)
	}
	out, f := l.catalog.truth(a), l.catalog.fileOf(a)
	l.mu.RUnlock()
	if out.Size > 0 {
		out.SHA256, err = f.sha256()
	}
	return out, err
}

func (c *catalog) truth(a *asset) Asset {
	d := c.detailOf(a)
	t := Asset{
		ID: a.id, Title: a.title, Type: a.kind.info().name, MIMEType: a.format.mime, FileExtension: a.format.ext,
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
		t.Fields[v.def.name] = v.def.valueNames(v.values)
	}
	return t
}

// valueNames returns values with the names of choices instead of their ids.
func (d *fieldDef) valueNames(values []string) []string {
	out := []string{}
	for _, v := range values {
		if n, err := findNamed(d.choices, v); err == nil {
			v = n.name
		}
		out = append(out, v)
	}
	return out
}

// Folders returns all folders.
func (l *Library) Folders() []Folder {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := []Folder{}
	for _, f := range l.catalog.folders {
		out = append(out, Folder{f.id, f.path()})
	}
	return out
}

// Labels returns the names of the label values by the name of their group.
func (l *Library) Labels() map[string][]string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := map[string][]string{}
	for _, g := range l.catalog.groups {
		for _, v := range g.values {
			out[g.name] = append(out[g.name], v.name)
		}
	}
	return out
}
