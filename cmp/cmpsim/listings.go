package cmpsim

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

func (s *Simulator) folderJSON(f *folder) map[string]any {
	api := s.urls.APIURL
	links := map[string]any{
		"self":          api + "/folders/" + f.id,
		"parent_folder": nil,
		"child_folders": api + "/folders?parent_folder_id=" + f.id,
		"assets":        api + "/assets?folder_id=" + f.id + "&include_subfolder_assets=false",
	}
	if f.parent != nil {
		links["parent_folder"] = api + "/folders/" + f.parent.id
	}
	return map[string]any{
		"id": f.id, "name": f.name, "parent_folder_id": nullable(folderID(f.parent)), "path": f.path(),
		"created_at": stamp(f.created), "modified_at": stamp(f.modified), "links": links,
	}
}

// listFolders is sorted by modified_at descending. Whether the bare list holds
// all folders or only roots is not documented: see Behavior.RootFoldersOnly.
func (s *Simulator) listFolders(c *call) {
	var parent *folder
	if c.q.Has("parent_folder_id") {
		var ok bool
		if parent, ok = s.folderByID(c.q.Get("parent_folder_id")); !ok {
			page(s, c, []map[string]any{})
			return
		}
	}
	s.mu.RLock()
	all := !c.q.Has("parent_folder_id") && !s.behavior.RootFoldersOnly
	var out []map[string]any
	for _, f := range s.lib.childFolders(parent, all) {
		out = append(out, s.folderJSON(f))
	}
	s.mu.RUnlock()
	page(s, c, out)
}

func (s *Simulator) folderByID(id string) (*folder, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := slices.IndexFunc(s.lib.folders, func(f *folder) bool { return f.id == id })
	if i < 0 {
		return nil, false
	}
	return s.lib.folders[i], true
}

func (s *Simulator) getFolder(c *call) {
	f, ok := s.folderByID(c.id())
	if !ok {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	s.mu.RLock()
	body := s.folderJSON(f)
	s.mu.RUnlock()
	writeJSON(c.w, http.StatusOK, body)
}

// listLabelGroups is sorted by name ascending.
func (s *Simulator) listLabelGroups(c *call) {
	origin := c.q.Get("source_org_type")
	if c.q.Has("source_org_type") && origin != "current" && origin != "related" {
		writeInvalid(c.w, "source_org_type", "must be current or related")
		return
	}
	var out []map[string]any
	s.mu.RLock()
	groups := slices.SortedFunc(slices.Values(s.lib.groups), func(a, b *labelGroup) int { return strings.Compare(a.name, b.name) })
	for _, g := range groups {
		if origin != "related" {
			out = append(out, map[string]any{
				"id": g.id, "name": g.name, "source_org_type": "current", "values": namedList(g.values),
			})
		}
	}
	s.mu.RUnlock()
	page(s, c, out)
}

// getAssetURL tells where an asset is; tests see 302 only with redirects off.
func (s *Simulator) getAssetURL(c *call) {
	s.mu.RLock()
	a, ok := s.lib.live(c.id())
	var to string
	if ok {
		to = s.selfURL(a)
	}
	s.mu.RUnlock()
	if !ok {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	c.w.Header().Set("Location", to)
	c.w.Header().Set("X-Resource-Location", "library")
	c.w.WriteHeader(http.StatusFound)
}

// createFileURLs gives fresh download URLs, null for what has no file.
func (s *Simulator) createFileURLs(c *call) {
	var body struct {
		GUIDs []string `json:"guids"`
	}
	dec := json.NewDecoder(io.LimitReader(c.r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&body); err != nil || len(body.GUIDs) == 0 {
		writeInvalid(c.w, "guids", "must be a list of at least one id")
		return
	}
	expires := s.opts.Now().Add(downloadLifetime).Unix()
	urls := map[string]any{}
	s.mu.RLock()
	for _, id := range body.GUIDs {
		urls[id] = nil
		if a, ok := s.lib.live(id); ok && a.kind.isFile() {
			urls[id] = s.downloadURL(a, expires)
		}
	}
	s.mu.RUnlock()
	writeJSON(c.w, http.StatusOK, map[string]any{"urls": urls})
}

// listNothing stands for the lists of an asset that the simulated library never
// fills: renditions and related assets.
func (s *Simulator) listNothing(c *call) {
	s.mu.RLock()
	_, ok := s.lib.live(c.id())
	s.mu.RUnlock()
	if !ok {
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	if len(c.q) > 0 {
		page(s, c, []any{})
		return
	}
	writeJSON(c.w, http.StatusOK, map[string]any{"data": []any{}, "pagination": window{0, maxPageSize}.links("", url.Values{}, 0)})
}
