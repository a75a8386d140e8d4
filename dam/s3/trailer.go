package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// trailer is a checksum that follows a body.
type trailer struct {
	header string
	size   int       // of the sum in bytes
	tee    hash.Hash // nil when the sum needs no hash of its own
	sum    func() ([]byte, error)
}

// newTrailer returns the trailer for a value of option checksum, nil for checksumNone. The
// SHA-256 is the one that source computes anyway.
func newTrailer(checksum string, source *dam.Source) *trailer {
	switch checksum {
	case checksumCRC32C:
		h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		return &trailer{"x-amz-checksum-crc32c", h.Size(), h, func() ([]byte, error) { return h.Sum(nil), nil }}
	case checksumSHA256:
		return &trailer{"x-amz-checksum-sha256", sha256.Size, nil, func() ([]byte, error) {
			sealed, err := source.Seal(dam.OwnerMark{})
			if err != nil {
				return nil, err
			}
			return hex.DecodeString(sealed.SHA256)
		}}
	}
	return nil
}

// trailed frames a body of known size as one chunk of the aws-chunked encoding with a checksum in
// the trailer. The server verifies the checksum and keeps it with the object, and it need not be
// known when the request begins.
type trailed struct {
	io.Reader
	length int64 // of the framed body
}

// newTrailed asks for the checksum after body was read to its end.
func newTrailed(body io.Reader, size int64, t *trailer) *trailed {
	if t.tee != nil {
		body = io.TeeReader(body, t.tee)
	}
	head := strconv.FormatInt(size, 16) + "\r\n"
	tail := "\r\n0\r\n" + t.header + ":"
	last := &lazyReader{text: func() (string, error) {
		sum, err := t.sum()
		return tail + base64.StdEncoding.EncodeToString(sum) + "\r\n\r\n", err
	}}
	tailLength := len(tail) + base64.StdEncoding.EncodedLen(t.size) + len("\r\n\r\n")
	return &trailed{
		Reader: io.MultiReader(strings.NewReader(head), body, last),
		length: int64(len(head)) + size + int64(tailLength),
	}
}

// lazyReader reads a text that is computed at the first Read.
type lazyReader struct {
	text func() (string, error)
	r    *strings.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		text, err := l.text()
		if err != nil {
			return 0, err
		}
		l.r = strings.NewReader(text)
	}
	return l.r.Read(p)
}

// signature returns the option of a request whose body is in memory.
func signature(signs bool) func(*s3.Options) {
	if !signs {
		return unsigned
	}
	return s3.WithAPIOptions(func(stack *middleware.Stack) error {
		compute := &v4.ComputePayloadSHA256{}
		_, err := stack.Finalize.Swap(compute.ID(), compute)
		return err
	})
}

// unsigned leaves the body out of the signature. TLS protects the body, and to hash it before it
// is sent would require all of it.
func unsigned(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
}

// trailing announces a body of size bytes in the form of newTrailed. It omits the header
// Content-Encoding: aws-chunked, which the documentation asks for, as other clients do
// (minio-go, AWS SDK for .NET): S3 recognises the form by the payload hash, and some servers
// store the header with the object, so that readers find an encoding they do not know
// (versity/versitygw#2398).
func trailing(size int64, header string) func(*s3.Options) {
	announce := middleware.InitializeMiddlewareFunc("damsyncTrailer", func(
		ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
	) (middleware.InitializeOutput, middleware.Metadata, error) {
		return next.HandleInitialize(v4.SetPayloadHash(ctx, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), in)
	})
	return s3.WithAPIOptions(
		func(stack *middleware.Stack) error { return stack.Initialize.Add(announce, middleware.Before) },
		smithyhttp.SetHeaderValue("X-Amz-Trailer", header),
		smithyhttp.SetHeaderValue("X-Amz-Decoded-Content-Length", strconv.FormatInt(size, 10)),
	)
}
