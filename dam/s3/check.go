package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// checker tries whether the bucket can be used.
type checker struct {
	client  *client
	options *options
}

// check tries a listing of one object, a look at an object that does not exist, a multipart
// upload that it begins and aborts, and the removal of an object that does not exist. It omits
// the last in a bucket with versions, and where the server does not say whether it has versions,
// because it would leave a delete marker.
func (c *checker) check(ctx context.Context, populated bool) error {
	empty, listErr := c.list(ctx)
	if listErr != nil && !isDenied(listErr, dam.NeedList) {
		return fmt.Errorf("check target: %w", listErr) // nothing else can succeed
	}
	if listErr == nil {
		listErr = c.read(ctx) // without permission to list, absence looks like a refusal
	}
	if err := errors.Join(listErr, c.write(ctx), c.remove(ctx)); err != nil {
		return fmt.Errorf("check target: %w", err)
	}
	if empty && populated {
		return fmt.Errorf("check target: %w: damsync has put objects under prefix %q of bucket %s, but there are none. "+
			"Correct option bucket or prefix; if the bucket was emptied on purpose, put any object under %s, and damsync pushes all assets again",
			dam.ErrUnavailable, c.options.layout.prefix, c.options.bucket, c.options.layout.key(stateDir))
	}
	return nil
}

func isDenied(err error, need dam.Need) bool {
	var denied *dam.Denied
	return errors.As(err, &denied) && denied.Need == need
}

// deny returns err with the missing permission, when the server refuses without a better reason.
func deny(ctx context.Context, doing string, need dam.Need, advice string, err error) error {
	err = classedRead(ctx, doing, err)
	var denied *dam.Denied
	if errors.Is(err, dam.ErrAuth) && !errors.As(err, &denied) {
		return &dam.Denied{Need: need, Advice: advice, Err: err}
	}
	return err
}

func (c *checker) list(ctx context.Context) (empty bool, err error) {
	o := c.options
	out, err := c.client.conn.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &o.bucket, Prefix: &o.layout.prefix, MaxKeys: aws.Int32(1),
	})
	if err != nil {
		if denied := c.explainList(err); denied != nil {
			return false, denied
		}
		return false, deny(ctx, "list bucket "+o.bucket, dam.NeedList, "allow s3:ListBucket on bucket "+o.bucket, err)
	}
	return len(out.Contents) == 0, nil
}

// explainList adds advice when the bucket does not exist or the endpoint is no S3 server.
// Otherwise it returns nil.
func (c *checker) explainList(err error) error {
	if errorCode(err) == "NoSuchBucket" {
		return &dam.Denied{
			Need: dam.NeedContainer, Advice: "create bucket " + c.options.bucket + " or correct option bucket", Err: err,
		}
	}
	var plain tls.RecordHeaderError
	var unreadable *smithy.DeserializationError
	status, _ := answer(err)
	switch {
	case c.options.endpoint == "" || status >= http.StatusInternalServerError: // AWS, or perhaps a proxy's answer
		return nil
	case errors.As(err, &plain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return &dam.Denied{
			Need: dam.NeedRegion, Advice: "the server at option endpoint does not speak TLS; begin the URL with http://", Err: err,
		}
	case status == http.StatusNotFound, errors.As(err, &unreadable):
		return &dam.Denied{
			Need: dam.NeedRegion, Err: err,
			Advice: "the server at option endpoint is no S3 server; correct host, port or path, or try path_style: true",
		}
	}
	return nil
}

func (c *checker) read(ctx context.Context) error {
	_, err := c.client.rawHead(ctx, unusedName)
	switch {
	case isMissing(err):
		return nil
	case isRefusal(err):
		err = c.client.refusedAlways(ctx, "look at "+unusedName, err)
	}
	return deny(ctx, "read objects", dam.NeedRead, "allow s3:GetObject on "+c.options.objectsARN(), err)
}

func (c *checker) write(ctx context.Context) error {
	on := c.options.objectsARN()
	if err := c.tryUpload(ctx, ""); err != nil {
		return deny(ctx, "begin an upload", dam.NeedWrite, "allow s3:PutObject and s3:AbortMultipartUpload on "+on, err)
	}
	if len(c.options.tags) == 0 {
		return nil
	}
	return deny(ctx, "begin an upload with a tag", dam.NeedTag,
		"allow s3:PutObjectTagging on "+on+", or remove option tags", c.tryUpload(ctx, "damsync=check"))
}

// tryUpload begins a multipart upload and aborts it.
func (c *checker) tryUpload(ctx context.Context, tagging string) error {
	o, key := c.options, c.client.key(unusedName)
	out, err := call(ctx, c.client.conn, (*s3.Client).CreateMultipartUpload, &s3.CreateMultipartUploadInput{
		Bucket: &o.bucket, Key: key, Tagging: optional(tagging), StorageClass: o.storageClass,
		ServerSideEncryption: o.sse, SSEKMSKeyId: optional(o.kmsKeyID),
	})
	if err != nil {
		return err
	}
	_, err = call(ctx, c.client.conn, (*s3.Client).AbortMultipartUpload, &s3.AbortMultipartUploadInput{
		Bucket: &o.bucket, Key: key, UploadId: out.UploadId,
	})
	return err
}

func (c *checker) remove(ctx context.Context) error {
	o := c.options
	versions, err := call(ctx, c.client.conn, (*s3.Client).GetBucketVersioning, &s3.GetBucketVersioningInput{Bucket: &o.bucket})
	if err != nil || versions.Status != "" {
		return nil //nolint:nilerr // nothing else needs that permission
	}
	return deny(ctx, "remove an object", dam.NeedDelete, "allow s3:DeleteObject on "+o.objectsARN(),
		c.client.remove(ctx, unusedName, ""))
}
