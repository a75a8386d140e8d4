package s3

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Limits of S3. A part that is not the last one has at least minPartSize.
const (
	mib = 1 << 20
	gib = 1 << 30

	minPartSize  = 5 * mib
	maxPartSize  = 5 * gib // of UploadPart
	maxSinglePut = 5 * gib // of PutObject and CopyObject
	maxParts     = 10_000
	maxTags      = 10 // of an object
)

const maxPartConcurrency = 64

// Values of option checksum: what the server verifies of a body.
const (
	checksumSHA256 = "sha256" // also kept by the server, for Find
	checksumCRC32C = "crc32c"
	checksumNone   = "none"
)

// Values of option sidecar: when an object gets one.
const (
	sidecarAlways   = "always"
	sidecarOverflow = "overflow"
)

// options are the checked options of a target.
type options struct {
	bucket    string
	region    string
	endpoint  string
	pathStyle bool
	layout    layout

	accessKeyID  string
	secretKey    func() (string, error) // a function, so that printing the options shows no secret
	sessionToken func() (string, error) // nil when there is none

	storageClass types.StorageClass
	sse          types.ServerSideEncryption
	kmsKeyID     string
	cacheControl string
	disposition  string
	tags         []string // names of metadata

	sidecar     string
	checksum    string
	conditional bool  // the server obeys If-None-Match and If-Match
	signPayload *bool // nil: only where TLS does not protect the body

	threshold   int64
	partSize    int64
	concurrency int
}

func defaults() options {
	return options{
		layout: layout{archive: ".archive/"}, sidecar: sidecarOverflow, checksum: checksumSHA256, conditional: true,
		threshold: maxSinglePut, partSize: 16 * mib, concurrency: 2,
	}
}

// parse checks the configured options and reports all problems at once.
func parse(given map[string]any) (*options, error) {
	o := defaults()
	var problems []error
	setters := o.setters()
	for _, key := range slices.Sorted(maps.Keys(given)) {
		set, known := setters[key]
		if !known {
			problems = append(problems, fmt.Errorf("unknown option %s: use one of %s",
				key, strings.Join(slices.Sorted(maps.Keys(setters)), ", ")))
			continue
		}
		if err := set(given[key]); err != nil {
			problems = append(problems, fmt.Errorf("option %s: %w", key, err))
		}
	}
	if _, ok := given["bucket"]; !ok {
		problems = append(problems, errors.New("option bucket is missing: name the bucket to push to"))
	}
	problems = append(problems, o.contradictions(given)...)
	return &o, errors.Join(problems...)
}

func (o *options) setters() map[string]func(any) error {
	return map[string]func(any) error{
		"bucket":                 asText(&o.bucket),
		"region":                 asText(&o.region),
		"endpoint":               asEndpoint(&o.endpoint),
		"path_style":             asFlag(&o.pathStyle),
		"prefix":                 asDirectory(&o.layout.prefix, true),
		"archive_prefix":         asDirectory(&o.layout.archive, false),
		"access_key_id":          asText(&o.accessKeyID),
		"secret_access_key":      asSecret(&o.secretKey, false),
		"secret_access_key_file": asSecret(&o.secretKey, true),
		"session_token":          asSecret(&o.sessionToken, false),
		"session_token_file":     asSecret(&o.sessionToken, true),
		"storage_class":          asOneOf(&o.storageClass, storageClasses()),
		"sse":                    asOneOf(&o.sse, types.ServerSideEncryption("").Values()),
		"kms_key_id":             asText(&o.kmsKeyID),
		"cache_control":          asText(&o.cacheControl),
		"content_disposition":    asOneOf(&o.disposition, []string{"inline", "attachment"}),
		"tags":                   asTagNames(&o.tags),
		"sidecar":                asOneOf(&o.sidecar, []string{sidecarAlways, sidecarOverflow}),
		"checksum":               asOneOf(&o.checksum, []string{checksumSHA256, checksumCRC32C, checksumNone}),
		"conditional_writes":     asFlag(&o.conditional),
		"sign_payload":           asOptionalFlag(&o.signPayload),
		"multipart_threshold":    asSize(&o.threshold, 0, maxSinglePut),
		"part_size":              asSize(&o.partSize, minPartSize, maxPartSize),
		"part_concurrency":       asNumber(&o.concurrency, 1, maxPartConcurrency),
	}
}

// storageClasses returns the classes whose objects can be read at once.
func storageClasses() []types.StorageClass {
	return slices.DeleteFunc(types.StorageClass("").Values(), func(c types.StorageClass) bool {
		return c == types.StorageClassGlacier || c == types.StorageClassDeepArchive
	})
}

// contradictions returns the problems of options with each other.
func (o *options) contradictions(given map[string]any) []error {
	var problems []error
	has := func(key string) bool { _, ok := given[key]; return ok }
	for _, key := range []string{"secret_access_key", "session_token"} {
		if has(key) && has(key+"_file") {
			problems = append(problems, fmt.Errorf("options %s and %s_file exclude each other: remove one", key, key))
		}
	}
	hasSecret := has("secret_access_key") || has("secret_access_key_file")
	if has("access_key_id") != hasSecret {
		problems = append(problems, errors.New("options access_key_id and secret_access_key belong together: set both, "+
			"or neither to use the AWS environment variables, the shared AWS files or the role of the machine"))
	}
	for _, key := range []string{"session_token", "session_token_file"} {
		if has(key) && !hasSecret {
			problems = append(problems, fmt.Errorf("option %s: set access_key_id and secret_access_key too", key))
		}
	}
	if has("kms_key_id") && !strings.HasPrefix(string(o.sse), "aws:kms") {
		problems = append(problems, errors.New("option kms_key_id: set sse: aws:kms too"))
	}
	return problems
}

// signs reports whether bodies are hashed and signed before they are sent.
func (o *options) signs() bool {
	if o.signPayload != nil {
		return *o.signPayload
	}
	return strings.HasPrefix(o.endpoint, "http://")
}

// minPartBytes returns the size above which content always goes in parts. Signed
// content does as soon as it does not fit into one part.
func (o *options) minPartBytes() int64 {
	if o.signs() {
		return o.partSize
	}
	return max(o.threshold, o.partSize)
}

// checkParts returns dam.ErrInvalid for content that needs too many parts.
func (o *options) checkParts(size int64) error {
	if size > o.partSize*maxParts {
		return errTooManyParts(size)
	}
	return nil
}

// partChecksum returns the checksum of parts. CRC-32C costs next to nothing, and S3
// cannot derive the SHA-256 of an object from those of its parts.
func (o *options) partChecksum() types.ChecksumAlgorithm {
	if o.checksum != checksumNone {
		return types.ChecksumAlgorithmCrc32c
	}
	return ""
}

// condition requires that a place is as it was when it was looked at. A place that was
// not looked at has to be empty.
func (o *options) condition(at place) condition {
	switch {
	case !o.conditional:
		return condition{}
	case at.exists:
		return condition{ifMatch: optional(at.etag)}
	}
	return condition{ifNoneMatch: aws.String("*")}
}

// location identifies server, bucket and prefix. AWS bucket names are unique across regions.
func (o *options) location() string {
	server := "aws"
	if u, err := url.Parse(o.endpoint); err == nil && u.Host != "" {
		server = strings.ToLower(u.Host) + strings.TrimSuffix(u.Path, "/")
	}
	return server + "/" + o.bucket + "/" + o.layout.prefix
}

// objectsARN names the objects below the prefix in advice about permissions.
func (o *options) objectsARN() string { return o.bucket + "/" + o.layout.prefix + "*" }
