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

// Check implements dam.Adapter by trying: a listing of one, a look at an object
// that is not there, an upload that is begun and aborted, the removal of an
// object that is not there. In a bucket with versions, or where the server does
// not tell, the last is not tried, as it would leave a delete marker.
func (a *Adapter) Check(ctx context.Context, populated bool) error {
	api, err := a.connect(ctx)
	if err != nil {
		return fmt.Errorf("check target: %w", err)
	}
	empty, listErr := a.checkList(ctx, api)
	if listErr != nil && !isDenied(listErr, dam.NeedList) {
		return fmt.Errorf("check target: %w", listErr) // nothing else could go well
	}
	if listErr == nil {
		listErr = a.checkRead(ctx) // without it, absence looks like a refusal
	}
	if err := errors.Join(listErr, a.checkWrite(ctx, api), a.checkRemove(ctx, api)); err != nil {
		return fmt.Errorf("check target: %w", err)
	}
	a.tryToClean(ctx)
	if empty && populated {
		return fmt.Errorf("check target: %w: damsync has put objects under %q of bucket %s, but nothing is there: "+
			"is it the right bucket? If it was emptied on purpose, put any object below %s and all assets are pushed anew",
			dam.ErrUnavailable, a.prefix, a.bucket, a.key(stateDir))
	}
	return nil
}

func isDenied(err error, need dam.Need) bool {
	var denied *dam.Denied
	return errors.As(err, &denied) && denied.Need == need
}

// deny names what is missing when the server refuses without a better reason.
func deny(ctx context.Context, doing string, need dam.Need, advice string, err error) error {
	err = classedRead(ctx, doing, err)
	var denied *dam.Denied
	if errors.Is(err, dam.ErrAuth) && !errors.As(err, &denied) {
		return &dam.Denied{Need: need, Advice: advice, Err: err}
	}
	return err
}

func (a *Adapter) checkList(ctx context.Context, api *s3.Client) (empty bool, err error) {
	out, err := api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &a.bucket, Prefix: &a.prefix, MaxKeys: aws.Int32(1)})
	if err != nil {
		if denied := a.nothingToList(err); denied != nil {
			return false, denied
		}
		return false, deny(ctx, "list bucket "+a.bucket, dam.NeedList, "allow s3:ListBucket on bucket "+a.bucket, err)
	}
	return len(out.Contents) == 0, nil
}

// nothingToList tells a bucket that is not there from an endpoint where no S3
// answers. nil: it is neither.
func (a *Adapter) nothingToList(err error) error {
	if errorCode(err) == "NoSuchBucket" {
		return &dam.Denied{
			Need: dam.NeedContainer, Advice: "make bucket " + a.bucket + ", or correct option bucket", Err: err,
		}
	}
	var plain tls.RecordHeaderError
	var unreadable *smithy.DeserializationError
	status, _ := answered(err)
	switch {
	case a.endpoint == "" || status >= http.StatusInternalServerError: // it is AWS, or may be a proxy's answer
		return nil
	case errors.As(err, &plain), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return &dam.Denied{Need: dam.NeedRegion, Advice: "no TLS is spoken at option endpoint; does it begin with http://?", Err: err}
	case status == http.StatusNotFound, errors.As(err, &unreadable):
		return &dam.Denied{
			Need: dam.NeedRegion, Advice: "what answers at option endpoint is no S3; correct its host, port or path, or try path_style: true", Err: err,
		}
	}
	return nil
}

const checkName = stateDir + "check" // where nothing ever is

func (a *Adapter) checkRead(ctx context.Context) error {
	_, err := a.ask(ctx, a.key(checkName))
	switch {
	case isMissing(err):
		return nil
	case isRefusal(err):
		err = a.refusal(ctx, "look at what is not there", err)
	}
	return deny(ctx, "look at an object", dam.NeedRead, "allow s3:GetObject on "+a.objects(), err)
}

func (a *Adapter) objects() string { return a.bucket + "/" + a.prefix + "*" }

func (a *Adapter) checkWrite(ctx context.Context, api *s3.Client) error {
	err := a.tryUpload(ctx, api, "")
	if err != nil {
		return deny(ctx, "begin an upload", dam.NeedWrite,
			"allow s3:PutObject and s3:AbortMultipartUpload on "+a.objects(), err)
	}
	if len(a.tags) == 0 {
		return nil
	}
	return deny(ctx, "begin an upload with a tag", dam.NeedTag,
		"allow s3:PutObjectTagging on "+a.objects()+", or leave out option tags", a.tryUpload(ctx, api, "damsync=check"))
}

// tryUpload begins an upload in parts and aborts it.
func (a *Adapter) tryUpload(ctx context.Context, api *s3.Client, tagging string) error {
	key := aws.String(a.key(checkName))
	out, err := api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &a.bucket, Key: key, Tagging: optional(tagging), StorageClass: a.storageClass,
		ServerSideEncryption: a.sse, SSEKMSKeyId: optional(a.kmsKeyID),
	})
	if err != nil {
		return err
	}
	_, err = api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &a.bucket, Key: key, UploadId: out.UploadId})
	return err
}

func (a *Adapter) checkRemove(ctx context.Context, api *s3.Client) error {
	versions, err := api.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &a.bucket})
	if err != nil || versions.Status != "" {
		return nil //nolint:nilerr // nobody needs that permission otherwise
	}
	_, err = api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.bucket, Key: aws.String(a.key(checkName))})
	if isMissing(err) {
		return nil
	}
	return deny(ctx, "remove an object", dam.NeedDelete, "allow s3:DeleteObject on "+a.objects(), err)
}
