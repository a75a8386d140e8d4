package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
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

// partBuffers limits the memory for parts. All uploads of a target share them.
type partBuffers struct {
	free chan []byte // nil until a buffer is first used
	size int64
}

func newPartBuffers(n int, size int64) *partBuffers {
	b := &partBuffers{make(chan []byte, n), size}
	for range n {
		b.free <- nil
	}
	return b
}

// take waits for a free buffer.
func (b *partBuffers) take(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-b.free:
		if buf == nil {
			buf = make([]byte, b.size)
		}
		return buf, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *partBuffers) give(buf []byte) { b.free <- buf[:cap(buf)] }

// partSender reads a body and sends it as the parts of one multipart upload.
type partSender struct {
	options *options
	uploads *multiparts
	buffers *partBuffers
	save    func(context.Context, []byte) error // nil when the caller keeps no session
	group   *errgroup.Group

	mu          sync.Mutex
	session     session
	done        map[int32]types.CompletedPart
	checkpoints map[int32]dam.Checkpoint // after each part that was read, until the session has it
	saved       int32                    // the session covers the parts up to this number
	noted       time.Time                // when the note of the upload was last written
}

// resume skips the parts that the session covers. errNoUpload: the server does not have them.
func (p *partSender) resume(ctx context.Context) error {
	count := int32(p.session.Checkpoint.Offset / p.session.PartSize)
	parts, err := p.uploads.list(ctx, p.session.Upload)
	if err != nil {
		return err
	}
	for _, part := range parts {
		n := aws.ToInt32(part.PartNumber)
		if n < 1 || n > count || aws.ToInt64(part.Size) != p.session.PartSize {
			continue // it will be sent again
		}
		p.done[n] = types.CompletedPart{PartNumber: part.PartNumber, ETag: part.ETag, ChecksumCRC32C: part.ChecksumCRC32C}
	}
	if len(p.done) != int(count) {
		return fmt.Errorf("%w: %d of %d parts", errNoUpload, len(p.done), count)
	}
	p.saved = count
	return p.uploads.notes.write(ctx, p.session.Upload) // otherwise the upload would soon count as abandoned
}

// send sends source to its end and returns all parts. first is the first part when it has been
// read already, otherwise nil.
func (p *partSender) send(ctx context.Context, source *dam.Source, first []byte) ([]types.CompletedPart, error) {
	var partsCtx context.Context
	p.group, partsCtx = errgroup.WithContext(ctx)
	readErr := p.read(partsCtx, source, first)
	// The parts under way are worth waiting for when the source fails. When a part fails, it
	// ends the reading, so its error is the cause.
	if err := p.group.Wait(); err != nil {
		return nil, err
	}
	if readErr != nil {
		return nil, readErr
	}
	parts := make([]types.CompletedPart, 0, len(p.done))
	for _, part := range p.done {
		parts = append(parts, part)
	}
	slices.SortFunc(parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	return parts, nil
}

// read cuts the source into parts and sends each while it reads the next.
func (p *partSender) read(ctx context.Context, source *dam.Source, first []byte) error {
	body, end := first, false
	for number := p.saved + 1; !end; number++ {
		if body == nil {
			var err error
			if body, end, err = p.fill(ctx, source); err != nil {
				return err
			}
		}
		if len(body) == 0 && number > 1 {
			p.buffers.give(body)
			return nil
		}
		if err := p.keepCheckpoint(source, number); err != nil {
			p.buffers.give(body)
			return err
		}
		p.sendAsync(ctx, number, body)
		body = nil
	}
	return nil
}

// fill reads the next part into a buffer. end says that the source has ended.
func (p *partSender) fill(ctx context.Context, source *dam.Source) (body []byte, end bool, err error) {
	buf, err := p.buffers.take(ctx)
	if err != nil {
		return nil, false, err
	}
	n, err := io.ReadFull(source, buf)
	end = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !end {
		p.buffers.give(buf)
		return nil, false, err
	}
	return buf[:n], end, nil
}

// keepCheckpoint keeps where the source is after a part.
func (p *partSender) keepCheckpoint(source *dam.Source, number int32) error {
	if number > maxParts {
		return errTooManyParts(p.session.PartSize*maxParts + 1)
	}
	checkpoint, err := source.Checkpoint()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkpoints[number] = checkpoint
	return nil
}

func (p *partSender) sendAsync(ctx context.Context, number int32, body []byte) {
	p.group.Go(func() error {
		defer p.buffers.give(body)
		in := &s3.UploadPartInput{
			PartNumber: &number, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
		}
		if p.options.partChecksum() != "" {
			in.ChecksumCRC32C = aws.String(crc32c(body))
		}
		part, err := p.uploads.put(ctx, p.session.Upload, in, signature(p.options.signs()))
		if err != nil {
			return err
		}
		return p.finished(ctx, part)
	})
}

func crc32c(body []byte) string {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// finished saves the session when more parts are stored without a gap.
func (p *partSender) finished(ctx context.Context, part types.CompletedPart) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[*part.PartNumber] = part
	before := p.saved
	for p.done[p.saved+1].PartNumber != nil {
		p.saved++
		delete(p.checkpoints, p.saved-1)
	}
	checkpoint := p.checkpoints[p.saved]
	if p.saved == before || checkpoint.Offset%p.session.PartSize != 0 {
		return nil // nothing new, or the last part, which nothing can follow
	}
	p.session.Checkpoint = checkpoint
	if time.Since(p.noted) > p.uploads.maxAge/4 { // otherwise the upload would count as abandoned
		if err := p.uploads.notes.write(ctx, p.session.Upload); err != nil {
			return err
		}
		p.noted = time.Now()
	}
	return p.saveSession(ctx)
}

// saveSession runs under the lock, so that an earlier session does not replace a later one.
func (p *partSender) saveSession(ctx context.Context) error {
	if p.save == nil {
		return nil
	}
	raw, err := json.Marshal(p.session)
	if err == nil {
		err = p.save(ctx, raw)
	}
	if err != nil {
		return fmt.Errorf("save upload session: %w", err)
	}
	return nil
}
