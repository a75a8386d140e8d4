package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Check implements dam.Adapter by trying: a listing of one, a look at an object
// that is not there, an upload that is begun and aborted. Whether objects may
// be removed is not tried, as that would leave a delete marker.
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
	if err := errors.Join(listErr, a.checkWrite(ctx, api)); err != nil {
		return fmt.Errorf("check target: %w", err)
	}
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
func deny(doing string, need dam.Need, advice string, err error) error {
	err = classedRead(doing, err)
	var denied *dam.Denied
	if errors.Is(err, dam.ErrAuth) && !errors.As(err, &denied) {
		return &dam.Denied{Need: need, Advice: advice, Err: err}
	}
	return err
}

func (a *Adapter) checkList(ctx context.Context, api *s3.Client) (empty bool, err error) {
	out, err := api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &a.bucket, Prefix: &a.prefix, MaxKeys: aws.Int32(1)})
	if err != nil {
		if status, _ := answered(err); status == http.StatusNotFound {
			return false, &dam.Denied{
				Need: dam.NeedContainer, Advice: "make bucket " + a.bucket + ", or correct option bucket", Err: err,
			}
		}
		return false, deny("list bucket "+a.bucket, dam.NeedList, "allow s3:ListBucket on bucket "+a.bucket, err)
	}
	return len(out.Contents) == 0, nil
}

const checkName = stateDir + "check" // where nothing ever is

func (a *Adapter) checkRead(ctx context.Context) error {
	_, err := a.head(ctx, a.key(checkName))
	return deny("look at an object", dam.NeedRead, "allow s3:GetObject on "+a.objects(), err)
}

func (a *Adapter) objects() string { return a.bucket + "/" + a.prefix + "*" }

func (a *Adapter) checkWrite(ctx context.Context, api *s3.Client) error {
	err := a.tryUpload(ctx, api, "")
	if err != nil {
		return deny("begin an upload", dam.NeedWrite,
			"allow s3:PutObject and s3:AbortMultipartUpload on "+a.objects(), err)
	}
	if len(a.tags) == 0 {
		return nil
	}
	return deny("begin an upload with a tag", dam.NeedTag,
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
