package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// An upload in parts cannot be seen to be ours: the server tells no metadata of
// it. So a note of each is kept beside the objects until it ends, and what has
// a note older than this is aborted. Uploads of others are left alone.
const defaultLeftoverAge = 24 * time.Hour

// How often leftovers are looked for, and how soon again when that failed.
const (
	cleanEvery = time.Hour
	cleanAgain = 5 * time.Minute
)

const maxNoteBytes = 16 << 10

// notesDir is where the notes of this target of this installation are.
func (a *Adapter) notesDir() string {
	return stateDir + digest(a.instance, a.target)[:16] + "/uploads/"
}

func (a *Adapter) noteKey(up openUpload) *string {
	return aws.String(a.key(a.notesDir() + digest(up.Place, up.Nonce)[:32] + ".json"))
}

// noteUpload writes the note of up, or writes it anew, which makes it young.
func (a *Adapter) noteUpload(ctx context.Context, up openUpload) error {
	body, err := json.Marshal(up)
	if err != nil {
		return fmt.Errorf("encode note of upload: %w", err)
	}
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	_, err = api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &a.bucket, Key: a.noteKey(up), Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
		ServerSideEncryption: a.sse, SSEKMSKeyId: optional(a.kmsKeyID),
	})
	return classed(ctx, "write note of upload", err)
}

// forgetUpload removes the note. One that stays costs an abort that finds
// nothing.
func (a *Adapter) forgetUpload(ctx context.Context, up openUpload) {
	api, err := a.connect(ctx)
	if err != nil {
		return
	}
	_, _ = api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.bucket, Key: a.noteKey(up)})
}

// cleanWhenDue cleans once an hour, whatever is asked of the target then.
func (a *Adapter) cleanWhenDue(ctx context.Context) {
	a.mu.Lock()
	due := !time.Now().Before(a.cleanNext)
	a.mu.Unlock()
	if due {
		a.tryToClean(ctx)
	}
}

// tryToClean cleans. What fails is no matter of the call at hand and is tried again soon.
func (a *Adapter) tryToClean(ctx context.Context) {
	a.cleanIn(cleanEvery) // others need not meanwhile
	if a.clean(ctx) != nil {
		a.cleanIn(cleanAgain)
	}
}

func (a *Adapter) cleanIn(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanNext = time.Now().Add(d)
}

// clean aborts uploads that were left a day ago or earlier. One that cannot be
// aborted keeps its note and hinders no other.
func (a *Adapter) clean(ctx context.Context) error {
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	pages := s3.NewListObjectsV2Paginator(api, &s3.ListObjectsV2Input{
		Bucket: &a.bucket, Prefix: aws.String(a.key(a.notesDir())),
	})
	var failed []error
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return classedRead(ctx, "list notes of uploads", err)
		}
		for _, o := range page.Contents {
			if written := aws.ToTime(o.LastModified); time.Since(written) >= a.leftoverAge {
				failed = append(failed, a.abortNoted(ctx, aws.ToString(o.Key), written))
			}
		}
	}
	return errors.Join(failed...)
}

// abortNoted aborts what a note tells of. Without an id the process died as it
// began the upload.
func (a *Adapter) abortNoted(ctx context.Context, key string, written time.Time) error {
	body, err := a.get(ctx, place{name: a.place(key)})
	if errors.Is(err, errChanged) {
		return nil // it has ended meanwhile
	}
	if err != nil {
		return err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxNoteBytes))
	if err != nil {
		return classedRead(ctx, "read note of upload", err)
	}
	var noted openUpload
	if json.Unmarshal(raw, &noted) != nil || noted.Place == "" {
		return fmt.Errorf("note of upload %s: %w: not one of ours", key, dam.ErrForeign)
	}
	uploads := []openUpload{noted}
	if noted.UploadID == "" {
		if uploads, err = a.begunThen(ctx, noted.Place, written); err != nil {
			return err
		}
	}
	for _, up := range uploads {
		if err := a.abort(ctx, up); err != nil {
			return err
		}
	}
	a.forgetUpload(ctx, noted)
	return nil
}

// begunAfter is how long after its note an upload may have begun; both times are
// the server's.
const begunAfter = time.Minute

// begunThen lists the open uploads to a place that were begun right after their note.
func (a *Adapter) begunThen(ctx context.Context, name string, written time.Time) ([]openUpload, error) {
	api, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	key := a.key(name)
	pages := s3.NewListMultipartUploadsPaginator(api, &s3.ListMultipartUploadsInput{Bucket: &a.bucket, Prefix: &key})
	var begun []openUpload
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classedRead(ctx, "list uploads to "+name, err)
		}
		for _, u := range page.Uploads {
			after := aws.ToTime(u.Initiated).Sub(written)
			if aws.ToString(u.Key) == key && after > -2*time.Second && after < begunAfter { // times have whole seconds
				begun = append(begun, openUpload{Place: name, UploadID: aws.ToString(u.UploadId)})
			}
		}
	}
	return begun, nil
}
