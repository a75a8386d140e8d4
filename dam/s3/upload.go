package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"damsync/dam"
	"damsync/dam/naming"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// uploader is what all uploads of a target share.
type uploader struct {
	client  *client
	objects *objects
	uploads *multiparts
	copier  *copier
	buffers *partBuffers
}

// upload sends the body of one object to one name.
type upload struct {
	shared *uploader
	obj    dam.Object
	want   record // run adds size and digest of the body
	dst    place
	own    []place // the asset's objects as they were looked at
}

// run sends the body in one streamed PUT, or in parts when it is too large for one, has no known
// length, or must be signed.
func (u *upload) run(ctx context.Context) (written, error) {
	if s, ok := parseSession(u.obj.Upload.Session); ok {
		stored, err := u.resume(ctx, s)
		if !errors.Is(err, errNoUpload) {
			return stored, err
		}
		u.shared.uploads.abandon(ctx, s.Upload)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source, err := u.obj.Open(ctx, dam.Checkpoint{})
	if err != nil {
		return written{}, err
	}
	o := u.options()
	if size := source.Size(); size > 0 && size <= o.threshold && !o.signs() { // an empty body is never read to its end
		return u.putStream(ctx, cancel, source, size)
	}
	defer source.Close()
	return u.putBuffered(ctx, source)
}

func (u *upload) options() *options { return u.shared.client.options }

// checkLatest returns dam.ErrStale when another worker has changed what is to be replaced. It
// runs when all is read and the last byte is not sent yet. The condition of the request does not
// notice a newer description of the same bytes, nor a change at another name.
func (u *upload) checkLatest(ctx context.Context) error {
	for _, before := range u.own {
		now, err := u.shared.objects.look(ctx, before.name)
		if err != nil {
			return err
		}
		isOwn := now.of(u.want.AssetID)
		moved := before.name != u.dst.name && (!isOwn || now.etag != before.etag)
		if moved || isOwn && now.record.Generation > u.want.Generation {
			return fmt.Errorf("%s has changed since generation %d began: %w", before.name, u.want.Generation, dam.ErrStale)
		}
	}
	return nil
}

// putInput returns the request of a single PUT.
func (u *upload) putInput() (*s3.PutObjectInput, error) {
	h, want, err := newHeaders(u.options(), u.want, false)
	u.want = want
	return h.putInput(u.options().condition(u.dst)), err
}

// putStream sends the body while it is read. It closes source.
func (u *upload) putStream(ctx context.Context, cancel func(), source *dam.Source, size int64) (written, error) {
	u.want.Size = size
	in, err := u.putInput()
	if err != nil {
		return written{}, errors.Join(err, source.Close())
	}
	content := newVerifiedReader(source, size, func() error { return u.checkLatest(ctx) })
	body := &stoppableReader{r: content}
	in.Body, in.ContentLength = body, &size
	with := unsigned
	if sum := newTrailer(u.options().checksum, source); sum != nil {
		framed := newTrailed(content, size, sum)
		body.r, in.ContentLength = framed, &framed.length
		with = trailing(size, sum.header)
	}
	stored, err := u.shared.client.put(ctx, u.dst.name, in, with)
	cancel() // ends a read of the source: the connection may still be reading
	body.stop()
	defer source.Close()
	switch {
	case content.err != nil:
		return written{}, content.err // the cause of the server's answer
	case err != nil:
		return written{}, err
	}
	if err := u.seal(source); err != nil {
		return written{}, err
	}
	return u.verified(stored), nil
}

// seal completes want with size and digest of the body.
func (u *upload) seal(source *dam.Source) error {
	sealed, err := source.Seal(u.obj.Mark)
	if err == nil {
		u.want.SHA256, u.want.Size = sealed.SHA256, sealed.Size
	}
	return err
}

// verified adds the digest that the server has verified and keeps.
func (u *upload) verified(stored written) written {
	if u.options().checksum == checksumSHA256 {
		stored.sha256 = u.want.SHA256
	}
	return stored
}

// putBuffered puts a body that fits into one part whole, and others in parts.
func (u *upload) putBuffered(ctx context.Context, source *dam.Source) (written, error) {
	if err := u.options().checkParts(source.Size()); err != nil {
		return written{}, err
	}
	buf, err := u.shared.buffers.take(ctx)
	if err != nil {
		return written{}, err
	}
	n, err := io.ReadFull(source, buf)
	if err == nil && source.Size() == int64(n) {
		_, err = io.ReadFull(source, make([]byte, 1)) // the end, where the source verifies
	}
	switch {
	case err == nil:
		return u.beginParts(ctx, source, buf)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		defer u.shared.buffers.give(buf)
		return u.putWhole(ctx, source, buf[:n])
	}
	u.shared.buffers.give(buf)
	return written{}, err
}

// putWhole puts a body that is in memory.
func (u *upload) putWhole(ctx context.Context, source *dam.Source, body []byte) (written, error) {
	if err := u.seal(source); err != nil {
		return written{}, err
	}
	in, err := u.putInput()
	if err != nil {
		return written{}, err
	}
	if err := u.checkLatest(ctx); err != nil {
		return written{}, err
	}
	in.Body, in.ContentLength = bytes.NewReader(body), aws.Int64(int64(len(body)))
	switch u.options().checksum {
	case checksumSHA256:
		raw, err := hex.DecodeString(u.want.SHA256)
		if err != nil {
			return written{}, fmt.Errorf("digest of body: %w", err)
		}
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(raw))
	case checksumCRC32C:
		in.ChecksumCRC32C = aws.String(crc32c(body))
	}
	stored, err := u.shared.client.put(ctx, u.dst.name, in, signature(u.options().signs()))
	return u.verified(stored), err
}

