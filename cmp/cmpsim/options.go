package cmpsim

import (
	"fmt"
	"net/http"
	"time"
)

// Options says what library the simulator makes and which limits it keeps. The
// zero value is a small library behind the documented limits.
type Options struct {
	// Seed makes the library, the credentials and every random choice. The same
	// seed and Epoch give the same library.
	Seed int64
	// Assets is how many assets the library holds at the start; 0 means none.
	Assets int
	// Epoch is the newest modified_at of the generated library. Zero means the
	// UTC midnight before Now.
	Epoch time.Time

	// RequestsPerSecond is the organization's pace: an arrival that makes more
	// than this many in any sliding second is answered 429. 0 lifts the limit.
	RequestsPerSecond int
	// RequestsPerMonth is the organization's quota for one calendar month (UTC).
	// 0 lifts the limit.
	RequestsPerMonth int
	// RetryAfter is sent with every 429 as whole seconds; negative or zero sends
	// no header (none is documented).
	RetryAfter time.Duration

	TokenLifetime time.Duration // of an access token; 0 means 3599 s
	DownloadTTL   time.Duration // of a private download URL; 0 means 15 min

	// Now is the clock of everything the simulator answers (tokens, pace, quota,
	// modified_at, URL expiry). Delays are real timers.
	Now func() time.Time

	ClientID, ClientSecret, WebhookSecret string // made from Seed when empty

	// RedirectURIs are the registered callback URLs of the app. When empty, any
	// http URL on a loopback address is accepted.
	RedirectURIs []string
	// DenyAuthorization makes the authorization page refuse instead of approve.
	// Both redirect back at once: no human is needed.
	DenyAuthorization bool

	Behavior Behavior
	Webhooks WebhookOptions

	// LogSize bounds the request log and the delivery log; 0 means 20,000 each.
	LogSize int
}

// Behavior settles what the documents leave open. Each field's zero value is
// the more likely reading; all can be changed while the simulator runs.
type Behavior struct {
	// ExclusiveTimes makes the __from and __to filters exclude the given second.
	ExclusiveTimes bool `json:"exclusive_times"`
	// RootFoldersOnly makes GET /folders without parent_folder_id list only roots.
	RootFoldersOnly bool `json:"root_folders_only"`
	// SilentDetails: edits of description, alt text, attribution, tags, expiry and
	// visibility leave modified_at alone.
	SilentDetails bool `json:"silent_details"`
	// SilentFields: edits of custom fields leave modified_at alone.
	SilentFields bool `json:"silent_fields"`
	// EventsOnDetails: edits of the kinds above also send asset_modified.
	EventsOnDetails bool `json:"events_on_details"`
	// SilentFolderDelete: deleting a folder sends no asset_removed for its assets.
	SilentFolderDelete bool `json:"silent_folder_delete"`
	// SilentRestore: restoring an asset sends no asset_added.
	SilentRestore bool `json:"silent_restore"`
	// NullFocalPoint answers focal_point as {"x":null,"y":null} as the live API
	// was seen to do, instead of the documented null.
	NullFocalPoint bool `json:"null_focal_point"`
	// AllFieldsAttached makes GET /assets/{id}/fields list every field of the
	// organization instead of only those the asset has values for.
	AllFieldsAttached bool `json:"all_fields_attached"`
}

// WebhookOptions shapes deliveries.
type WebhookOptions struct {
	Timeout   time.Duration // of one attempt; 0 means 30 s
	RetryBase time.Duration // first gap, doubling up to an hour; 0 means 10 s
	GiveUp    time.Duration // age at which retries end; 0 means 72 h
	Workers   int           // concurrent deliveries; 0 means 1, which keeps them in order
	// Transport sends deliveries; nil means a plain one of the simulator's own.
	Transport http.RoundTripper
}

// defaultLimits are the documented ones.
const (
	DefaultRequestsPerSecond = 10
	DefaultRequestsPerMonth  = 200_000
)

// DefaultOptions returns the documented limits and a library of 2,000 assets.
func DefaultOptions() Options {
	return Options{
		Seed: 1, Assets: 2000,
		RequestsPerSecond: DefaultRequestsPerSecond,
		RequestsPerMonth:  DefaultRequestsPerMonth,
	}
}

func (o Options) withDefaults() Options {
	orDuration(&o.TokenLifetime, 3599*time.Second)
	orDuration(&o.DownloadTTL, 15*time.Minute)
	orDuration(&o.Webhooks.Timeout, 30*time.Second)
	orDuration(&o.Webhooks.RetryBase, 10*time.Second)
	orDuration(&o.Webhooks.GiveUp, 72*time.Hour)
	if o.Webhooks.Workers <= 0 {
		o.Webhooks.Workers = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Epoch.IsZero() {
		o.Epoch = o.Now().UTC().Truncate(24 * time.Hour)
	}
	if o.LogSize <= 0 {
		o.LogSize = 20_000
	}
	r := newRand(o.Seed, "credentials", 0)
	orString(&o.ClientID, hexID(r))
	orString(&o.ClientSecret, hexID(r)+hexID(r))
	orString(&o.WebhookSecret, hexID(r))
	return o
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d <= 0 {
		*d = def
	}
}

func orString(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

// Endpoints says where a started simulator listens and how to log in.
type Endpoints struct {
	APIURL        string `json:"api_url"` // ends in /v3
	AuthURL       string `json:"auth_url"`
	TokenURL      string `json:"token_url"`
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
	WebhookSecret string `json:"webhook_secret"`
	FilesURL      string `json:"files_url"`
	ControlURL    string `json:"control_url"`
}

// String leaves the secrets out.
func (e Endpoints) String() string {
	return fmt.Sprintf("api %s, token %s, files %s, control %s", e.APIURL, e.TokenURL, e.FilesURL, e.ControlURL)
}
