// Package sidecar is the JSON document that an adapter writes beside an object
// when the target cannot hold the ownership mark and the metadata itself.
//
// The suffix and the keys are a fixed interface: other programs read them. A
// reader ignores keys that it does not know, so that keys may be added.
package sidecar

import (
	"bytes"
	"encoding/json"
	"fmt"

	"damsync/dam"
)

// Suffix is appended to the object's own name.
const Suffix = ".damsync.json"

const (
	// MaxMetadataBytes limits title and metadata together, as compact JSON.
	MaxMetadataBytes = 1 << 20
	// MaxBytes limits a whole document. It leaves room for indentation.
	MaxBytes = 16 << 20
)

// Document is the content of a sidecar.
type Document struct {
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
	Metadata     json.RawMessage `json:"metadata,omitempty"`
}

// New returns the document of an object. Metadata over MaxMetadataBytes is
// ErrInvalid.
func New(obj dam.Object) (Document, error) {
	d := Document{Path: obj.Path, Title: obj.Title, MIMEType: obj.MIMEType}
	d.SetMark(obj.Mark)
	var err error
	d.Metadata, err = EncodeMetadata(obj.Title, obj.Metadata)
	return d, err
}

// Mark returns the ownership mark in d.
func (d Document) Mark() dam.OwnerMark {
	return dam.OwnerMark{
		Instance: d.Instance, Target: d.Target, AssetID: d.AssetID, Version: d.Version,
		SHA256: d.SHA256, Size: d.Size, MetadataHash: d.MetadataHash, Generation: d.Generation,
	}
}

// SetMark replaces the ownership mark in d.
func (d *Document) SetMark(m dam.OwnerMark) {
	d.Instance, d.Target, d.AssetID, d.Version = m.Instance, m.Target, m.AssetID, m.Version
	d.SHA256, d.Size, d.MetadataHash, d.Generation = m.SHA256, m.Size, m.MetadataHash, m.Generation
}

// Holds reports whether d describes the content that mark names: the same
// SHA-256, or, where one of the two is not known, the same version and size.
func (d Document) Holds(mark dam.OwnerMark) bool {
	if mark.SHA256 != "" && d.SHA256 != "" {
		return d.SHA256 == mark.SHA256
	}
	sizeFits := mark.Size < 0 || mark.Size == d.Size
	return mark.Version != "" && d.Version == mark.Version && sizeFits
}

// Encode returns d as compact JSON.
func (d Document) Encode() ([]byte, error) {
	raw, err := encode(d)
	if err != nil {
		return nil, fmt.Errorf("encode sidecar: %w: %w", dam.ErrInvalid, err)
	}
	return raw, nil
}

// Decode parses a document. A document that is too large, is not JSON, has a
// value of the wrong type, or does not name instance, target and asset is an
// error: it proves no ownership.
func Decode(raw []byte) (Document, error) {
	if len(raw) > MaxBytes {
		return Document{}, fmt.Errorf("decode sidecar: more than %d bytes", MaxBytes)
	}
	var d Document
	if err := json.Unmarshal(raw, &d); err != nil {
		return Document{}, fmt.Errorf("decode sidecar: %w", err)
	}
	if d.Instance == "" || d.Target == "" || d.AssetID == "" {
		return Document{}, fmt.Errorf("decode sidecar: instance %q, target %q, asset_id %q: none may be empty",
			d.Instance, d.Target, d.AssetID)
	}
	return d, nil
}

// EncodeMetadata returns md as compact JSON. It is ErrInvalid when it exceeds
// MaxMetadataBytes together with title.
func EncodeMetadata(title string, md dam.Metadata) (json.RawMessage, error) {
	if md == nil {
		md = dam.Metadata{}
	}
	raw, err := encode(md)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w: %w", dam.ErrInvalid, err)
	}
	rawTitle, err := encode(title)
	if err != nil {
		return nil, fmt.Errorf("encode title: %w: %w", dam.ErrInvalid, err)
	}
	if n := len(raw) + len(rawTitle); n > MaxMetadataBytes {
		return nil, fmt.Errorf("title and metadata of %d bytes: %w: at most %d are kept", n, dam.ErrInvalid, MaxMetadataBytes)
	}
	return raw, nil
}

// encode leaves <, > and & unescaped: metadata that is read back and written
// again keeps its bytes.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(buf.Bytes()), err
}
