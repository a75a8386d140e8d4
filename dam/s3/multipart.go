package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// multiparts begins, completes and aborts multipart uploads.
type multiparts struct {
	client *client
	notes  *notes
	maxAge time.Duration // of the note of an upload that is not abandoned
}

const defaultMaxAge = 24 * time.Hour

// openUpload is a multipart upload that is neither completed nor aborted.
type openUpload struct {
	Name     string `json:"name"`
	UploadID string `json:"upload_id"`
}

// begin begins an upload and writes its note before any part is sent: an open upload
// without parts takes no room. It also aborts abandoned uploads; where that fails, the
// next call tries again.
func (m *multiparts) begin(ctx context.Context, name string, in *s3.CreateMultipartUploadInput) (openUpload, error) {
	_ = m.clean(ctx)
	o := m.client.options
	in.Bucket, in.Key = &o.bucket, m.client.key(name)
	out, err := call(ctx, m.client.conn, (*s3.Client).CreateMultipartUpload, in)
	if err != nil {
		return openUpload{}, classed(ctx, "begin upload of "+name, err)
	}
	up := openUpload{Name: name, UploadID: aws.ToString(out.UploadId)}
	if err := m.notes.write(ctx, up); err != nil {
		m.abandon(ctx, up)
		return up, err
	}
	return up, nil
}

// put sends a part. errNoUpload: the server does not know the upload.
func (m *multiparts) put(
	ctx context.Context, up openUpload, in *s3.UploadPartInput, with ...func(*s3.Options),
) (types.CompletedPart, error) {
	in.Bucket, in.Key, in.UploadId = &m.client.options.bucket, m.client.key(up.Name), &up.UploadID
	out, err := call(ctx, m.client.conn, (*s3.Client).UploadPart, in, with...)
	if err != nil {
		return types.CompletedPart{}, classed(ctx, fmt.Sprintf("send part %d", *in.PartNumber), goneUpload(err))
	}
	return types.CompletedPart{PartNumber: in.PartNumber, ETag: out.ETag, ChecksumCRC32C: in.ChecksumCRC32C}, nil
}

// copy has the server copy a range of from into a part.
func (m *multiparts) copy(
	ctx context.Context, up openUpload, from place, in *s3.UploadPartCopyInput,
) (types.CompletedPart, error) {
	in.Bucket, in.Key, in.UploadId = &m.client.options.bucket, m.client.key(up.Name), &up.UploadID
	in.CopySource, in.CopySourceIfMatch = m.client.copySource(from.name), optional(from.etag)
	out, err := call(ctx, m.client.conn, (*s3.Client).UploadPartCopy, in)
	if err != nil {
		return types.CompletedPart{}, classedWrite(ctx, "copy part of "+from.name, err)
	}
	return types.CompletedPart{PartNumber: in.PartNumber, ETag: out.CopyPartResult.ETag}, nil
}

// list returns the parts that the server has. errNoUpload: it does not know the upload.
func (m *multiparts) list(ctx context.Context, up openUpload) ([]types.Part, error) {
	pages := s3.NewListPartsPaginator(m.client.conn, &s3.ListPartsInput{
		Bucket: &m.client.options.bucket, Key: m.client.key(up.Name), UploadId: &up.UploadID,
	})
	var parts []types.Part
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classedRead(ctx, "list parts", goneUpload(err))
		}
		parts = append(parts, page.Parts...)
	}
	return parts, nil
}

// complete publishes the object that the parts make, and confirms its size, since no
// checksum covers the whole.
func (m *multiparts) complete(
	ctx context.Context, up openUpload, parts []types.CompletedPart, size int64, on condition,
) (written, error) {
	out, err := call(ctx, m.client.conn, (*s3.Client).CompleteMultipartUpload, &s3.CompleteMultipartUploadInput{
		Bucket: &m.client.options.bucket, Key: m.client.key(up.Name), UploadId: &up.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, IfMatch: on.ifMatch, IfNoneMatch: on.ifNoneMatch,
	})
	if err != nil {
		return written{}, classedWrite(ctx, "complete upload of "+up.Name, goneUpload(err))
	}
	m.notes.remove(ctx, up)
	return written{etag: aws.ToString(out.ETag)}, m.confirmSize(ctx, up.Name, size)
}

func (m *multiparts) confirmSize(ctx context.Context, name string, size int64) error {
	return dam.Repeat(ctx, func() error {
		var stored int64
		head, err := m.client.head(ctx, name)
		switch {
		case err == nil:
			stored = aws.ToInt64(head.ContentLength)
		case !errors.Is(err, dam.ErrNotFound):
			return err
		}
		if stored != size {
			return fmt.Errorf("upload of %s: %w: %d bytes are stored, %d were sent", name, dam.ErrTemporary, stored, size)
		}
		return nil
	})
}

const abandonTimeout = 15 * time.Second

// abandon aborts an upload, also after ctx has ended. Where that fails, clean aborts it later.
func (m *multiparts) abandon(ctx context.Context, up openUpload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	if m.abort(ctx, up) == nil {
		m.notes.remove(ctx, up)
	}
}

// abandonSession is abandon for the upload of a session, which may be any bytes.
func (m *multiparts) abandonSession(ctx context.Context, raw []byte) {
	if s, ok := parseSession(raw); ok {
		m.abandon(ctx, s.Upload)
	}
}

// abort discards the parts of an upload. An upload that does not exist is success.
func (m *multiparts) abort(ctx context.Context, up openUpload) error {
	_, err := call(ctx, m.client.conn, (*s3.Client).AbortMultipartUpload, &s3.AbortMultipartUploadInput{
		Bucket: &m.client.options.bucket, Key: m.client.key(up.Name), UploadId: &up.UploadID,
	})
	if isMissing(err) {
		return nil
	}
	return classed(ctx, "abort upload of "+up.Name, err)
}

// clean aborts the uploads whose notes have reached maxAge. One that cannot be aborted
// keeps its note and does not prevent the others from being aborted.
func (m *multiparts) clean(ctx context.Context) error {
	var failed []error
	for note, err := range m.notes.list(ctx) {
		if err != nil {
			return err
		}
		if time.Since(note.modified) < m.maxAge {
			continue
		}
		up, err := m.notes.read(ctx, note.name)
		if errors.Is(err, dam.ErrNotFound) {
			continue // the upload has ended meanwhile
		}
		if err == nil {
			err = m.abort(ctx, up)
		}
		if err == nil {
			m.notes.remove(ctx, up)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
