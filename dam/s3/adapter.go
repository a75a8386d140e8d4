package s3

import (
	"fmt"
	"sync"
	"time"

	"damsync/dam"
	"damsync/dam/sidecar"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Adapter pushes objects into a bucket. Make one with New.
type Adapter struct {
	options
	target   string
	instance string

	mu        sync.Mutex // guards api, http and cleanNext
	api       *s3.Client
	http      *awshttp.BuildableClient
	intercept func(s3.HTTPClient) s3.HTTPClient // nil outside of tests

	parts     chan []byte // room for parts; nil until first used
	cleanNext time.Time   // when to look for leftovers again

	patience     time.Duration
	leftoverAge  time.Duration
	copyLimit    int64 // the largest object that one request copies
	copyPartSize int64
}

var (
	_ dam.Adapter    = (*Adapter)(nil)
	_ dam.ReadBacker = (*Adapter)(nil)
	_ dam.Abandoner  = (*Adapter)(nil)
)

// New makes the adapter for a target of an installation from its configured
// options, see the package comment, and does no I/O. All problems are reported
// at once.
func New(given map[string]any, target, instance string) (*Adapter, error) {
	o, err := parse(given)
	if err != nil {
		return nil, fmt.Errorf("s3 target %q: %w", target, err)
	}
	if target == "" || instance == "" {
		return nil, fmt.Errorf("s3 target %q: target and instance must not be empty", target)
	}
	return &Adapter{
		options: o, target: target, instance: instance,
		parts: newBuffers(o.concurrency), patience: defaultPatience,
		leftoverAge: defaultLeftoverAge, cleanNext: time.Now().Add(cleanEvery), copyLimit: maxSinglePut, copyPartSize: gib,
	}, nil
}

// Describe implements dam.Adapter.
func (a *Adapter) Describe() dam.Capabilities {
	c := dam.Capabilities{
		Adapter:      "s3",
		Place:        a.whereabouts(),
		Retire:       []dam.RetireMode{dam.RetireDelete, dam.RetireArchive},
		MaxPathBytes: a.maxPathBytes(),
		MaxNameBytes: maxNameBytes,
		UniquePaths:  true,

		AtomicCreate:       a.conditional,
		ConditionalReplace: a.conditional,

		MetadataWithoutBytes: true,
		ServerSideMove:       true,
		MaxMetadataBytes:     sidecar.MaxMetadataBytes,

		ResumableUpload: true,
		MinPartBytes:    a.minPartBytes(),
		ReadBack:        true,
	}
	if a.checksum == checksumSHA256 {
		c.ContentHash = "sha256"
	}
	return c
}

// minPartBytes is the least content that goes in parts for sure. What is signed goes
// so as soon as it does not fit into one.
func (a *Adapter) minPartBytes() int64 {
	if a.signs() {
		return a.partSize
	}
	return max(a.threshold, a.partSize)
}

// checkMark refuses a mark of another adapter.
func (a *Adapter) checkMark(m dam.Mark) error {
	if m.Instance != a.instance || m.Target != a.target || m.AssetID == "" {
		return fmt.Errorf("%w: mark of instance %q, target %q, asset %q is not one of this adapter",
			dam.ErrInvalid, m.Instance, m.Target, m.AssetID)
	}
	return nil
}
