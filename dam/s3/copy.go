package s3

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// transfer has the server copy at to dst, which may be itself, described by
// want there, and leaves all other places of the asset.
func (a *Adapter) transfer(ctx context.Context, at, dst place, want record, f found) (dam.Remote, error) {
	h, want, err := a.headers(want, false)
	if err != nil {
		return dam.Remote{}, err
	}
	if dst, err = a.sidecarRoom(ctx, dst, want); err != nil {
		return dam.Remote{}, err
	}
	if h.storageClass == "" {
		h.storageClass = at.storageClass // a copy is STANDARD unless told
	}
	var now place
	if at.size > a.copyLimit {
		now, err = a.copyParts(ctx, at, dst, h)
	} else {
		now, err = a.copyWhole(ctx, at, dst, h)
	}
	if err != nil {
		return dam.Remote{}, err
	}
	now.name, now.exists, now.ours, now.size, now.record, now.side = dst.name, true, true, at.size, want, dst.side
	return a.settle(ctx, now, want, f)
}

func (a *Adapter) copyWhole(ctx context.Context, at, dst place, h headers) (place, error) {
	api, err := a.connect(ctx)
	if err != nil {
		return place{}, err
	}
	in := &s3.CopyObjectInput{
		Bucket: &a.bucket, Key: aws.String(a.key(dst.name)), CopySource: a.copySource(at),
		CopySourceIfMatch: optional(at.etag), MetadataDirective: types.MetadataDirectiveReplace,
		Metadata: h.metadata, ContentType: h.contentType, CacheControl: h.cacheControl, ContentDisposition: h.disposition,
		StorageClass: h.storageClass, ServerSideEncryption: h.sse, SSEKMSKeyId: h.kmsKeyID,
	}
	if at.name != dst.name {
		c := a.condition(dst)
		in.IfMatch, in.IfNoneMatch = c.ifMatch, c.ifNoneMatch
	}
	if len(a.tags) > 0 {
		in.TaggingDirective, in.Tagging = types.TaggingDirectiveReplace, h.tagging
	}
	out, err := api.CopyObject(ctx, in)
	if err != nil {
		return place{}, afterWrite(ctx, "copy "+at.name, err)
	}
	now := place{}
	if out.CopyObjectResult != nil {
		now.etag = aws.ToString(out.CopyObjectResult.ETag)
		now.sha256 = hexOf(aws.ToString(out.CopyObjectResult.ChecksumSHA256))
	}
	return now, nil
}

// afterWrite makes a failed condition errChanged. A source of a copy that went
// away is one too.
func afterWrite(ctx context.Context, doing string, err error) error {
	if isChanged(err) || errorCode(err) == "NoSuchKey" {
		return fmt.Errorf("%s: %w: %w", doing, errChanged, err)
	}
	return classed(ctx, doing, err)
}

func (a *Adapter) copySource(at place) *string {
	segments := strings.Split(a.key(at.name), "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return aws.String(a.bucket + "/" + strings.ReplaceAll(strings.Join(segments, "/"), "+", "%2B"))
}

// copyParts copies what is too large for one request.
func (a *Adapter) copyParts(ctx context.Context, at, dst place, h headers) (place, error) {
	begun, err := a.beginUpload(ctx, dst.name, h, "")
	if err != nil {
		return place{}, err
	}
	parts, err := a.copyRanges(ctx, at, begun)
	now := place{}
	if err == nil {
		now, err = a.completeUpload(ctx, begun, parts, at.size, a.condition(dst))
	}
	if err != nil {
		a.abortUpload(ctx, begun)
	}
	return now, err
}

func (a *Adapter) copyRanges(ctx context.Context, at place, to openUpload) ([]types.CompletedPart, error) {
	api, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	parts := make([]types.CompletedPart, (at.size+a.copyPartSize-1)/a.copyPartSize)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookAhead)
	for i := range parts {
		from := int64(i) * a.copyPartSize
		last := min(from+a.copyPartSize, at.size) - 1
		number := aws.Int32(int32(i) + 1)
		g.Go(func() error {
			out, err := api.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
				Bucket: &a.bucket, Key: aws.String(a.key(to.Place)), UploadId: &to.UploadID, PartNumber: number,
				CopySource: a.copySource(at), CopySourceIfMatch: optional(at.etag),
				CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", from, last)),
			})
			if err != nil {
				return afterWrite(ctx, "copy part of "+at.name, err)
			}
			parts[i] = types.CompletedPart{PartNumber: number, ETag: out.CopyPartResult.ETag}
			return nil
		})
	}
	return parts, g.Wait()
}

// get opens the bytes of an object as it was looked at.
func (a *Adapter) get(ctx context.Context, at place) (io.ReadCloser, error) {
	api, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	out, err := api.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &a.bucket, Key: aws.String(a.key(at.name)), IfMatch: optional(at.etag),
	})
	if isChanged(err) || isMissing(err) {
		return nil, fmt.Errorf("read %s: %w: %w", at.name, errChanged, err)
	}
	if isRefusal(err) {
		return nil, a.refused(ctx, "read "+at.name, err)
	}
	if err != nil {
		return nil, classedRead(ctx, "read "+at.name, err)
	}
	return out.Body, nil
}
