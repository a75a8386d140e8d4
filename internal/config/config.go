// Package config reads the configuration file of damsync: strict YAML with
// environment expansion, secrets from files, and rules that are compiled while
// the file is read. All mistakes in a file are reported at once, each with file,
// line, column and key.
package config

import (
	"damsync/internal/secret"
	"damsync/sync/plan"
)

// maxFileSize bounds the configuration file, in bytes.
const maxFileSize = 1 << 20

// Grants of OAuth 2.0 that damsync can use.
const (
	GrantClientCredentials = "client_credentials"
	GrantAuthorizationCode = "authorization_code"
)

// Months of the request quota.
const (
	MonthCalendar = "calendar" // begins on the 1st, UTC
	MonthRolling  = "rolling"  // today and the 29 days before
)

// What happens to an object without damsync's ownership mark at an asset's path.
const (
	ForeignFail  = "fail"                // it stays, and the asset is a conflict
	ForeignAdopt = "adopt-if-same-bytes" // it is taken over if it has the asset's bytes, otherwise as fail
)

// What a scheduled verification does with drift.
const (
	DriftReport = "report"
	DriftRepair = "repair"
)

// Config is a configuration that passed all checks. Its fields correspond to the keys
// of the file.
type Config struct {
	CMP      CMP
	Database Database
	// DataDir holds the key file and the private PostgreSQL. A relative path is
	// relative to the working directory of the process.
	DataDir  string
	HTTP     HTTP
	Webhook  Webhook
	Schedule Schedule
	Log      Log
	Targets  []Target
}

// CMP says where the Open API is and what may be spent on it.
type CMP struct {
	APIURL            string // without a slash at the end
	AuthURL           string
	TokenURL          string
	Grant             string
	ClientID          string
	ClientSecret      secret.String
	RequestsPerSecond int
	RequestsPerMonth  int
	RequestsReserved  int // a month, left to other integrations; below RequestsPerMonth
	Month             string
}

// Database says which PostgreSQL holds the mirror. If the URL is empty, it is a
// private server under the data directory. The URL may contain a password.
type Database struct {
	URL secret.String
}

// HTTP configures the listener of the daemon.
type HTTP struct {
	Listen string // host:port; an empty host is every interface
}

// Webhook configures the receiver. If the secret is empty, every event is rejected.
type Webhook struct {
	Path   string
	Secret secret.String
}

// Schedule holds cron specifications that robfig/cron's standard parser accepts.
// An empty one is off.
type Schedule struct {
	Incremental string
	Audit       string
	Sweep       string
	Verify      string
	// BackfillOrder lists patterns of folders whose details are read before all others.
	BackfillOrder []string
}

// Log configures the log on standard error.
type Log struct {
	Level  string
	Format string
}

// Target is one place to push to.
type Target struct {
	Adapter string
	// Options are the options of the adapter, as YAML decodes them, with variables expanded.
	Options map[string]any
	Spec    plan.Spec
	// OnForeign is ForeignFail or ForeignAdopt.
	OnForeign string
	// RequestsPerSecond bounds the calls to the target from this process; 0 sets no limit.
	RequestsPerSecond float64
	// Rules is Spec compiled.
	Rules *plan.Target
	// OnDrift is DriftReport or DriftRepair.
	OnDrift string

	written map[string]any // Options as in the file, not expanded
}

// Adapters maps the names of the adapters that a target may use to the check of their
// options; nil accepts all options.
type Adapters map[string]OptionsCheck

// OptionsCheck checks the options of one target without I/O. Its error, one problem
// or several joined, is reported with the other problems. place identifies where the
// target is, see dam.Capabilities; no two targets may have the same place.
type OptionsCheck func(t Target) (place string, err error)

// Load reads and checks the configuration file at path. env looks up environment
// variables like os.LookupEnv. The error, if any, is of type Problems.
func Load(path string, env func(string) (string, bool), adapters Adapters) (*Config, error) {
	data, err := readLimited(path, maxFileSize)
	if err != nil {
		return nil, Problems{{File: path, Message: "cannot read the file: " + err.Error()}}
	}
	return Parse(path, data, env, adapters)
}

// Parse checks the configuration in data. Problems give name as its file. The only
// I/O is reading the files that *_file keys name. The error, if any, is of
// type Problems and lists every mistake in the order of the file.
func Parse(name string, data []byte, env func(string) (string, bool), adapters Adapters) (*Config, error) {
	d := newDecoder(name, data, env)
	d.adapters = adapters
	root, ok := d.document()
	if !ok {
		return nil, d.problems
	}
	c := defaults()
	d.config(root, c)
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

func defaults() *Config {
	return &Config{
		CMP: CMP{
			APIURL:            "https://api.cmp.optimizely.com/v3",
			AuthURL:           "https://accounts.cmp.optimizely.com/o/oauth2/v1/auth",
			TokenURL:          "https://accounts.cmp.optimizely.com/o/oauth2/v1/token",
			Grant:             GrantClientCredentials,
			RequestsPerSecond: 10,
			RequestsPerMonth:  200_000,
			Month:             MonthCalendar,
		},
		DataDir:  "./data",
		HTTP:     HTTP{Listen: "127.0.0.1:8080"},
		Webhook:  Webhook{Path: "/webhooks/cmp"},
		Schedule: Schedule{Incremental: "@every 5m", Audit: "@hourly", Verify: "0 4 * * 6"},
		Log:      Log{Level: "info", Format: "json"},
	}
}
