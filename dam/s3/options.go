package s3

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"damsync/dam/sidecar"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	mib = 1 << 20
	gib = 1 << 30

	minPartSize  = 5 * mib // of all parts but the last
	maxPartSize  = 5 * gib // of UploadPart
	maxSinglePut = 5 * gib // of PutObject and CopyObject
	maxParts     = 10_000
)

// What the server verifies of a body.
const (
	checksumSHA256 = "sha256" // and keeps for Find
	checksumCRC32C = "crc32c"
	checksumNone   = "none"
)

// options are the configured ones, checked.
type options struct {
	bucket    string
	region    string
	endpoint  string
	pathStyle bool
	prefix    string // empty, or ends with a slash
	archive   string // place of the archive under prefix, ends with a slash

	accessKeyID  string
	secretKey    func() (string, error) // so that printing an Adapter shows no secret
	sessionToken func() (string, error)

	storageClass types.StorageClass
	sse          types.ServerSideEncryption
	kmsKeyID     string
	cacheControl string
	disposition  string
	tags         []string // names of metadata

	sidecarAlways bool
	checksum      string
	conditional   bool // the server knows If-None-Match and If-Match
	signPayload   *bool

	threshold   int64
	partSize    int64
	concurrency int
}

func defaults() options {
	return options{
		archive: ".archive/", checksum: checksumSHA256, conditional: true,
		threshold: maxSinglePut, partSize: 16 * mib, concurrency: 2,
	}
}

// parse reads the options of the configuration; all problems are reported at
// once.
func parse(given map[string]any) (options, error) {
	o := defaults()
	var problems []error
	setters := o.setters()
	for _, key := range slices.Sorted(maps.Keys(given)) {
		set, known := setters[key]
		if !known {
			problems = append(problems, fmt.Errorf("unknown option %s: known are %s",
				key, strings.Join(slices.Sorted(maps.Keys(setters)), ", ")))
			continue
		}
		if err := set(given[key]); err != nil {
			problems = append(problems, fmt.Errorf("option %s: %w", key, err))
		}
	}
	if _, ok := given["bucket"]; !ok {
		problems = append(problems, errors.New("option bucket is missing: the bucket to push to"))
	}
	problems = append(problems, o.contradictions(given)...)
	return o, errors.Join(problems...)
}

func (o *options) setters() map[string]func(any) error {
	return map[string]func(any) error{
		"bucket":                 text(&o.bucket),
		"region":                 text(&o.region),
		"endpoint":               o.setEndpoint,
		"path_style":             flag(&o.pathStyle),
		"prefix":                 directory(&o.prefix, true),
		"archive_prefix":         directory(&o.archive, false),
		"access_key_id":          text(&o.accessKeyID),
		"secret_access_key":      secret(&o.secretKey, false),
		"secret_access_key_file": secret(&o.secretKey, true),
		"session_token":          secret(&o.sessionToken, false),
		"session_token_file":     secret(&o.sessionToken, true),
		"storage_class":          oneOf(&o.storageClass, storageClasses()),
		"sse":                    oneOf(&o.sse, types.ServerSideEncryption("").Values()),
		"kms_key_id":             text(&o.kmsKeyID),
		"cache_control":          text(&o.cacheControl),
		"content_disposition":    oneOf(&o.disposition, []string{"inline", "attachment"}),
		"tags":                   o.setTags,
		"sidecar":                choice(&o.sidecarAlways, "always", "overflow"),
		"checksum":               oneOf(&o.checksum, []string{checksumSHA256, checksumCRC32C, checksumNone}),
		"conditional_writes":     flag(&o.conditional),
		"sign_payload":           o.setSignPayload,
		"multipart_threshold":    size(&o.threshold, 0, maxSinglePut),
		"part_size":              size(&o.partSize, minPartSize, maxPartSize),
		"part_concurrency":       o.setConcurrency,
	}
}

// storageClasses that objects can be put with and read from at once.
func storageClasses() []types.StorageClass {
	return slices.DeleteFunc(types.StorageClass("").Values(), func(c types.StorageClass) bool {
		return c == types.StorageClassGlacier || c == types.StorageClassDeepArchive
	})
}

// contradictions are problems of options with each other.
func (o *options) contradictions(given map[string]any) []error {
	var problems []error
	has := func(key string) bool { _, ok := given[key]; return ok }
	for _, key := range []string{"secret_access_key", "session_token"} {
		if has(key) && has(key+"_file") {
			problems = append(problems, fmt.Errorf("options %s and %s_file exclude each other", key, key))
		}
	}
	secret := has("secret_access_key") || has("secret_access_key_file")
	if has("access_key_id") != secret {
		problems = append(problems, errors.New("options access_key_id and secret_access_key belong together; "+
			"leave both out to use the environment, the shared AWS files or the machine's role"))
	}
	for _, key := range []string{"session_token", "session_token_file"} {
		if has(key) && !secret {
			problems = append(problems, fmt.Errorf("option %s: wants access_key_id and secret_access_key", key))
		}
	}
	if has("kms_key_id") && !strings.HasPrefix(string(o.sse), "aws:kms") {
		problems = append(problems, errors.New("option kms_key_id: wants sse: aws:kms"))
	}
	return problems
}

