package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// place is what is at one key. Places are named without the prefix.
type place struct {
	name   string
	exists bool
	etag   string
	size   int64  // bytes there are
	sha256 string // of these bytes by the server, hex; empty when it keeps none

	record       record
	marked       bool // by some damsync
	ours         bool // by this target of this installation
	storageClass types.StorageClass

	side *place // the sidecar, looked at when the object says that it has one
}

func (p place) of(assetID string) bool { return p.exists && p.ours && p.record.AssetID == assetID }

// intact reports whether the bytes are those of the mark, by their number.
func (p place) intact() bool { return p.exists && p.ours && p.size == p.record.Size }

// whole reports whether the object is what its mark says, sidecar included.
func (p place) whole() bool { return p.intact() && p.described() }

// described reports whether the sidecar, if there has to be one, is that of
// the object's last step.
func (p place) described() bool {
	if p.record.overflow == "" {
		return true
	}
	s := p.side
	return s != nil && s.of(p.record.AssetID) && s.record.overflow == p.record.overflow &&
		s.record.Generation == p.record.Generation && s.record.Version == p.record.Version
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

// look asks for what is at a place: one request, two where there is a sidecar.
func (a *Adapter) look(ctx context.Context, name string) (place, error) {
	at, err := a.head(ctx, a.key(name))
	if err != nil || !at.ours || at.record.sidecar || at.record.overflow == "" {
		return at, err
	}
	side, err := a.head(ctx, a.sidecarKey(name))
	if errors.Is(err, errRefused) {
		side, err = place{name: a.place(a.sidecarKey(name)), exists: true}, nil
	}
	if err != nil {
		return at, err
	}
	at.side = &side
	if at.record.SHA256 == "" && at.described() {
		at.record.SHA256 = side.record.SHA256
	}
	return at, nil
}

func (a *Adapter) head(ctx context.Context, key string) (place, error) {
	at := place{name: a.place(key)}
	out, err := a.ask(ctx, key)
	switch {
	case isMissing(err):
		return at, nil
	case isRefusal(err):
		return at, a.refused(ctx, "look at "+at.name, err)
	case err != nil:
		return at, classedRead(ctx, "look at "+at.name, err)
	}
	at.exists, at.etag, at.size = true, aws.ToString(out.ETag), aws.ToInt64(out.ContentLength)
	at.storageClass = out.StorageClass
	if out.ChecksumType != types.ChecksumTypeComposite {
		at.sha256 = hexOf(aws.ToString(out.ChecksumSHA256))
	}
	at.read(a, out.Metadata, aws.ToString(out.ContentType))
	return at, nil
}

func (a *Adapter) ask(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	api, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	in := &s3.HeadObjectInput{Bucket: &a.bucket, Key: &key}
	if a.checksum == checksumSHA256 {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	return api.HeadObject(ctx, in)
}

// read takes the mark from the user metadata. What a single PUT could not know
// beforehand is what the server says of the bytes.
func (p *place) read(a *Adapter, md map[string]string, contentType string) {
	var ok bool
	p.record, p.marked, ok = parseUserMetadata(md)
	p.ours = ok && p.record.Instance == a.instance && p.record.Target == a.target
	if contentType != defaultType {
		p.record.MIMEType = contentType
	}
	if p.record.sidecar {
		return
	}
	p.record.Path = a.pathOf(p.name, p.record)
	if p.record.Size < 0 {
		p.record.Size = p.size
	}
	if p.record.SHA256 == "" {
		p.record.SHA256 = p.sha256
	}
}

// pathOf is the path that the core asked for an object at name.
func (a *Adapter) pathOf(name string, r record) string {
	if !r.Archived {
		return name
	}
	name = strings.TrimPrefix(name, a.archive)
	if r.underID {
		name = strings.TrimPrefix(name, idName(r.AssetID)+"/")
	}
	return name
}

// defaultType is what S3 says of an object put without a type.
const defaultType = "application/octet-stream"

// hexOf turns a checksum as S3 writes it into lower-case hex; that of parts
// ("…-3") is none of the whole.
func hexOf(checksum string) string {
	raw, err := base64.StdEncoding.DecodeString(checksum)
	if err != nil || len(raw) == 0 || strings.Contains(checksum, "-") {
		return ""
	}
	return hex.EncodeToString(raw)
}

// classedRead is classed for a request that changes nothing: repeating it is
// always right.
func classedRead(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	err = classed(ctx, doing, err)
	if dam.Classify(err) == dam.ClassUnknown && !gaveUp(ctx, err) {
		return fmt.Errorf("%w: %w", dam.ErrTemporary, err)
	}
	return err
}
