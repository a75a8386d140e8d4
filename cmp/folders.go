package cmp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"damsync/internal/library"
)

// maxFolders bounds a walk, which costs at worst one request per folder.
const maxFolders = 20_000

type folderRow struct {
	named
	ParentID   text   `json:"parent_folder_id"`
	Path       text   `json:"path"`
	CreatedAt  moment `json:"created_at"`
	ModifiedAt moment `json:"modified_at"`
	Links      struct {
		Children text `json:"child_folders"`
	} `json:"links"`
}

// Folders reads every folder. Whether GET /folders lists all folders or only the roots
// is not documented, and both are seen. When it lists a folder together with its parent,
// it lists all. Otherwise the children are read breadth first, one request per folder: a
// root may have a parent, too, that the app may not see.
//
// A library that has only root folders looks the same either way; the walk then costs one
// request per root.
func (c *Client) Folders(ctx context.Context) ([]library.Folder, error) {
	w := folderWalk{seen: map[string]bool{}}
	if err := c.list(ctx, "list folders", c.endpoint("folders"), w.add); err != nil {
		return nil, err
	}
	if w.flat() {
		return w.folders, nil
	}
	for i := 0; i < len(w.folders); i++ { // grows while it is walked
		if len(w.folders) > maxFolders {
			return nil, fmt.Errorf("list folders: more than %d folders to walk", maxFolders)
		}
		if err := c.list(ctx, "list child folders", c.children(w.folders[i].ID, w.links[i]), w.add); err != nil {
			return nil, err
		}
	}
	return w.folders, nil
}

// children returns the URL of a folder's children: the documented link where it is on
// the API host.
func (c *Client) children(id, link string) *url.URL {
	if u, err := c.link(link); err == nil && link != "" {
		return u
	}
	u := c.endpoint("folders")
	u.RawQuery = url.Values{"parent_folder_id": {id}}.Encode()
	return u
}

type folderWalk struct {
	folders []library.Folder
	links   []string // child_folders of each
	seen    map[string]bool
}

// flat reports whether a folder and its parent are both listed.
func (w *folderWalk) flat() bool {
	return slices.ContainsFunc(w.folders, func(f library.Folder) bool { return w.seen[f.ParentID] })
}

func (w *folderWalk) add(b json.RawMessage) error {
	var r folderRow
	if err := decodeRow(b, "folder", &r, &r.ID); err != nil {
		return err
	}
	if w.seen[string(r.ID)] {
		return nil
	}
	w.seen[string(r.ID)] = true
	w.folders = append(w.folders, library.Folder{
		ID: string(r.ID), ParentID: string(r.ParentID), Name: string(r.Name), Path: string(r.Path),
		CreatedAt: r.CreatedAt.Time, ModifiedAt: r.ModifiedAt.Time, Raw: b,
	})
	w.links = append(w.links, string(r.Links.Children))
	return nil
}
