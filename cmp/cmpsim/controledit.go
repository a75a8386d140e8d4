package cmpsim

import "fmt"

// editOrder is one edit of the control API. Each verb reads the keys that it needs; README.md lists
// them.
type editOrder struct {
	Verb string `json:"verb"`
	NewAsset
	ID       string   `json:"id"`
	IDs      []string `json:"ids"`
	Parent   string   `json:"parent"`
	Name     string   `json:"name"`
	Group    string   `json:"group"`
	Value    string   `json:"value"`
	Field    string   `json:"field"`
	Values   []string `json:"values"`
	Archived *bool    `json:"archived"`
}

type editAnswer struct {
	ID    string `json:"id,omitempty"`
	Count int    `json:"count,omitempty"`
}

func (s *Simulator) runEdit(o editOrder) (any, error) {
	run, ok := s.editVerbs()[o.Verb]
	if !ok {
		return nil, fmt.Errorf("unknown verb %q: %w", o.Verb, ErrInvalid)
	}
	return run(o)
}

func (s *Simulator) editVerbs() map[string]func(editOrder) (editAnswer, error) {
	onAsset := func(do func(editOrder) error) func(editOrder) (editAnswer, error) {
		return func(o editOrder) (editAnswer, error) { return editAnswer{ID: o.ID}, do(o) }
	}
	making := func(do func(editOrder) (string, error)) func(editOrder) (editAnswer, error) {
		return func(o editOrder) (editAnswer, error) {
			id, err := do(o)
			return editAnswer{ID: id}, err
		}
	}
	return map[string]func(editOrder) (editAnswer, error){
		"add_asset":     making(func(o editOrder) (string, error) { return s.AddAsset(o.NewAsset) }),
		"edit_title":    onAsset(func(o editOrder) error { return s.EditTitle(o.ID, o.Title) }),
		"set_detail":    onAsset(func(o editOrder) error { return s.SetDetail(o.ID, o.Detail) }),
		"set_labels":    onAsset(func(o editOrder) error { return s.SetLabels(o.ID, o.Labels) }),
		"set_field":     onAsset(func(o editOrder) error { return s.SetField(o.ID, o.Field, o.Values...) }),
		"move_asset":    onAsset(func(o editOrder) error { return s.MoveAsset(o.ID, o.Folder) }),
		"archive":       onAsset(func(o editOrder) error { return s.Archive(o.ID, o.Archived == nil || *o.Archived) }),
		"new_version":   onAsset(func(o editOrder) error { return s.NewVersion(o.ID, o.Size) }),
		"delete_asset":  onAsset(func(o editOrder) error { return s.DeleteAsset(o.ID) }),
		"restore_asset": onAsset(func(o editOrder) error { return s.RestoreAsset(o.ID) }),
		"bulk_delete":   func(o editOrder) (editAnswer, error) { return editAnswer{Count: len(o.IDs)}, s.BulkDelete(o.IDs) },
		"add_folder":    making(func(o editOrder) (string, error) { return s.AddFolder(o.Parent, o.Name) }),
		"rename_folder": onAsset(func(o editOrder) error { return s.RenameFolder(o.Folder, o.Name) }),
		"move_folder":   onAsset(func(o editOrder) error { return s.MoveFolder(o.Folder, o.Parent) }),
		"delete_folder": func(o editOrder) (editAnswer, error) {
			n, err := s.DeleteFolder(o.Folder)
			return editAnswer{Count: n}, err
		},
		"rename_label": onAsset(func(o editOrder) error { return s.RenameLabel(o.Group, o.Value, o.Name) }),
	}
}