// beginParts begins a multipart upload. buf is its first part.
func (u *upload) beginParts(ctx context.Context, source *dam.Source, buf []byte) (written, error) {
	p, err := u.beginUpload(ctx)
	if err != nil {
		u.shared.buffers.give(buf)
		return written{}, err
	}
	return u.finishParts(ctx, p, source, buf)
}

func (u *upload) beginUpload(ctx context.Context) (*partSender, error) {
	o := u.options()
	h, want, err := newHeaders(o, u.want, true)
	u.want = want
	if err != nil {
		return nil, err
	}
	up, err := u.shared.uploads.begin(ctx, u.dst.name, h.uploadInput(o.partChecksum()))
	if err != nil {
		return nil, err
	}
	p := u.newSender(session{
		Upload: up, Version: want.Version, Size: u.obj.Mark.Size, PartSize: o.partSize, Description: u.description(),
	})
	if err := p.saveSession(ctx); err != nil {
		u.shared.uploads.abandon(ctx, up)
		return nil, err
	}
	return p, nil
}

func (u *upload) newSender(s session) *partSender {
	return &partSender{
		options: u.options(), uploads: u.shared.uploads, buffers: u.shared.buffers, save: u.obj.Upload.Save,
		session: s, noted: time.Now(), done: map[int32]types.CompletedPart{}, checkpoints: map[int32]dam.Checkpoint{},
	}
}

// description is a digest of the headers that u wants.
func (u *upload) description() string {
	return naming.Digest(u.want.description(), u.want.MetadataHash, fmt.Sprint(u.want.Generation), u.want.from)
}

// resume continues the multipart upload of a session. errNoUpload: it cannot be continued.
func (u *upload) resume(ctx context.Context, s session) (written, error) {
	if !s.fits(u.dst.name, u.obj.Mark, u.options().partSize) {
		return written{}, errNoUpload
	}
	_, want, err := newHeaders(u.options(), u.want, true)
	if err != nil {
		return written{}, err
	}
	u.want = want
	p := u.newSender(s)
	if err := p.resume(ctx); err != nil {
		return written{}, err
	}
	source, err := u.obj.Open(ctx, s.Checkpoint)
	if errors.Is(err, dam.ErrCheckpoint) {
		return written{}, fmt.Errorf("%w: %w", errNoUpload, err)
	}
	if err != nil {
		return written{}, err
	}
	defer source.Close()
	return u.finishParts(ctx, p, source, nil)
}

// finishParts sends what is left of the body and publishes the object. It abandons an upload
// that cannot be resumed.
func (u *upload) finishParts(ctx context.Context, p *partSender, source *dam.Source, first []byte) (written, error) {
	stored, err := u.publishParts(ctx, p, source, first)
	if err != nil && (u.obj.Upload.Save == nil || errors.Is(err, errChanged)) {
		u.shared.uploads.abandon(ctx, p.session.Upload)
	}
	return stored, err
}

func (u *upload) publishParts(ctx context.Context, p *partSender, source *dam.Source, first []byte) (written, error) {
	parts, err := p.send(ctx, source, first)
	if err != nil {
		return written{}, err
	}
	if err := u.checkLatest(ctx); err != nil {
		return written{}, err
	}
	if err := u.seal(source); err != nil {
		return written{}, err
	}
	stored, err := u.shared.uploads.complete(ctx, p.session.Upload, parts, u.want.Size, u.options().condition(u.dst))
	if err != nil || p.session.Description == u.description() {
		return stored, err
	}
	return u.replaceHeaders(ctx, stored)
}

// replaceHeaders replaces the headers of an upload that began with older ones.
func (u *upload) replaceHeaders(ctx context.Context, stored written) (written, error) {
	h, want, err := newHeaders(u.options(), u.want, true)
	u.want = want
	if err != nil {
		return written{}, err
	}
	at := u.dst.after(stored, want)
	return u.shared.copier.copy(ctx, at, at, h)
}
