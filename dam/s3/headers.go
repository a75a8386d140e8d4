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
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// headers is what is said of an object whichever request writes it.
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

// headers decides where r has room, and gives r with what it decided. The
// pointer to the place left goes first: it only helps after a crash.
func (a *Adapter) headers(r record, withSidecar bool) (headers, record, error) {
	r.overflow = ""
	md, ok := r.userMetadata()
	if !ok || withSidecar || a.sidecarAlways {
		r.overflow = r.description()
		md, ok = r.userMetadata()
	}
	if !ok {
		r.from = ""
		md, ok = r.userMetadata()
	}
	if !ok {
		return headers{}, r, fmt.Errorf("mark of asset %s: %w: more than the %d bytes of user metadata",
			r.AssetID, dam.ErrInvalid, maxUserMetadata)
	}
	h := headers{
		metadata: md, contentType: optional(r.MIMEType), cacheControl: optional(a.cacheControl),
		storageClass: a.storageClass, sse: a.sse, kmsKeyID: optional(a.kmsKeyID),
	}
	if h.contentType == nil {
		h.contentType = aws.String(defaultType)
	}
	if a.disposition != "" {
		h.disposition = optional(mime.FormatMediaType(a.disposition, map[string]string{"filename": path.Base(r.Path)}))
	}
	tags, err := a.tagging(r)
	h.tagging = optional(tags)
	return h, r, err
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

// tagging gives the metadata configured as tags. One that S3 takes for no tag
// is refused rather than cut.
func (a *Adapter) tagging(r record) (string, error) {
	if len(a.tags) == 0 || len(r.Metadata) == 0 { // none are known when the sidecar is gone
		return "", nil
	}
	var md map[string]any
	if err := json.Unmarshal(r.Metadata, &md); err != nil {
		return "", fmt.Errorf("tags: %w: metadata: %w", dam.ErrInvalid, err)
	}
	tags := url.Values{}
	for _, name := range a.tags {
		value := tagValue(md[name])
		if value == "" {
			continue
		}
		if !taggable(value, maxTagValue) {
			return "", fmt.Errorf("tag %s: %w: a tag takes %d letters, digits, spaces and _ . : / = + - @",
				name, dam.ErrInvalid, maxTagValue)
		}
		tags.Set(name, value)
	}
	return tags.Encode(), nil
}

// tagValue puts slashes between the values of a list.
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

func taggable(s string, most int) bool {
	return utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Z, r) && !strings.ContainsRune("_.:/=+-@", r)
	})
}

// condition is under which a write may happen.
type condition struct {
	ifMatch     *string
	ifNoneMatch *string
}

// condition asks that a place is as it was when looked at; one never looked at
// has to be empty.
func (a *Adapter) condition(at place) condition {
	switch {
	case !a.conditional:
		return condition{}
	case at.exists:
		return condition{ifMatch: optional(at.etag)}
	}
	return condition{ifNoneMatch: aws.String("*")}
}
