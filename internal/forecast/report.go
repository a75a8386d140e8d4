package forecast

import (
	"time"

	"damsync/internal/grant"
)

// Report is what `damsync quota --json` prints. Its keys are a fixed interface: new keys may be
// added, existing ones keep their meaning.
type Report struct {
	Month      Month    `json:"month"`
	Days       []Spent  `json:"days"` // of the month, oldest first; days without a request are absent
	Library    Library  `json:"library"`
	Targets    []Target `json:"targets"`
	FullResync Resync   `json:"full_resync"`
}

// Month is what the month has spent and where it ends at that rate.
type Month struct {
	Since    time.Time             `json:"since"`
	Until    *time.Time            `json:"until"` // null when the month is rolling
	Limit    int64                 `json:"limit"`
	Reserved int64                 `json:"reserved"` // part of the limit that is left to other integrations
	Used     int64                 `json:"used"`
	ByClass  map[grant.Class]int64 `json:"by_class"` // every class is present
	Balance  int64                 `json:"balance"`
	// Projected is the number of requests spent by the end of the month. A rolling month is
	// projected to 30 days after its first request.
	Projected int64 `json:"projected"`
}

// Spent is what one UTC day spent.
type Spent struct {
	Day     string                `json:"day"` // 2006-01-02
	Used    int64                 `json:"used"`
	ByClass map[grant.Class]int64 `json:"by_class"` // classes that spent nothing are absent
}

// Library counts assets in the mirror.
type Library struct {
	Assets  int64 `json:"assets"`
	Details int64 `json:"details"` // assets whose detail some rule reads
	Fields  int64 `json:"fields"`  // assets whose custom fields some rule reads
}

// Target counts the assets that one target reads beyond the summary, and names the causes.
type Target struct {
	Name    string `json:"name"`
	Details int64  `json:"details"` // one request each
	Fields  int64  `json:"fields"`  // one more request each
	Needs   []Need `json:"needs"`
}

// Need is a configuration key that makes a target read more than the summary.
type Need struct {
	Key   string   `json:"key"`   // in the target's configuration, such as "select.expired"
	Reads []string `json:"reads"` // properties of asset
	Level string   `json:"level"` // detail or fields
}

// Resync is the cost of a full resync, in requests.
type Resync struct {
	Requests  int64   `json:"requests"`
	Summaries int64   `json:"summaries"` // with the lists of folders, labels and fields
	Details   int64   `json:"details"`
	Fields    int64   `json:"fields"`
	Seconds   float64 `json:"seconds"` // at the configured pace
	// OfBalance is the share of the month's balance. At 1 or more the resync does not fit.
	OfBalance float64 `json:"of_balance"`
}
