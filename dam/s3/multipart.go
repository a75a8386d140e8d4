package s3

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// openUpload is an upload in parts that was begun and not yet completed.
type openUpload struct {
	Place    string `json:"place"`
	UploadID string `json:"upload_id"` // empty in the note of one that is about to begin
	Nonce    string `json:"nonce"`     // tells its note from those of others to the same place
}

// beginUpload begins an upload in parts. The note of it comes first, so that none is left
// without when the process dies in between.
func (a *Adapter) beginUpload(ctx context.Context, name string, h headers, checksum types.ChecksumAlgorithm) (openUpload, error) {
	api, err := a.connect(ctx)
	if err != nil {
		return openUpload{}, err
	}
	up := openUpload{Place: name, Nonce: rand.Text()}
	if err := a.noteUpload(ctx, up); err != nil {
		return up, err
	}
	out, err := api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &a.bucket, Key: aws.String(a.key(name)), ChecksumAlgorithm: checksum,
		Metadata: h.metadata, ContentType: h.contentType, CacheControl: h.cacheControl, ContentDisposition: h.disposition,
		Tagging: h.tagging, StorageClass: h.storageClass, ServerSideEncryption: h.sse, SSEKMSKeyId: h.kmsKeyID,
	})
	if err != nil {
		if status, _ := answered(err); status >= http.StatusBadRequest && status < http.StatusInternalServerError {
			a.forgetUpload(ctx, up) // otherwise it may have begun
		}
		return up, classed(ctx, "begin upload of "+name, err)
	}
	up.UploadID = aws.ToString(out.UploadId)
	if err := a.noteUpload(ctx, up); err != nil {
		a.abortUpload(ctx, up)
		return up, err
	}
	return up, nil
}

// completeUpload publishes an upload of size bytes, and looks whether they are there.
func (a *Adapter) completeUpload(
	ctx context.Context, up openUpload, parts []types.CompletedPart, size int64, c condition,
) (place, error) {
	api, err := a.connect(ctx)
	if err != nil {
		return place{}, err
	}
	out, err := api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &a.bucket, Key: aws.String(a.key(up.Place)), UploadId: &up.UploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}, IfMatch: c.ifMatch, IfNoneMatch: c.ifNoneMatch,
	})
	if err != nil {
		return place{}, afterWrite(ctx, "complete upload of "+up.Place, goneUpload(err))
	}
	a.forgetUpload(ctx, up)
	now := place{etag: aws.ToString(out.ETag)}
	return now, a.confirmSize(ctx, up.Place, size)
}

// confirmSize looks once more: no checksum is of the whole.
func (a *Adapter) confirmSize(ctx context.Context, name string, size int64) error {
	return dam.Repeat(ctx, func() error {
		at, err := a.head(ctx, a.key(name))
		if err == nil && (!at.exists || at.size != size) {
			err = fmt.Errorf("upload of %s: %w: %d bytes are there, %d were sent", name, dam.ErrTemporary, at.size, size)
		}
		return err
	})
}

const abortTimeout = 15 * time.Second

// abortUpload frees what an upload holds, also when ctx has ended. What fails
// here is left to clean.
func (a *Adapter) abortUpload(ctx context.Context, up openUpload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	if a.abort(ctx, up) == nil {
		a.forgetUpload(ctx, up)
	}
}

// abort is repeatable: an upload that is not there is success.
func (a *Adapter) abort(ctx context.Context, up openUpload) error {
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	_, err = api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &a.bucket, Key: aws.String(a.key(up.Place)), UploadId: &up.UploadID,
	})
	if isMissing(err) {
		return nil
	}
	return classed(ctx, "abort upload of "+up.Place, err)
}
