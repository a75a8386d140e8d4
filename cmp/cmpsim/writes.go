package cmpsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// patchAsset is the documented PATCH: only the keys given change, unknown keys
// are refused, and the answer is the detail.
func (s *Simulator) patchAsset(c *call, k kind) {
	p, err := readPatch(c.r, k)
	if err != nil {
		c.invalid(err)
		return
	}
	if !s.isKind(c.id(), k) {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	if err := s.edit(c.id(), p.apply(s)); err != nil {
		c.refuse(err)
		return
	}
	s.getDetail(c, k)
}

func (s *Simulator) isKind(id string, k kind) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a, ok := s.lib.live(id)
	return ok && a.kind == k
}

// refuse answers an edit's error.
func (c *call) refuse(err error) {
	status := http.StatusBadRequest
	if errors.Is(err, ErrNotFound) {
		status = http.StatusNotFound
	}
	writeError(c.w, status, err.Error())
}

// optional tells a null from a missing key.
type optional[T any] struct {
	given bool
	value *T
}

func (o *optional[T]) UnmarshalJSON(b []byte) error {
	o.given = true
	return json.Unmarshal(b, &o.value)
}

type assetPatch struct {
	Title       *string             `json:"title"`
	Description *string             `json:"description"`
	AltText     *string             `json:"alt_text"`
	Attribution *string             `json:"attribution_text"`
	ExpiresAt   optional[time.Time] `json:"expires_at"`
	FolderID    optional[string]    `json:"folder_id"`
	IsArchived  *bool               `json:"is_archived"`
	IsPublic    *bool               `json:"is_public"`
	SEIndexing  *bool               `json:"allow_se_indexing"`
	Tags        *[]string           `json:"tags"`
	Labels      *[]labelReplacement `json:"labels"`
}

type labelReplacement struct {
	Group  string   `json:"group"`
	Values []string `json:"values"`
}

func readPatch(r *http.Request, k kind) (*assetPatch, error) {
	var p assetPatch
	dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, &paramError{"body", err.Error()}
	}
	if p.Title != nil && *p.Title == "" {
		return nil, &paramError{"title", "must not be empty"}
	}
	if p.AltText != nil && k == kindRawFile {
		return nil, &paramError{"alt_text", "raw files have none"}
	}
	if p.Tags != nil {
		return &p, checkTags(*p.Tags)
	}
	return &p, nil
}

func checkTags(tags []string) error {
	if len(tags) > 100 {
		return &paramError{"tags", "at most 100"}
	}
	for _, t := range tags {
		if n := len([]rune(t)); n < 1 || n > 100 {
			return &paramError{"tags", "each of 1 to 100 characters"}
		}
	}
	return nil
}

func (p *assetPatch) apply(s *Simulator) func(*asset) (effect, error) {
	return func(a *asset) (effect, error) {
		f, picks, err := p.resolve(s.lib, a)
		if err != nil {
			return effect{}, err
		}
		d := s.lib.ownDetail(a) // before the title changes: it keeps the file's
		a.folder, a.labels = f, picks
		set(p.Title, &a.title)
		set(p.IsArchived, &a.archived)
		p.detail().apply(a, d)
		if p.FolderID.given || p.Labels != nil || p.Title != nil || p.Description != nil {
			return seen(), nil
		}
		return s.behavior.quietEffect(), nil
	}
}

// resolve finds what the patch names before anything changes; what it does not
// name stays as a has it.
func (p *assetPatch) resolve(c *catalog, a *asset) (*folder, []pick, error) {
	f, picks := a.folder, a.labels
	var err error
	if p.FolderID.given {
		var ref string
		set(p.FolderID.value, &ref)
		if f, err = c.findFolder(ref); err != nil {
			return nil, nil, err
		}
	}
	if p.Labels != nil {
		labels := map[string][]string{}
		for _, l := range *p.Labels {
			labels[l.Group] = l.Values
		}
		picks, err = c.picks(labels)
	}
	return f, picks, err
}

func (p *assetPatch) detail() Detail {
	d := Detail{
		Description: p.Description, AltText: p.AltText, Attribution: p.Attribution,
		Tags: p.Tags, Public: p.IsPublic, SEIndexing: p.SEIndexing,
	}
	if p.ExpiresAt.given {
		d.ExpiresAt = &time.Time{}
		set(p.ExpiresAt.value, d.ExpiresAt)
	}
	return d
}

// removeAsset is the documented DELETE: 204, but 200 for raw files.
func (s *Simulator) removeAsset(c *call, k kind) {
	if !s.isKind(c.id(), k) {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	if err := s.DeleteAsset(c.id()); err != nil {
		c.refuse(err)
		return
	}
	if k == kindRawFile {
		c.w.WriteHeader(http.StatusOK)
		return
	}
	c.w.WriteHeader(http.StatusNoContent)
}

type folderPatch struct {
	Name     *string          `json:"name"`
	ParentID optional[string] `json:"parent_folder_id"`
}

func readFolderPatch(r *http.Request) (*folderPatch, error) {
	var p folderPatch
	dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, &paramError{"body", err.Error()}
	}
	if p.Name != nil && *p.Name == "" {
		return nil, &paramError{"name", "must not be empty"}
	}
	return &p, nil
}

func (p *folderPatch) parent() string {
	var ref string
	set(p.ParentID.value, &ref)
	return ref
}

func (s *Simulator) createFolder(c *call) {
	p, err := readFolderPatch(c.r)
	if err == nil && p.Name == nil {
		err = &paramError{"name", "is required"}
	}
	if err != nil {
		c.invalid(err)
		return
	}
	s.mu.Lock()
	f, err := s.addFolder(p.parent(), *p.Name)
	var body map[string]any
	if err == nil {
		body = s.folderJSON(f)
	}
	s.mu.Unlock()
	if err != nil {
		c.refuse(err)
		return
	}
	writeJSON(c.w, http.StatusCreated, body)
}

func (s *Simulator) updateFolder(c *call) {
	p, err := readFolderPatch(c.r)
	if err == nil && p.Name == nil && !p.ParentID.given {
		err = &paramError{"body", "needs name or parent_folder_id"}
	}
	if err != nil {
		c.invalid(err)
		return
	}
	if _, ok := s.folderByID(c.id()); !ok {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	if p.ParentID.given {
		err = s.MoveFolder(c.id(), p.parent())
	}
	if err == nil && p.Name != nil {
		err = s.RenameFolder(c.id(), *p.Name)
	}
	if err != nil {
		c.refuse(err)
		return
	}
	s.getFolder(c)
}

func (s *Simulator) deleteFolder(c *call) {
	if _, ok := s.folderByID(c.id()); !ok {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	if _, err := s.DeleteFolder(c.id()); err != nil {
		c.refuse(err)
		return
	}
	c.w.WriteHeader(http.StatusNoContent)
}
