package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"
	"time"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// client sends the requests about single objects of one bucket, and adds a class to
// their errors. It does not retry, except for listings.
type client struct {
	conn    *connection
	options *options
}

// written is what the server says of an object that it has stored.
type written struct {
	etag   string
	sha256 string // hex; empty when the server does not keep it
}

// condition says when a write may happen. The zero value is always.
type condition struct {
	ifMatch     *string
	ifNoneMatch *string
}

// head returns the headers of an object. dam.ErrNotFound: nothing is there.
func (c *client) head(ctx context.Context, name string) (*s3.HeadObjectOutput, error) {
	out, err := c.rawHead(ctx, name)
	return out, c.readError(ctx, "look at "+name, err)
}

func (c *client) rawHead(ctx context.Context, name string) (*s3.HeadObjectOutput, error) {
	in := &s3.HeadObjectInput{Bucket: &c.options.bucket, Key: c.key(name)}
	if c.options.checksum == checksumSHA256 {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	return call(ctx, c.conn, (*s3.Client).HeadObject, in)
}

// get opens an object. With an etag, it returns errChanged when the object has
// changed or is gone; without one, dam.ErrNotFound when it is not there.
func (c *client) get(ctx context.Context, name, etag string) (*s3.GetObjectOutput, error) {
	out, err := call(ctx, c.conn, (*s3.Client).GetObject, &s3.GetObjectInput{
		Bucket: &c.options.bucket, Key: c.key(name), IfMatch: optional(etag),
	})
	if isChanged(err) || isMissing(err) && etag != "" {
		return nil, fmt.Errorf("read %s: %w: %w", name, errChanged, err)
	}
	return out, c.readError(ctx, "read "+name, err)
}

// read returns the bytes of a small object: at most one more than limit, which shows that
// the object is too large.
func (c *client) read(ctx context.Context, name, etag string, limit int64) ([]byte, error) {
	out, err := c.get(ctx, name, etag)
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(out.Body, limit+1))
	return raw, classedRead(ctx, "read "+name, err)
}

// readError returns err with its class after a HEAD or GET failed.
func (c *client) readError(ctx context.Context, doing string, err error) error {
	switch {
	case isMissing(err):
		return fmt.Errorf("%s: %w", doing, dam.ErrNotFound)
	case isRefusal(err):
		return c.refused(ctx, doing, err)
	}
	return classedRead(ctx, doing, err)
}

// errRefused says that the server refuses one object and answers for others: the object
// is encrypted with a key that we lack, or belongs to another account.
var errRefused = errors.New("the server refuses access to this object only")

// refused returns the class of a refusal. When the server answers for a name without an
// object, credentials and region are right, and the refusal concerns this object only.
// Such an object is foreign, since its ownership mark cannot be read.
func (c *client) refused(ctx context.Context, doing string, err error) error {
	if errors.Is(codeClass(errorCode(err), nil), dam.ErrInvalid) {
		return classedRead(ctx, doing, err) // the server says why
	}
	_, probe := c.rawHead(ctx, unusedName)
	switch {
	case probe == nil, isMissing(probe):
		return fmt.Errorf("%s: %w: %w: %w", doing, dam.ErrForeign, errRefused, err)
	case isRefusal(probe):
		return c.refusedAlways(ctx, doing, err)
	}
	return classedRead(ctx, doing, probe)
}

// refusedAlways returns the class of a refusal that concerns every object. The
// credentials may be outdated; the next request reads them again.
func (c *client) refusedAlways(ctx context.Context, doing string, err error) error {
	c.conn.disconnect()
	return classedRead(ctx, doing, explainRefusal(c.options.region, err))
}

// put stores an object.
func (c *client) put(
	ctx context.Context, name string, in *s3.PutObjectInput, with ...func(*s3.Options),
) (written, error) {
	in.Bucket, in.Key = &c.options.bucket, c.key(name)
	out, err := call(ctx, c.conn, (*s3.Client).PutObject, in, with...)
	if err != nil {
		return written{}, classedWrite(ctx, "send "+name, err)
	}
	return written{etag: aws.ToString(out.ETag)}, nil
}

// copy has the server copy from to the name.
func (c *client) copy(ctx context.Context, from place, name string, in *s3.CopyObjectInput) (written, error) {
	in.Bucket, in.Key = &c.options.bucket, c.key(name)
	in.CopySource, in.CopySourceIfMatch = c.copySource(from.name), optional(from.etag)
	out, err := call(ctx, c.conn, (*s3.Client).CopyObject, in)
	if err != nil {
		return written{}, classedWrite(ctx, "copy "+from.name, err)
	}
	w := written{}
	if out.CopyObjectResult != nil {
		w.etag = aws.ToString(out.CopyObjectResult.ETag)
		w.sha256 = hexOf(aws.ToString(out.CopyObjectResult.ChecksumSHA256))
	}
	return w, nil
}

// remove deletes an object, if it still has the etag. Nothing there is success. In a bucket
// with versions the server adds a delete marker.
func (c *client) remove(ctx context.Context, name, etag string) error {
	in := &s3.DeleteObjectInput{Bucket: &c.options.bucket, Key: c.key(name)}
	if c.options.conditional {
		in.IfMatch = optional(etag)
	}
	_, err := call(ctx, c.conn, (*s3.Client).DeleteObject, in)
	if isMissing(err) {
		return nil
	}
	return classedWrite(ctx, "remove "+name, err)
}

// listed is an object as a listing shows it.
type listed struct {
	name     string
	modified time.Time // by the server's clock
}

// list yields the objects whose names begin with prefix. It repeats a request that
// fails temporarily, because its caller cannot once the listing has begun.
func (c *client) list(ctx context.Context, prefix string) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		pages := s3.NewListObjectsV2Paginator(c.conn, &s3.ListObjectsV2Input{Bucket: &c.options.bucket, Prefix: c.key(prefix)})
		for pages.HasMorePages() {
			var page *s3.ListObjectsV2Output
			err := dam.Repeat(ctx, func() (err error) {
				page, err = pages.NextPage(ctx)
				return classedRead(ctx, "list objects", err)
			})
			if err != nil {
				yield(listed{}, err)
				return
			}
			for _, o := range page.Contents {
				if !yield(listed{c.options.layout.name(aws.ToString(o.Key)), aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// copySource returns the header that names an object to copy from.
func (c *client) copySource(name string) *string {
	segments := strings.Split(c.options.layout.key(name), "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return aws.String(c.options.bucket + "/" + strings.ReplaceAll(strings.Join(segments, "/"), "+", "%2B"))
}

func (c *client) key(name string) *string { return aws.String(c.options.layout.key(name)) }
