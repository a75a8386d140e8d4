package s3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"damsync/dam"
	"damsync/dam/naming"
	"damsync/dam/sidecar"
)

// record is what is written with an object: in its user metadata as far as there is room, and
// whole in its sidecar.
type record struct {
	sidecar.Document

	// from is the name that the object was copied from. After an interrupted move the asset
	// may still have an object there.
	from string
	// overflow is the digest of title, type and metadata when these are in the sidecar,
	// otherwise empty.
	overflow string
	sidecar  bool // the record is the user metadata of a sidecar
	underID  bool // the object is archived below the asset's id
}

func newRecord(obj dam.Object) (record, error) {
	if strings.ContainsFunc(obj.MIMEType, notHeader) {
		return record{}, fmt.Errorf("media type %q: %w: must be printable ASCII", obj.MIMEType, dam.ErrInvalid)
	}
	doc, err := sidecar.New(obj)
	if doc.MIMEType == defaultType {
		doc.MIMEType = ""
	}
	return record{Document: doc}, err
}

// description is a digest of what user metadata may have no room for.
func (r record) description() string {
	return naming.Digest(r.Title, r.MIMEType, string(r.Metadata))[:32]
}

// says reports whether r describes the object as want does, whether or not the
// description is in a sidecar.
func (r record) says(want record) bool {
	described := r.Title == want.Title && bytes.Equal(r.Metadata, want.Metadata)
	if r.overflow != "" {
		described = r.overflow == want.description()
	}
	return described && r.Path == want.Path && r.Archived == want.Archived && r.MIMEType == want.MIMEType &&
		r.Version == want.Version && r.MetadataHash == want.MetadataHash && r.Generation == want.Generation
}

// The names of user metadata follow x-amz-meta- in the header.
const (
	metaPrefix = "damsync-"
	metaWire   = "x-amz-meta-" // S3 may not count it; we do

	maxUserMetadata = 2048 // bytes of names and values
)

// userMetadata returns the record as user metadata, without the description when that is in the
// sidecar. ok reports whether it is within the limit.
func (r record) userMetadata() (md map[string]string, ok bool) {
	md = map[string]string{}
	add := func(name, value string) {
		if value != "" {
			md[metaPrefix+name] = encode(value)
		}
	}
	add("instance", r.Instance)
	add("target", r.Target)
	add("asset", r.AssetID)
	add("version", r.Version)
	add("sha256", r.SHA256)
	if r.Size >= 0 {
		add("size", strconv.FormatInt(r.Size, 10))
	}
	add("metadata-hash", r.MetadataHash)
	add("generation", strconv.FormatInt(r.Generation, 10))
	add("from", r.from)
	if r.Archived {
		add("archived", archivedAs(r.underID))
	}
	if r.sidecar {
		add("kind", "sidecar")
	}
	if r.overflow != "" {
		add("sidecar", r.overflow)
	} else {
		add("title", r.Title)
		add("metadata", string(r.Metadata))
	}
	n := 0
	for name, value := range md {
		n += len(metaWire) + len(name) + len(value)
	}
	return md, n <= maxUserMetadata
}

// archivedAs says which of layout.archiveNames the object has.
func archivedAs(underID bool) string {
	if underID {
		return "id"
	}
	return "path"
}

func errNoRoom(r record) error {
	return fmt.Errorf("ownership mark of asset %s: %w: more than the %d bytes of user metadata that S3 allows; use a shorter path",
		r.AssetID, dam.ErrInvalid, maxUserMetadata)
}

// parseUserMetadata is the inverse of userMetadata. ok reports whether md is a complete ownership
// mark, marked whether any damsync has written it.
func parseUserMetadata(md map[string]string) (r record, marked, ok bool) {
	values := map[string]string{}
	for name, value := range md {
		name, isOurs := strings.CutPrefix(strings.ToLower(name), metaPrefix)
		if !isOurs {
			continue
		}
		marked = true
		text, err := decode(value)
		if err != nil {
			return r, true, false
		}
		values[name] = text
	}
	r = record{
		Document: sidecar.Document{
			Instance: values["instance"], Target: values["target"], AssetID: values["asset"], Version: values["version"],
			SHA256: values["sha256"], Size: dam.UnknownSize, MetadataHash: values["metadata-hash"],
			Archived: values["archived"] != "", Title: values["title"],
		},
		underID: values["archived"] == archivedAs(true), from: values["from"],
		overflow: values["sidecar"], sidecar: values["kind"] == "sidecar",
	}
	if raw := values["metadata"]; raw != "" {
		r.Metadata = json.RawMessage(raw)
	}
	var errGeneration, errSize error
	r.Generation, errGeneration = strconv.ParseInt(values["generation"], 10, 64)
	if size, given := values["size"]; given {
		r.Size, errSize = strconv.ParseInt(size, 10, 64)
	}
	ok = marked && errGeneration == nil && errSize == nil && r.Instance != "" && r.AssetID != ""
	return r, marked, ok
}
