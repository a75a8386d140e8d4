package cmpsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// editBody is one edit of the control API. Each verb reads the keys it needs;
// README.md lists them.
type editBody struct {
	Verb     string              `json:"verb"`
	ID       string              `json:"id"`
	IDs      []string            `json:"ids"`
	Title    string              `json:"title"`
	Type     string              `json:"type"`
	Folder   string              `json:"folder"`
	Parent   string              `json:"parent"`
	Name     string              `json:"name"`
	Labels   map[string][]string `json:"labels"`
	Group    string              `json:"group"`
	Value    string              `json:"value"`
	Field    string              `json:"field"`
	Values   []string            `json:"values"`
	Detail   Detail              `json:"detail"`
	Public   bool                `json:"public"`
	Task     string              `json:"task"`
	Size     int64               `json:"size"`
	Archived *bool               `json:"archived"`
}

type editAnswer struct {
	ID    string `json:"id,omitempty"`
	Count int    `json:"count,omitempty"`
}

func (s *Simulator) serveEdit(w http.ResponseWriter, r *http.Request) {
	var b editBody
	dec := json.NewDecoder(io.LimitReader(r.Body, 64*maxBody)) // bulk_delete may name a whole library
	dec.DisallowUnknownFields()
	if err := dec.Decode(&b); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	verb, known := s.verbs()[b.Verb]
	if !known {
		writeError(w, http.StatusBadRequest, fmt.Sprintf("unknown verb %q", b.Verb))
		return
	}
	out, err := verb(b)
	answer(w, out, err)
}

func (s *Simulator) verbs() map[string]func(editBody) (editAnswer, error) {
	asset := func(do func(editBody) error) func(editBody) (editAnswer, error) {
		return func(b editBody) (editAnswer, error) { return editAnswer{ID: b.ID}, do(b) }
	}
	return map[string]func(editBody) (editAnswer, error){
		"add_asset":     s.addAssetVerb,
		"edit_title":    asset(func(b editBody) error { return s.EditTitle(b.ID, b.Title) }),
		"set_detail":    asset(func(b editBody) error { return s.SetDetail(b.ID, b.Detail) }),
		"set_labels":    asset(func(b editBody) error { return s.SetLabels(b.ID, b.Labels) }),
		"set_field":     asset(func(b editBody) error { return s.SetField(b.ID, b.Field, b.Values...) }),
		"move_asset":    asset(func(b editBody) error { return s.MoveAsset(b.ID, b.Folder) }),
		"archive":       asset(func(b editBody) error { return s.Archive(b.ID, b.Archived == nil || *b.Archived) }),
		"delete_asset":  asset(func(b editBody) error { return s.DeleteAsset(b.ID) }),
		"restore_asset": asset(func(b editBody) error { return s.RestoreAsset(b.ID) }),
		"new_version":   asset(func(b editBody) error { return s.NewVersion(b.ID, b.Size) }),
		"bulk_delete": func(b editBody) (editAnswer, error) {
			return editAnswer{Count: len(b.IDs)}, s.BulkDelete(b.IDs)
		},
		"add_folder": func(b editBody) (editAnswer, error) {
			id, err := s.AddFolder(b.Parent, b.Name)
			return editAnswer{ID: id}, err
		},
		"rename_folder": asset(func(b editBody) error { return s.RenameFolder(b.Folder, b.Name) }),
		"move_folder":   asset(func(b editBody) error { return s.MoveFolder(b.Folder, b.Parent) }),
		"delete_folder": func(b editBody) (editAnswer, error) {
			n, err := s.DeleteFolder(b.Folder)
			return editAnswer{Count: n}, err
		},
		"rename_label": asset(func(b editBody) error { return s.RenameLabel(b.Group, b.Value, b.Name) }),
	}
}

func (s *Simulator) addAssetVerb(b editBody) (editAnswer, error) {
	id, err := s.AddAsset(NewAsset{
		Title: b.Title, Type: b.Type, Folder: b.Folder, Labels: b.Labels, Public: b.Public, Task: b.Task,
		Detail: b.Detail, Size: b.Size,
	})
	return editAnswer{ID: id}, err
}
