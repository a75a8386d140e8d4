package s3

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// headers are what is written with an object, by whichever request.
type headers struct {
	metadata     map[string]string
	contentType  *string
	cacheControl *string
	disposition  *string
	tagging      *string
	storageClass types.StorageClass
	sse          types.ServerSideEncryption
	kmsKeyID     *string
}

// defaultType is what S3 reports for an object stored without a type.
const defaultType = "application/octet-stream"

// newHeaders returns the headers of an object, and r with the decision whether its
// description goes to a sidecar. Where user metadata has no room even for the rest, it
// first leaves out r.from, which only helps after a crash.
func newHeaders(o *options, r record, withSidecar bool) (headers, record, error) {
	r.overflow = ""
	md, ok := r.userMetadata()
	if !ok || withSidecar || o.sidecar == sidecarAlways {
		r.overflow = r.description()
		md, ok = r.userMetadata()
	}
	if !ok {
		r.from = ""
		md, ok = r.userMetadata()
	}
	if !ok {
		return headers{}, r, errNoRoom(r)
	}
	h := headers{
		metadata: md, contentType: optional(r.MIMEType), cacheControl: optional(o.cacheControl),
		storageClass: o.storageClass, sse: o.sse, kmsKeyID: optional(o.kmsKeyID),
	}
	if h.contentType == nil {
		h.contentType = aws.String(defaultType)
	}
	if o.disposition != "" {
		h.disposition = optional(mime.FormatMediaType(o.disposition, map[string]string{"filename": path.Base(r.Path)}))
	}
	tags, err := tagging(o.tags, r)
	h.tagging = optional(tags)
	return h, r, err
}

// newDocumentHeaders returns the headers of a JSON document of the adapter's own.
func newDocumentHeaders(o *options, metadata map[string]string) headers {
	return headers{
		metadata: metadata, contentType: aws.String("application/json"), sse: o.sse, kmsKeyID: optional(o.kmsKeyID),
	}
}

func (h headers) putInput(on condition) *s3.PutObjectInput {
	return &s3.PutObjectInput{
		IfMatch: on.ifMatch, IfNoneMatch: on.ifNoneMatch,
		Metadata: h.metadata, ContentType: h.contentType, CacheControl: h.cacheControl, ContentDisposition: h.disposition,
		Tagging: h.tagging, StorageClass: h.storageClass, ServerSideEncryption: h.sse, SSEKMSKeyId: h.kmsKeyID,
	}
}

func (h headers) uploadInput(checksum types.ChecksumAlgorithm) *s3.CreateMultipartUploadInput {
	return &s3.CreateMultipartUploadInput{
		ChecksumAlgorithm: checksum,
		Metadata:          h.metadata, ContentType: h.contentType, CacheControl: h.cacheControl, ContentDisposition: h.disposition,
		Tagging: h.tagging, StorageClass: h.storageClass, ServerSideEncryption: h.sse, SSEKMSKeyId: h.kmsKeyID,
	}
}

func (h headers) copyInput(on condition) *s3.CopyObjectInput {
	return &s3.CopyObjectInput{
		IfMatch: on.ifMatch, IfNoneMatch: on.ifNoneMatch, MetadataDirective: types.MetadataDirectiveReplace,
		Metadata: h.metadata, ContentType: h.contentType, CacheControl: h.cacheControl, ContentDisposition: h.disposition,
		Tagging: h.tagging, StorageClass: h.storageClass, ServerSideEncryption: h.sse, SSEKMSKeyId: h.kmsKeyID,
	}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

const (
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

// tagging returns the metadata of the given names as tags. A value that S3 does not accept
// in a tag is dam.ErrInvalid; it is never cut.
func tagging(names []string, r record) (string, error) {
	if len(names) == 0 || len(r.Metadata) == 0 { // not known while the sidecar is missing
		return "", nil
	}
	var md map[string]any
	if err := json.Unmarshal(r.Metadata, &md); err != nil {
		return "", fmt.Errorf("tags: %w: metadata: %w", dam.ErrInvalid, err)
	}
	tags := url.Values{}
	for _, name := range names {
		value := tagValue(md[name])
		if value == "" {
			continue
		}
		if !taggable(value, maxTagValue) {
			return "", fmt.Errorf("tag %s: %w: a tag has at most %d letters, digits, spaces and _ . : / = + - @; "+
				"change the expression of metadata %s", name, dam.ErrInvalid, maxTagValue, name)
		}
		tags.Set(name, value)
	}
	return tags.Encode(), nil
}

// tagValue joins the values of a list with slashes.
func tagValue(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = tagValue(item)
		}
		return strings.Join(parts, "/")
	}
	return fmt.Sprint(v)
}

// taggable reports whether S3 accepts s in a tag.
func taggable(s string, most int) bool {
	return utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Z, r) && !strings.ContainsRune("_.:/=+-@", r)
	})
}