func text(into *string) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		if !ok || s == "" || strings.ContainsFunc(s, notHeader) {
			return fmt.Errorf("want a text of printable ASCII, got %T", v)
		}
		*into = s
		return nil
	}
}

// notHeader tells what may not stand in a header.
func notHeader(r rune) bool { return r < ' ' || r > '~' }

func flag(into *bool) func(any) error {
	return func(v any) error {
		b, ok := v.(bool)
		if !ok {
			return fmt.Errorf("want true or false, got %#v", v)
		}
		*into = b
		return nil
	}
}

func oneOf[T ~string](into *T, values []T) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		if !ok || !slices.Contains(values, T(s)) {
			return fmt.Errorf("want one of %v, got %#v", values, v)
		}
		*into = T(s)
		return nil
	}
}

func choice(into *bool, yes, no string) func(any) error {
	return func(v any) error {
		if v != yes && v != no {
			return fmt.Errorf("want %s or %s, got %#v", yes, no, v)
		}
		*into = v == yes
		return nil
	}
}

// directory takes a clean relative path; slashes at its ends do not matter.
func directory(into *string, mayBeEmpty bool) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		dir := strings.Trim(s, "/")
		if ok && dir == "" && mayBeEmpty {
			*into = ""
			return nil
		}
		if !ok || checkSegments(dir) != nil || len(dir) > maxKeyBytes/2 {
			return fmt.Errorf("want a clean path without a leading slash, got %#v", v)
		}
		*into = dir + "/"
		return nil
	}
}

func (o *options) setEndpoint(v any) error {
	s, _ := v.(string)
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("want a URL such as https://s3.example.com, got %T", v)
	}
	o.endpoint = s
	return nil
}

// secret takes one, or with fromFile the name of a file that is read each time
// the secret is needed.
func secret(into *func() (string, error), fromFile bool) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		switch {
		case (!ok || s == "") && fromFile:
			return errors.New("want the path of a file")
		case !ok || s == "":
			return errors.New("want a text")
		}
		*into = func() (string, error) {
			if fromFile {
				return readSecret(s)
			}
			return s, nil
		}
		return nil
	}
}

const maxTags = 10 // of an object

func (o *options) setTags(v any) error {
	list, ok := v.([]any)
	if !ok || len(list) > maxTags {
		return fmt.Errorf("want a list of at most %d names of metadata, got %#v", maxTags, v)
	}
	for _, item := range list {
		name, ok := item.(string)
		if !ok || !taggable(name, maxTagKey) || name == "" || slices.Contains(o.tags, name) {
			return fmt.Errorf("%#v: want different names of letters, digits, spaces and _ . : / = + - @, at most %d",
				item, maxTagKey)
		}
		o.tags = append(o.tags, name)
	}
	return nil
}

func (o *options) setSignPayload(v any) error {
	b, ok := v.(bool)
	if !ok {
		return fmt.Errorf("want true or false, got %#v", v)
	}
	o.signPayload = &b
	return nil
}

func (o *options) setConcurrency(v any) error {
	n, ok := v.(int)
	if !ok || n < 1 || n > 64 {
		return fmt.Errorf("want a number from 1 to 64, got %#v", v)
	}
	o.concurrency = n
	return nil
}

// size takes a number of bytes, or a text such as 16MiB or 5GB.
func size(into *int64, least, most int64) func(any) error {
	return func(v any) error {
		n, ok := bytesOf(v)
		if !ok {
			return fmt.Errorf("want bytes, as a number or a text such as 16MiB or 5GB, got %#v", v)
		}
		if n < least || n > most {
			return fmt.Errorf("want %d to %d bytes, got %d", least, most, n)
		}
		*into = n
		return nil
	}
}

func bytesOf(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case string:
		digits := strings.TrimRight(v, "KMGTBi ")
		factor, known := map[string]int64{
			"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": mib, "GiB": gib,
		}[strings.TrimSpace(v[len(digits):])]
		n, err := strconv.ParseInt(digits, 10, 32)
		return n * factor, known && err == nil && n >= 0
	}
	return 0, false
}

// signs reports whether bodies are hashed and signed before they are sent:
// unless configured, only where no TLS protects them.
func (o *options) signs() bool {
	if o.signPayload != nil {
		return *o.signPayload
	}
	return strings.HasPrefix(o.endpoint, "http://")
}

func (o *options) key(place string) string { return o.prefix + place }

// whereabouts names server, bucket and prefix. The names of buckets of AWS are the
// same in all regions.
func (o *options) whereabouts() string {
	server := "aws"
	if u, err := url.Parse(o.endpoint); err == nil && u.Host != "" {
		server = strings.ToLower(u.Host) + strings.TrimSuffix(u.Path, "/")
	}
	return server + "/" + o.bucket + "/" + o.prefix
}

// place is the inverse of key.
func (o *options) place(key string) string { return strings.TrimPrefix(key, o.prefix) }

func (o *options) sidecarKey(place string) string { return o.key(place) + sidecar.Suffix }

func (o *options) archivePlaces(assetID, p string) []string {
	return []string{path.Join(o.archive, p), path.Join(o.archive, idName(assetID), p)}
}
