package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"time"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

// checkParts refuses what does not fit into the most parts there may be.
func (a *Adapter) checkParts(size int64) error {
	if size > a.partSize*maxParts {
		return fmt.Errorf("content of %d bytes: %w: more than %d parts; set part_size to %d or more",
			size, dam.ErrInvalid, maxParts, (size+maxParts-1)/maxParts)
	}
	return nil
}

// takeBuffer waits for room for a part: all uploads together have
// part_concurrency of them.
func (a *Adapter) takeBuffer(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-a.parts:
		if buf == nil {
			buf = make([]byte, a.partSize)
		}
		return buf, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *Adapter) giveBuffer(buf []byte) { a.parts <- buf }

// beginParts begins an upload in parts with the first in buf.
func (t *transfer) beginParts(ctx context.Context, source *dam.Source, buf []byte) (place, record, error) {
	h, want, err := t.headers(t.want, true)
	var begun openUpload
	if err == nil {
		begun, err = t.beginUpload(ctx, t.dst.name, h, t.partChecksum())
	}
	if err != nil {
		t.giveBuffer(buf)
		return place{}, want, err
	}
	t.want = want
	up := newUpload(t, session{
		openUpload: begun, Version: want.Version, Size: t.obj.Mark.Size, PartSize: t.partSize,
		Description: t.description(),
	})
	return t.finishParts(ctx, up, source, buf)
}

// description tells whether an upload was begun with what t wants to be said.
func (t *transfer) description() string {
	return digest(t.want.description(), t.want.MetadataHash, fmt.Sprint(t.want.Generation), t.want.from)
}

// putParts goes on with the upload of an earlier session.
func (t *transfer) putParts(ctx context.Context, s session) (place, record, error) {
	_, want, err := t.headers(t.want, true)
	if err != nil {
		return place{}, want, err
	}
	t.want = want
	up := newUpload(t, s)
	if err := up.takeUp(ctx); err != nil {
		return place{}, want, t.anew(ctx, s, err)
	}
	source, err := t.obj.Open(ctx, s.Checkpoint)
	if err != nil {
		return place{}, want, t.anew(ctx, s, err)
	}
	defer source.Close()
	return t.finishParts(ctx, up, source, nil)
}

// anew makes an upload that cannot go on errNoUpload, and gives it up.
func (t *transfer) anew(ctx context.Context, s session, err error) error {
	if errors.Is(err, dam.ErrCheckpoint) || errors.Is(err, errNoUpload) {
		t.abortUpload(ctx, s.openUpload)
		return errNoUpload
	}
	return err
}

func (t *transfer) finishParts(ctx context.Context, up *upload, source *dam.Source, first []byte) (place, record, error) {
	now, err := up.run(ctx, source, first)
	if err != nil {
		if t.obj.Upload.Save == nil || errors.Is(err, errChanged) {
			t.abortUpload(ctx, up.session.openUpload)
		}
		return place{}, t.want, err
	}
	sealed, err := source.Seal(t.obj.Mark)
	if err != nil {
		return place{}, t.want, err
	}
	t.want.SHA256, t.want.Size = sealed.SHA256, sealed.Size
	if up.session.Description == t.description() {
		return now, t.want, nil
	}
	return t.describeAnew(ctx, now)
}

// describeAnew is for an upload that was begun with an older description.
func (t *transfer) describeAnew(ctx context.Context, now place) (place, record, error) {
	now.name, now.exists, now.size, now.record = t.dst.name, true, t.want.Size, t.want
	h, want, err := t.headers(t.want, true)
	if err != nil {
		return now, want, err
	}
	if now.size > t.copyLimit {
		now, err = t.copyParts(ctx, now, now, h)
	} else {
		now, err = t.copyWhole(ctx, now, now, h)
	}
	return now, want, err
}

// upload is one upload in parts.
type upload struct {
	*transfer
	group *errgroup.Group

	mu          sync.Mutex
	session     session
	done        map[int32]types.CompletedPart
	checkpoints map[int32]dam.Checkpoint // behind parts read, until saved
	saved       int32                    // parts that the session covers
	noted       time.Time                // when the note of it was written
}

func newUpload(t *transfer, s session) *upload {
	return &upload{
		transfer: t, session: s, noted: time.Now(), done: map[int32]types.CompletedPart{}, checkpoints: map[int32]dam.Checkpoint{},
	}
}

