package filesystem

import (
	"bytes"
	"encoding/json"
	"fmt"

	"damsync/dam"
)

// sidecar is the file beside a file. Its keys are a fixed interface.
type sidecar struct {
	Instance     string          `json:"instance"`
	Target       string          `json:"target"`
	AssetID      string          `json:"asset_id"`
	Version      string          `json:"version"`
	SHA256       string          `json:"sha256"`
	Size         int64           `json:"size"`
	Generation   int64           `json:"generation"`
	Path         string          `json:"path"` // as the core asked, also when archived
	Archived     bool            `json:"archived,omitempty"`
	Title        string          `json:"title"`
	MIMEType     string          `json:"mime_type,omitempty"`
	MetadataHash string          `json:"metadata_hash"`
	Metadata     json.RawMessage `json:"metadata"`
}

func newSidecar(obj dam.Object, sealed dam.Mark) (sidecar, error) {
	md, err := encodeMetadata(obj.Metadata)
	if err != nil {
		return sidecar{}, err
	}
	return sidecar{
		Instance: sealed.Instance, Target: sealed.Target, AssetID: sealed.AssetID,
		Version: sealed.Version, SHA256: sealed.SHA256, Size: sealed.Size, Generation: sealed.Generation,
		Path: obj.Path, Title: obj.Title, MIMEType: obj.MIMEType,
		MetadataHash: sealed.MetadataHash, Metadata: md,
	}, nil
}

func encodeMetadata(md dam.Metadata) (json.RawMessage, error) {
	if md == nil {
		md = dam.Metadata{}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(md); err != nil {
		return nil, fmt.Errorf("encode metadata: %w: %w", dam.ErrInvalid, err)
	}
	if buf.Len() > maxMetadataBytes {
		return nil, fmt.Errorf("%w: metadata of %d bytes, at most %d are kept", dam.ErrInvalid, buf.Len(), maxMetadataBytes)
	}
	return bytes.TrimSpace(buf.Bytes()), nil
}

func (c sidecar) mark() dam.Mark {
	return dam.Mark{
		Instance: c.Instance, Target: c.Target, AssetID: c.AssetID, Version: c.Version,
		SHA256: c.SHA256, Size: c.Size, MetadataHash: c.MetadataHash, Generation: c.Generation,
	}
}

// holds reports whether c is of the content that mark means. A version
// without a name tells nothing, a digest tells all.
func (c sidecar) holds(mark dam.Mark) bool {
	if mark.SHA256 != "" {
		return c.SHA256 == mark.SHA256
	}
	sizeFits := mark.Size < 0 || mark.Size == c.Size
	return mark.Version != "" && c.Version == mark.Version && sizeFits
}
