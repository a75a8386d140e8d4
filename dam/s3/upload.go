package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"time"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// upload brings the bytes to dst.
func (a *Adapter) upload(ctx context.Context, obj dam.Object, want record, dst place, f found) (dam.Remote, error) {
	want.from = f.rest(dst.name)
	_, least, err := a.headers(want, a.goesInParts(want.Size))
	if err == nil {
		dst, err = a.sidecarRoom(ctx, dst, least)
	}
	if err != nil {
		return dam.Remote{}, err
	}
	t := &transfer{Adapter: a, obj: obj, want: want, dst: dst, own: f.own, looked: time.Now()}
	now, want, err := t.run(ctx)
	if err != nil {
		return dam.Remote{}, err
	}
	now.name, now.exists, now.ours, now.record, now.side = dst.name, true, true, want, dst.side
	now.size = want.Size
	return a.settle(ctx, now, want, f)
}

// goesInParts reports that a body certainly does.
func (a *Adapter) goesInParts(size int64) bool { return size > a.minPartBytes() }

// transfer is one body on its way to one place.
type transfer struct {
	*Adapter
	obj    dam.Object
	want   record
	dst    place
	own    []place   // all places of the asset
	looked time.Time // when they were as they are said to be
}

// run chooses the way: a single streamed PUT where the server takes it, parts
// where it is too large, of unknown length, or has to be signed.
func (t *transfer) run(ctx context.Context) (place, record, error) {
	old, resumable := t.resume(ctx)
	if resumable {
		now, r, err := t.putParts(ctx, old)
		if !errors.Is(err, errNoUpload) {
			return now, r, err
		}
	}
	// Cancelled before the source is closed, so that a read of it ends.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	source, err := t.obj.Open(ctx, dam.Checkpoint{})
	if err != nil {
		return place{}, record{}, err
	}
	size := source.Size()
	if size > 0 && size <= t.threshold && !t.signs() { // nobody reads the end of an empty body
		return t.putStream(ctx, cancel, source, size)
	}
	defer source.Close()
	return t.putBuffered(ctx, source)
}

// defaultPatience is how old a look may be when an object is replaced. The ETag
// only guards the bytes: that somebody described the same bytes anew meanwhile,
// with a higher generation, only a look tells.
const defaultPatience = 2 * time.Second

// last is asked when all has been read and the last byte is still here: whether
// another worker has been at what is to be replaced. What a condition of the
// request cannot tell is another place than dst.
func (t *transfer) last(ctx context.Context) error {
	elsewhere := slices.ContainsFunc(t.own, func(p place) bool { return p.name != t.dst.name })
	if len(t.own) == 0 || !elsewhere && time.Since(t.looked) < t.patience {
		return nil
	}
	for _, before := range t.own {
		now, err := t.look(ctx, before.name)
		if err != nil {
			return err
		}
		moved := before.name != t.dst.name && (!now.of(t.want.AssetID) || now.etag != before.etag)
		if moved || now.of(t.want.AssetID) && now.record.Generation > t.want.Generation {
			return fmt.Errorf("%s has changed since generation %d began: %w", before.name, t.want.Generation, dam.ErrStale)
		}
	}
	return nil
}

// putStream sends the body while it is read.
func (t *transfer) putStream(ctx context.Context, cancel func(), source *dam.Source, size int64) (place, record, error) {
	t.want.Size = size
	in, want, err := t.request(t.want)
	if err != nil {
		return place{}, want, errors.Join(err, source.Close())
	}
	content := newSealing(source, size, func() error { return t.last(ctx) })
	body := &guarded{r: content}
	in.Body, in.ContentLength = body, aws.Int64(size)
	options := []func(*s3.Options){unsigned}
	if t.checksum != checksumNone {
		read, end := t.trailer(content, source)
		framed := newTrailed(read, size, end)
		body.r, in.ContentLength = framed, aws.Int64(framed.length)
		options = []func(*s3.Options){trailing(size, end.header)}
	}
	now, err := t.send(ctx, in, options...)
	cancel()
	body.stop() // the connection may be reading still
	defer source.Close()
	if content.err != nil {
		return place{}, want, content.err // the cause of whatever the server said
	}
	if err != nil {
		return place{}, want, err
	}
	sealed, err := source.Seal(t.obj.Mark)
	want.SHA256 = sealed.SHA256
	if t.checksum == checksumSHA256 {
		now.sha256 = want.SHA256
	}
	return now, want, err
}

// trailer gives the body to read and the checksum behind it. The SHA-256 is that
// which source makes anyway.
func (t *transfer) trailer(content io.Reader, source *dam.Source) (io.Reader, trailer) {
	if t.checksum == checksumCRC32C {
		sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		return io.TeeReader(content, sum), trailer{
			"x-amz-checksum-crc32c", sum.Size(), func() ([]byte, error) { return sum.Sum(nil), nil },
		}
	}
	return content, trailer{"x-amz-checksum-sha256", sha256.Size, func() ([]byte, error) {
		sealed, err := source.Seal(t.obj.Mark)
		if err != nil {
			return nil, err
		}
		return hex.DecodeString(sealed.SHA256)
	}}
}

