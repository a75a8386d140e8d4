package cmpsim

import (
	"cmp"
	"fmt"
	"net/http"
	"time"
)

// The documented limits of one organization (facts.md 3).
const (
	DefaultRequestsPerSecond = 10
	DefaultRequestsPerMonth  = 200_000
)

const (
	// downloadLifetime is how long a private download URL works. The CMP publishes no figure; the one
	// URL seen in public lived for at most two hours (facts.md 5).
	downloadLifetime = 15 * time.Minute
	// logSize is how many requests and how many deliveries are kept.
	logSize = 20_000
)

// Options describes the simulated organization. The zero value is an empty library without limits;
// DefaultOptions has the documented limits.
type Options struct {
	// Seed determines the library, the credentials and every random choice. The same seed gives the
	// same library on the same day: its newest modified_at is the UTC midnight before New.
	Seed int64
	// Assets is the number of assets at the start; 0 means none.
	Assets int

	// RequestsPerSecond is the organization's pace (facts.md 3): an arrival that makes more than this
	// many within any sliding second is answered 429. 0 means no limit.
	RequestsPerSecond int
	// RequestsPerMonth is the organization's quota (facts.md 3). The simulated month is a calendar
	// month in UTC; the CMP does not say what its month is. 0 means no limit.
	RequestsPerMonth int
	// RetryAfter is sent with every 429, in whole seconds. 0 sends no header, since the CMP
	// documents no header (facts.md 3).
	RetryAfter time.Duration

	// TokenLifetime is the lifetime of an access token; 0 means 3599 s, as in the vendor's example
	// (facts.md 1.3).
	TokenLifetime time.Duration

	// Now is the clock behind every answer: tokens, pace, quota, modified_at and the expiry of
	// download URLs. nil means time.Now. Delays and webhook retries use real timers.
	Now func() time.Time

	Behavior Behavior
	Webhooks WebhookOptions
}

// Behavior decides what the documents leave open. The zero value of each field is the likelier
// reading; all can be changed while the simulator runs.
type Behavior struct {
	// ExclusiveTimes makes the __from and __to filters exclude the given second (unknown: facts.md 4.2).
	ExclusiveTimes bool `json:"exclusive_times"`
	// RootFoldersOnly makes GET /folders without parent_folder_id list only the root folders instead
	// of all folders (unknown: facts.md 4.7).
	RootFoldersOnly bool `json:"root_folders_only"`
	// SilentDetails makes edits of alt text, attribution, tags, expiry, visibility and is_archived
	// leave modified_at unchanged (unknown: facts.md 12.2).
	SilentDetails bool `json:"silent_details"`
	// SilentFields makes edits of custom fields leave modified_at unchanged (unknown: facts.md 12.2).
	SilentFields bool `json:"silent_fields"`
	// EventsOnDetails makes the edits of SilentDetails and SilentFields send asset_modified
	// (unknown: facts.md 7.4).
	EventsOnDetails bool `json:"events_on_details"`
	// SilentFolderDelete makes the deletion of a folder send no asset_removed for its assets
	// (unknown: facts.md 4.7).
	SilentFolderDelete bool `json:"silent_folder_delete"`
	// SilentRestore makes the restoration of an asset send no asset_added (unknown: facts.md 7.4).
	SilentRestore bool `json:"silent_restore"`
	// NullFocalPoint answers focal_point as {"x":null,"y":null}, as seen live, instead of the
	// documented null (facts.md 4.4).
	NullFocalPoint bool `json:"null_focal_point"`
	// AllFieldsAttached makes GET /assets/{id}/fields list all fields of the organization, unset ones
	// empty, instead of only the attached ones (unknown: facts.md 4.6).
	AllFieldsAttached bool `json:"all_fields_attached"`
}

// WebhookOptions shapes the delivery of webhooks.
type WebhookOptions struct {
	// RetryBase is the gap before the first retry; each further gap is twice the one before, up to an
	// hour. 0 means 10 s. The CMP documents an exponential back-off without figures (facts.md 7.2).
	RetryBase time.Duration
	// Workers is the number of concurrent deliveries; 0 means 1, which delivers in order.
	Workers int
	// Transport sends the deliveries; nil means an http.Transport of the simulator's own.
	Transport http.RoundTripper
}

// DefaultOptions returns the documented limits and a library of 2,000 assets.
func DefaultOptions() Options {
	return Options{
		Seed: 1, Assets: 2000,
		RequestsPerSecond: DefaultRequestsPerSecond,
		RequestsPerMonth:  DefaultRequestsPerMonth,
	}
}

func (o Options) withDefaults() Options {
	o.TokenLifetime = cmp.Or(o.TokenLifetime, 3599*time.Second)
	o.Webhooks.RetryBase = cmp.Or(o.Webhooks.RetryBase, 10*time.Second)
	o.Webhooks.Workers = max(o.Webhooks.Workers, 1)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Webhooks.Transport == nil {
		o.Webhooks.Transport = &http.Transport{MaxIdleConnsPerHost: o.Webhooks.Workers}
	}
	return o
}

// Endpoints is where a started simulator listens, and how to log in. Its JSON form is what
// `damsync simulate` prints.
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

// String omits the secrets.
func (e Endpoints) String() string {
	return fmt.Sprintf("api %s, token %s, files %s, control %s", e.APIURL, e.TokenURL, e.FilesURL, e.ControlURL)
}