// run reads on to the end of source and completes the upload.
func (u *upload) run(ctx context.Context, source *dam.Source, first []byte) (place, error) {
	if u.saved == 0 {
		if err := u.save(ctx); err != nil {
			if first != nil {
				u.giveBuffer(first)
			}
			return place{}, err
		}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	u.group = group
	err := u.read(groupCtx, source, first)
	if err = errors.Join(group.Wait(), err); err != nil {
		return place{}, firstCause(err)
	}
	if err := u.last(ctx); err != nil {
		return place{}, err
	}
	checkpoint, err := source.Checkpoint()
	if err != nil {
		return place{}, err
	}
	return u.completeUpload(ctx, u.session.openUpload, u.sorted(), checkpoint.Offset, u.condition(u.dst))
}

// read cuts the source into parts. The first may have been read already.
func (u *upload) read(ctx context.Context, source *dam.Source, buf []byte) error {
	n := len(buf)
	for number := u.saved + 1; ; number++ {
		var err error
		if buf == nil {
			if buf, err = u.takeBuffer(ctx); err != nil {
				return err
			}
			if n, err = io.ReadFull(source, buf); err != nil && !atEnd(err) {
				u.giveBuffer(buf)
				return err
			}
		}
		if number > maxParts {
			u.giveBuffer(buf)
			return u.checkParts(u.partSize*maxParts + 1)
		}
		if n > 0 || number == 1 {
			if cerr := u.note(source, number); cerr != nil {
				u.giveBuffer(buf)
				return cerr
			}
			u.send1(ctx, number, buf, n)
		} else {
			u.giveBuffer(buf)
		}
		if err != nil {
			return nil
		}
		buf = nil
	}
}

func atEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// note keeps where the source is behind a part.
func (u *upload) note(source *dam.Source, number int32) error {
	checkpoint, err := source.Checkpoint()
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.checkpoints[number] = checkpoint
	return nil
}

// send1 sends a part beside the reading and gives its buffer back.
func (u *upload) send1(ctx context.Context, number int32, buf []byte, n int) {
	u.group.Go(func() error {
		defer u.giveBuffer(buf)
		part, err := u.sendPart(ctx, number, buf[:n])
		if err != nil {
			return err
		}
		return u.finished(ctx, part)
	})
}

func (u *upload) sendPart(ctx context.Context, number int32, body []byte) (types.CompletedPart, error) {
	api, err := u.connect(ctx)
	if err != nil {
		return types.CompletedPart{}, err
	}
	in := &s3.UploadPartInput{
		Bucket: &u.bucket, Key: aws.String(u.key(u.session.Place)), UploadId: &u.session.UploadID, PartNumber: &number,
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
	}
	if u.partChecksum() != "" {
		in.ChecksumCRC32C = aws.String(crc32c(body))
	}
	out, err := api.UploadPart(ctx, in, u.payload())
	if err != nil {
		return types.CompletedPart{}, classed(ctx, fmt.Sprintf("send part %d", number), goneUpload(err))
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumCRC32C: in.ChecksumCRC32C}, nil
}

// partChecksum guards parts: CRC-32C costs next to nothing, and the store cannot
// make the SHA-256 of the whole from those of parts.
func (a *Adapter) partChecksum() types.ChecksumAlgorithm {
	if a.checksum != checksumNone {
		return types.ChecksumAlgorithmCrc32c
	}
	return ""
}

func crc32c(body []byte) string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// finished saves the session when the parts from the first on are a longer row.
func (u *upload) finished(ctx context.Context, part types.CompletedPart) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done[*part.PartNumber] = part
	before := u.saved
	for u.done[u.saved+1].PartNumber != nil {
		u.saved++
		delete(u.checkpoints, u.saved-1)
	}
	checkpoint := u.checkpoints[u.saved]
	if u.saved == before || checkpoint.Offset%u.partSize != 0 {
		return nil // nothing new, or the last part, behind which nothing can be added
	}
	u.session.Checkpoint = checkpoint
	if time.Since(u.noted) > u.leftoverAge/4 { // or it would be taken for a leftover
		if err := u.noteUpload(ctx, u.session.openUpload); err != nil {
			return err
		}
		u.noted = time.Now()
	}
	return u.save(ctx)
}

func (u *upload) sorted() []types.CompletedPart {
	parts := make([]types.CompletedPart, 0, len(u.done))
	for _, p := range u.done {
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	return parts
}

func newBuffers(n int) chan []byte {
	c := make(chan []byte, n)
	for range n {
		c <- nil
	}
	return c
}
