package s3

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// An upload in parts cannot be seen to be ours: the server tells no metadata of
// it. So a note of each is kept beside the objects until it ends, and what is
// older than this is aborted. Uploads of others are left alone.
const defaultLeftoverAge = 24 * time.Hour

type uploadNote struct {
	Place    string `json:"place"`
	UploadID string `json:"upload_id"`
}

const maxNoteBytes = 16 << 10

// notesDir is where the notes of this target of this installation are.
func (a *Adapter) notesDir() string {
	return stateDir + digest(a.instance, a.target)[:16] + "/uploads/"
}

func (a *Adapter) noteKey(id string) *string {
	return aws.String(a.key(a.notesDir() + digest(id)[:32] + ".json"))
}

func (a *Adapter) noteUpload(ctx context.Context, name, id string) error {
	body, err := json.Marshal(uploadNote{Place: name, UploadID: id})
	if err != nil {
		return fmt.Errorf("encode note of upload: %w", err)
	}
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	_, err = api.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &a.bucket, Key: a.noteKey(id), Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
		ServerSideEncryption: a.sse, SSEKMSKeyId: optional(a.kmsKeyID),
	})
	return classed(ctx, "write note of upload", err)
}

// forgetUpload removes the note. One that stays costs an abort that finds
// nothing.
func (a *Adapter) forgetUpload(ctx context.Context, id string) {
	api, err := a.connect(ctx)
	if err != nil {
		return
	}
	_, _ = api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &a.bucket, Key: a.noteKey(id)})
}

// clean aborts uploads that were left a day ago or earlier: once a process,
// before its first upload in parts.
func (a *Adapter) clean(ctx context.Context) error {
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	pages := s3.NewListObjectsV2Paginator(api, &s3.ListObjectsV2Input{
		Bucket: &a.bucket, Prefix: aws.String(a.key(a.notesDir())),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return classedRead(ctx, "list notes of uploads", err)
		}
		for _, o := range page.Contents {
			if time.Since(aws.ToTime(o.LastModified)) < a.leftoverAge {
				continue
			}
			if err := a.abortNoted(ctx, aws.ToString(o.Key)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *Adapter) abortNoted(ctx context.Context, key string) error {
	body, err := a.get(ctx, place{name: a.place(key)})
	if err != nil {
		return err
	}
	defer body.Close()
	raw, err := io.ReadAll(io.LimitReader(body, maxNoteBytes))
	if err != nil {
		return classedRead(ctx, "read note of upload", err)
	}
	var note uploadNote
	if json.Unmarshal(raw, &note) == nil && note.UploadID != "" {
		a.abortUpload(ctx, note.Place, note.UploadID)
	}
	return nil
}
