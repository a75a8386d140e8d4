package filesystem

import (
	"io/fs"

	"damsync/dam/sidecar"
)

// record is an asset's last step, written before it. See the package comment.
type record struct {
	AssetID    string           `json:"asset_id"`
	Generation int64            `json:"generation"`
	Place      string           `json:"place"`   // where the step leaves the file; empty when it removes it
	From       *traces          `json:"from"`    // what is renamed; nil when no file moves
	To         string           `json:"to"`      // the destination: Place, or in tmp
	Sidecar    sidecar.Document `json:"sidecar"` // for Place
	Old        []old            `json:"old"`     // places to be left, From among them when it was one
}

// traces are what a rename keeps of a file.
type traces struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	ModTime int64  `json:"mod_time"` // ns since 1970
}

// old is a place to be left. File is nil when only a sidecar was there, Unmarked
// is what the sidecar would be when only the record knows the file.
type old struct {
	Path     string            `json:"path"`
	File     *traces           `json:"file"`
	Unmarked *sidecar.Document `json:"unmarked,omitempty"`
}

func (p place) old() old {
	o := old{Path: p.path, File: trace(p.path, p.file)}
	if p.unmarked {
		o.Unmarked = &p.sidecar
	}
	return o
}

func trace(p string, info fs.FileInfo) *traces {
	if info == nil {
		return nil
	}
	return &traces{Path: p, Size: info.Size(), ModTime: info.ModTime().UnixNano()}
}

func (t *traces) fit(info fs.FileInfo) bool {
	return t != nil && info != nil && info.Mode().IsRegular() &&
		info.Size() == t.Size && info.ModTime().UnixNano() == t.ModTime
}

// record reads an asset's record; nil when there is none.
func (s *session) record(assetID string) (*record, error) {
	var rec record
	ok, err := s.readJSON(s.a.recordPath(assetID), &rec)
	if err != nil {
		return nil, classed("read record", err)
	}
	if !ok || rec.AssetID != assetID {
		return nil, nil
	}
	return &rec, nil
}
