package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// copier has the server copy objects.
type copier struct {
	client   *client
	uploads  *multiparts
	limit    int64 // the largest object that one request copies
	partSize int64
}

// copy copies from to dst, which may be the same, with the headers h.
func (c *copier) copy(ctx context.Context, from, dst place, h headers) (written, error) {
	if from.size > c.limit {
		return c.copyParts(ctx, from, dst, h)
	}
	on := condition{}
	if from.name != dst.name { // otherwise the condition on the source is enough
		on = c.client.options.condition(dst)
	}
	in := h.copyInput(on)
	if len(c.client.options.tags) > 0 {
		in.TaggingDirective = types.TaggingDirectiveReplace
	}
	return c.client.copy(ctx, from, dst.name, in)
}

func (c *copier) copyParts(ctx context.Context, from, dst place, h headers) (written, error) {
	up, err := c.uploads.begin(ctx, dst.name, h.uploadInput(""))
	if err != nil {
		return written{}, err
	}
	parts, err := c.copyRanges(ctx, from, up)
	var stored written
	if err == nil {
		stored, err = c.uploads.complete(ctx, up, parts, from.size, c.client.options.condition(dst))
	}
	if err != nil {
		c.uploads.abandon(ctx, up)
	}
	return stored, err
}

func (c *copier) copyRanges(ctx context.Context, from place, up openUpload) ([]types.CompletedPart, error) {
	parts := make([]types.CompletedPart, (from.size+c.partSize-1)/c.partSize)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(maxRequests)
	for i := range parts {
		first := int64(i) * c.partSize
		last := min(first+c.partSize, from.size) - 1
		g.Go(func() (err error) {
			parts[i], err = c.uploads.copy(ctx, up, from, &s3.UploadPartCopyInput{
				PartNumber: aws.Int32(int32(i) + 1), CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", first, last)),
			})
			return err
		})
	}
	return parts, g.Wait()
}
