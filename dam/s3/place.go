package s3

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// place is what is at one name.
type place struct {
	name   string
	exists bool
	etag   string
	size   int64  // of the stored bytes
	sha256 string // of the stored bytes, computed by the server; hex, empty when it keeps none

	record       record
	marked       bool // by any target of any installation
	ours         bool // marked by this target of this installation
	storageClass types.StorageClass

	side *place // the sidecar, looked at when the object says that it has one
}

func (p place) of(assetID string) bool { return p.exists && p.ours && p.record.AssetID == assetID }

// intact reports whether the object has as many bytes as its mark says.
func (p place) intact() bool { return p.exists && p.ours && p.size == p.record.Size }

// whole reports whether the object is what its mark says, sidecar included.
func (p place) whole() bool { return p.intact() && p.described() }

// described reports whether the sidecar belongs to the last write of the object, or the
// object needs none.
func (p place) described() bool {
	if p.record.overflow == "" {
		return true
	}
	s := p.side
	return s != nil && s.of(p.record.AssetID) && s.record.overflow == p.record.overflow &&
		s.record.Generation == p.record.Generation && s.record.Version == p.record.Version
}

// replaceable returns dam.ErrForeign unless a sidecar may be written here: over nothing, or over
// one of ours. The asset of the old sidecar is irrelevant: a sidecar belongs to the object next
// to it, and that object is ours.
func (p place) replaceable() error {
	if p.exists && !(p.ours && p.record.sidecar) {
		return fmt.Errorf("%s: %w", p.name, dam.ErrForeign)
	}
	return nil
}

// after returns the place as it is after a write of r.
func (p place) after(w written, r record) place {
	return place{
		name: p.name, exists: true, etag: w.etag, sha256: w.sha256, size: r.Size, record: r, marked: true, ours: true, side: p.side,
	}
}

func (p place) remote() dam.Remote {
	r := dam.Remote{Path: p.record.Path, Mark: p.record.Mark(), Token: p.etag, State: dam.Incomplete}
	if p.sha256 != "" {
		r.Hash = "sha256:" + p.sha256
	}
	if p.record.Archived {
		r.Ref = p.name
	}
	switch {
	case p.whole() && p.record.Archived:
		r.State = dam.Archived
	case p.whole():
		r.State = dam.Present
	}
	return r
}

// nameOf returns the name of the object that r describes.
func nameOf(r dam.Remote) string {
	if r.Ref != "" {
		return r.Ref
	}
	return r.Path
}

// hexOf turns a checksum from its base64 form in S3 into hex. It returns "" for the
// checksum of checksums of parts ("…-3").
func hexOf(checksum string) string {
	raw, err := base64.StdEncoding.DecodeString(checksum)
	if err != nil || len(raw) == 0 || strings.Contains(checksum, "-") {
		return ""
	}
	return hex.EncodeToString(raw)
}
