package pgserver

import (
	"cmp"
	"net/http"
	"time"

	"github.com/rs/zerolog"
)

// Options selects a server and configures how to start it. The settings for
// starting have no effect on a server that already runs.
type Options struct {
	DataDir string // required; created if missing
	// Lookup finds the binaries. Missing ones are downloaded.
	Lookup Lookup
	// Repository is the https address of the Maven repository to download
	// binaries from. If empty, it is DAMSYNC_PG_REPOSITORY from the environment,
	// or Maven Central.
	Repository string
	// Transport sends the requests of the download; nil means
	// http.DefaultTransport.
	Transport http.RoundTripper
	Log       zerolog.Logger
	// MaxConnections is the server's connection limit; 0 means 60.
	MaxConnections int
	// Unsafe trades durability for speed: a crash of the machine may destroy
	// the cluster. For tests.
	Unsafe bool
	// StartTimeout limits the wait for other processes, for crash recovery and
	// for the start, but not the download; 0 means 2 minutes.
	StartTimeout time.Duration
}

func (o Options) withDefaults() Options {
	o.MaxConnections = cmp.Or(o.MaxConnections, 60)
	o.StartTimeout = cmp.Or(o.StartTimeout, 2*time.Minute)
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	return o
}
