package cmpsim

import (
	"net/http"
)

func (r renderer) folderJSON(f *folder) map[string]any {
	links := map[string]any{
		"self":          r.api + "/folders/" + f.id,
		"parent_folder": nil,
		"child_folders": r.api + "/folders?parent_folder_id=" + f.id,
		"assets":        r.api + "/assets?folder_id=" + f.id + "&include_subfolder_assets=false",
	}
	if f.parent != nil {
		links["parent_folder"] = r.api + "/folders/" + f.parent.id
	}
	return map[string]any{
		"id": f.id, "name": f.name, "parent_folder_id": orNull(folderID(f.parent)), "path": f.path(),
		"created_at": stamp(f.created), "modified_at": stamp(f.modified), "links": links,
	}
}

// listFolders lists the newest modified_at first (facts.md 4.7). Without parent_folder_id it lists
// all folders, or only the roots: see Behavior.RootFoldersOnly.
func (h *apiHost) listFolders(c *call) (reply, error) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	var found []*folder
	switch {
	case c.query.Has("parent_folder_id"):
		if parent, err := h.lib.catalog.folderByID(c.query.Get("parent_folder_id")); err == nil {
			found = h.lib.catalog.childFolders(parent)
		}
	case h.lib.behavior.RootFoldersOnly:
		found = h.lib.catalog.childFolders(nil)
	default:
		found = h.lib.catalog.allFolders()
	}
	render := h.lib.newRenderer()
	var all []map[string]any
	for _, f := range found {
		all = append(all, render.folderJSON(f))
	}
	return pageOf(c, h.lib.site.api, all)
}

func (h *apiHost) getFolder(c *call) (reply, error) {
	return h.folderReply(c.id(), http.StatusOK)
}

func (h *apiHost) folderReply(id string, status int) (reply, error) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	f, err := h.lib.catalog.folderByID(id)
	if err != nil {
		return reply{}, err
	}
	return reply{status: status, body: h.lib.newRenderer().folderJSON(f)}, nil
}

// folderPatch is the body of a POST or PATCH of a folder (facts.md 4.7).
type folderPatch struct {
	Name     *string          `json:"name"`
	ParentID optional[string] `json:"parent_folder_id"` // null is the root
}

func readFolderPatch(r *http.Request) (*folderPatch, error) {
	var p folderPatch
	if err := decodeStrict(r, maxBody, &p); err != nil {
		return nil, &paramError{"body", err.Error()}
	}
	if p.Name != nil && *p.Name == "" {
		return nil, &paramError{"name", "must not be empty"}
	}
	return &p, nil
}

func (h *apiHost) createFolder(c *call) (reply, error) {
	p, err := readFolderPatch(c.r)
	if err != nil {
		return reply{}, err
	}
	if p.Name == nil {
		return reply{}, &paramError{"name", "is required"}
	}
	id, err := h.lib.AddFolder(p.ParentID.orZero(), *p.Name)
	if err != nil {
		return reply{}, err
	}
	return h.folderReply(id, http.StatusCreated)
}

func (h *apiHost) updateFolder(c *call) (reply, error) {
	p, err := readFolderPatch(c.r)
	if err != nil {
		return reply{}, err
	}
	if p.Name == nil && !p.ParentID.given {
		return reply{}, &paramError{"body", "needs name or parent_folder_id"}
	}
	if out, err := h.getFolder(c); err != nil {
		return out, err
	}
	if p.ParentID.given {
		err = h.lib.MoveFolder(c.id(), p.ParentID.orZero())
	}
	if err == nil && p.Name != nil {
		err = h.lib.RenameFolder(c.id(), *p.Name)
	}
	if err != nil {
		return reply{}, err
	}
	return h.getFolder(c)
}

func (h *apiHost) deleteFolder(c *call) (reply, error) {
	if out, err := h.getFolder(c); err != nil {
		return out, err
	}
	_, err := h.lib.DeleteFolder(c.id())
	return reply{status: http.StatusNoContent}, err
}