func (t *transfer) request(r record) (*s3.PutObjectInput, record, error) {
	h, r, err := t.headers(r, false)
	c := t.condition(t.dst)
	return &s3.PutObjectInput{
		Bucket: &t.bucket, Key: aws.String(t.key(t.dst.name)), IfMatch: c.ifMatch, IfNoneMatch: c.ifNoneMatch,
		Metadata: h.metadata, ContentType: h.contentType, CacheControl: h.cacheControl, ContentDisposition: h.disposition,
		Tagging: h.tagging, StorageClass: h.storageClass, ServerSideEncryption: h.sse, SSEKMSKeyId: h.kmsKeyID,
	}, r, err
}

func (t *transfer) send(ctx context.Context, in *s3.PutObjectInput, options ...func(*s3.Options)) (place, error) {
	api, err := t.connect(ctx)
	if err != nil {
		return place{}, err
	}
	out, err := api.PutObject(ctx, in, options...)
	if err != nil {
		return place{}, afterWrite(ctx, "send "+t.dst.name, err)
	}
	return place{etag: aws.ToString(out.ETag)}, nil
}

// putBuffered puts what fits into one part whole, and the rest in parts.
func (t *transfer) putBuffered(ctx context.Context, source *dam.Source) (place, record, error) {
	if err := t.checkParts(source.Size()); err != nil {
		return place{}, record{}, err
	}
	buf, err := t.takeBuffer(ctx)
	if err != nil {
		return place{}, record{}, err
	}
	n, err := io.ReadFull(source, buf)
	if err == nil && source.Size() == int64(n) {
		_, err = io.ReadFull(source, make([]byte, 1)) // the end, which verifies
	}
	switch {
	case err == nil && int64(n) == t.partSize:
		return t.beginParts(ctx, source, buf)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		defer t.giveBuffer(buf)
		return t.putWhole(ctx, source, buf[:n])
	}
	t.giveBuffer(buf)
	return place{}, record{}, err
}

// putWhole puts a body that is in memory, its digest known.
func (t *transfer) putWhole(ctx context.Context, source *dam.Source, body []byte) (place, record, error) {
	sealed, err := source.Seal(t.obj.Mark)
	if err != nil {
		return place{}, record{}, err
	}
	t.want.SHA256, t.want.Size = sealed.SHA256, sealed.Size
	in, want, err := t.request(t.want)
	if err != nil {
		return place{}, want, err
	}
	if err := t.last(ctx); err != nil {
		return place{}, want, err
	}
	in.Body, in.ContentLength = bytes.NewReader(body), aws.Int64(int64(len(body)))
	switch t.checksum {
	case checksumSHA256:
		raw, err := hex.DecodeString(sealed.SHA256)
		if err != nil {
			return place{}, want, fmt.Errorf("digest of body: %w", err)
		}
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(raw))
	case checksumCRC32C:
		in.ChecksumCRC32C = aws.String(crc32c(body))
	}
	now, err := t.send(ctx, in, t.payload())
	if t.checksum == checksumSHA256 {
		now.sha256 = sealed.SHA256
	}
	return now, want, err
}

// payload says whether a body in memory is signed.
func (t *transfer) payload() func(*s3.Options) {
	if t.signs() {
		return s3.WithAPIOptions(func(stack *middleware.Stack) error {
			compute := &v4.ComputePayloadSHA256{}
			_, err := stack.Finalize.Swap(compute.ID(), compute)
			return err
		})
	}
	return unsigned
}

// unsigned leaves the body out of the signature: TLS protects it, and hashing
// it beforehand would mean to have it all.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// trailing announces a body of size bytes in the form of newTrailed. The header
// Content-Encoding: aws-chunked, which the documentation asks for, is left out
// as other clients do (minio-go, AWS SDK for .NET): S3 knows the form by the
// payload hash, and some servers keep the header with the object, so that
// readers find an encoding they do not know (versity/versitygw#2398).
func trailing(size int64, header string) func(*s3.Options) {
	announce := middleware.InitializeMiddlewareFunc("damsyncTrailer", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(v4.SetPayloadHash(ctx, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), in)
	})
	return s3.WithAPIOptions(
		func(stack *middleware.Stack) error { return stack.Initialize.Add(announce, middleware.Before) },
		smithyhttp.SetHeaderValue("X-Amz-Trailer", header),
		smithyhttp.SetHeaderValue("X-Amz-Decoded-Content-Length", fmt.Sprint(size)),
	)
}

// guarded ends a body for a connection that may still be reading it after the
// server's answer has come.
type guarded struct {
	mu      sync.Mutex
	r       io.Reader
	stopped bool
}

func (g *guarded) Read(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return 0, io.ErrClosedPipe
	}
	return g.r.Read(p)
}

// stop waits for a read under way; no other comes after it.
func (g *guarded) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
}
