package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// errNoUpload: the server knows no such upload, or not as the session has it.
var errNoUpload = errors.New("no such upload")

// session is what an upload in parts needs to go on. The parts themselves are
// listed by the server.
type session struct {
	openUpload
	Version     string         `json:"version"`
	Size        int64          `json:"size"` // promised by the core
	PartSize    int64          `json:"part_size"`
	Description string         `json:"description"` // digest of what the upload was begun with
	Checkpoint  dam.Checkpoint `json:"checkpoint"`  // behind the parts that are there from the first on
}

// save keeps the session. The lock is held, so that a later one is not
// overwritten by an earlier.
func (u *upload) save(ctx context.Context) error {
	if u.obj.Upload.Save == nil {
		return nil
	}
	raw, err := json.Marshal(u.session)
	if err == nil {
		err = u.obj.Upload.Save(ctx, raw)
	}
	if err != nil {
		return fmt.Errorf("save upload session: %w", err)
	}
	return nil
}

// resume gives the session to go on from. One that does not fit is given up.
func (t *transfer) resume(ctx context.Context) (session, bool) {
	s, ok := parseSession(t.obj.Upload.Session)
	if !ok {
		return session{}, false
	}
	m := t.obj.Mark
	fits := s.Place == t.dst.name && s.Version == m.Version && m.Version != "" && s.Size == m.Size &&
		s.PartSize == t.partSize && s.Checkpoint.Offset%t.partSize == 0
	if !fits {
		t.abortUpload(ctx, s.openUpload)
	}
	return s, fits
}

func parseSession(raw []byte) (session, bool) {
	var s session
	if len(raw) == 0 || json.Unmarshal(raw, &s) != nil {
		return session{}, false
	}
	return s, s.UploadID != "" && checkSegments(s.Place) == nil
}

// Abandon implements dam.Abandoner.
func (a *Adapter) Abandon(ctx context.Context, session []byte) {
	if s, ok := parseSession(session); ok {
		a.abortUpload(ctx, s.openUpload)
	}
}

// takeUp asks the server for the parts it has of the session. errNoUpload: it
// has not those that the session counts on.
func (u *upload) takeUp(ctx context.Context) error {
	wanted := int32(u.session.Checkpoint.Offset / u.partSize)
	parts, err := u.listParts(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		n := aws.ToInt32(p.PartNumber)
		if n < 1 || n > wanted || aws.ToInt64(p.Size) != u.partSize {
			continue // sent anew
		}
		u.done[n] = types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumCRC32C: p.ChecksumCRC32C}
	}
	if len(u.done) != int(wanted) {
		return fmt.Errorf("%w: %d of %d parts", errNoUpload, len(u.done), wanted)
	}
	u.saved = wanted
	return u.noteUpload(ctx, u.session.openUpload) // it is none that nobody goes on with
}

func (u *upload) listParts(ctx context.Context) ([]types.Part, error) {
	api, err := u.connect(ctx)
	if err != nil {
		return nil, err
	}
	pages := s3.NewListPartsPaginator(api, &s3.ListPartsInput{
		Bucket: &u.bucket, Key: aws.String(u.key(u.session.Place)), UploadId: &u.session.UploadID,
	})
	var parts []types.Part
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classedRead(ctx, "list parts", goneUpload(err))
		}
		parts = append(parts, page.Parts...)
	}
	return parts, nil
}

// goneUpload makes the server's word for it errNoUpload.
func goneUpload(err error) error {
	if errorCode(err) == "NoSuchUpload" {
		return fmt.Errorf("%w: %w", errNoUpload, err)
	}
	return err
}

// firstCause picks of joined errors the one that is not the echo of another.
func firstCause(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	for _, e := range joined.Unwrap() {
		if !errors.Is(e, context.Canceled) {
			return e
		}
	}
	return err
}
