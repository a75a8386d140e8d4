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

// ScratchPrefix begins the last segment of every prefix that RemoveScratch empties.
const ScratchPrefix = "damsync-verify-"

// RemoveScratch deletes every object below the prefix in the given options, whatever program
// wrote it, and aborts the multipart uploads there. It is for a prefix in which adapters were
// tried. In a bucket with versions the objects stay behind delete markers. dam.ErrInvalid: the
// prefix does not have the name of a scratch prefix. It can be repeated.
func RemoveScratch(ctx context.Context, given map[string]any) error {
	a, err := New(given, "scratch", "scratch")
	if err != nil {
		return err
	}
	prefix := a.options.layout.prefix
	if !strings.HasPrefix(path.Base(prefix), ScratchPrefix) {
		return fmt.Errorf("remove scratch objects: %w: the last segment of prefix %q must begin with %s",
			dam.ErrInvalid, prefix, ScratchPrefix)
	}
	if err := abortAll(ctx, a.uploads); err != nil {
		return err
	}
	for o, err := range a.client.list(ctx, "") {
		if err == nil {
			err = a.client.remove(ctx, o.name, "")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// abortAll aborts the multipart uploads below the prefix, whatever program began them.
func abortAll(ctx context.Context, m *multiparts) error {
	o := m.client.options
	pages := s3.NewListMultipartUploadsPaginator(m.client.conn, &s3.ListMultipartUploadsInput{
		Bucket: &o.bucket, Prefix: &o.layout.prefix,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return classedRead(ctx, "list uploads", err)
		}
		for _, u := range page.Uploads {
			up := openUpload{Name: o.layout.name(aws.ToString(u.Key)), UploadID: aws.ToString(u.UploadId)}
			if err := m.abort(ctx, up); err != nil {
				return err
			}
		}
	}
	return nil
}
