package s3

import (
	"context"
	"fmt"
	"path"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// ScratchPrefix begins the last part of every prefix that RemoveScratch empties.
const ScratchPrefix = "damsync-verify-"

// RemoveScratch deletes everything under the prefix of given, which are the options of
// an adapter, whoever put it there, and aborts the uploads that are open there: a
// place in which adapters were tried leaves nothing. In a bucket with versions
// they stay behind delete markers. ErrInvalid: the prefix is not named as a scratch
// place. It may be repeated.
func RemoveScratch(ctx context.Context, given map[string]any) error {
	a, err := New(given, "scratch", "scratch")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(path.Base(a.prefix), ScratchPrefix) {
		return fmt.Errorf("remove scratch objects: %w: prefix %q is not named %s…", dam.ErrInvalid, a.prefix, ScratchPrefix)
	}
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if err := a.abortAll(ctx, api); err != nil {
		return err
	}
	return a.deleteAll(ctx, api)
}

func (a *Adapter) deleteAll(ctx context.Context, api *s3.Client) error {
	pages := s3.NewListObjectsV2Paginator(api, &s3.ListObjectsV2Input{Bucket: &a.bucket, Prefix: &a.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return classedRead(ctx, "list scratch objects", err)
		}
		for _, o := range page.Contents {
			if _, err := api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.bucket, Key: o.Key}); err != nil {
				return classed(ctx, "delete scratch object "+aws.ToString(o.Key), err)
			}
		}
	}
	return nil
}

// abortAll aborts what was begun and not completed.
func (a *Adapter) abortAll(ctx context.Context, api *s3.Client) error {
	pages := s3.NewListMultipartUploadsPaginator(api, &s3.ListMultipartUploadsInput{Bucket: &a.bucket, Prefix: &a.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return classedRead(ctx, "list scratch uploads", err)
		}
		for _, u := range page.Uploads {
			_, err := api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &a.bucket, Key: u.Key, UploadId: u.UploadId})
			if err != nil && !isMissing(err) {
				return classed(ctx, "abort scratch upload of "+aws.ToString(u.Key), err)
			}
		}
	}
	return nil
}
