package forecast

import "time"

// Report is what `damsync quota --json` prints. Its keys are a fixed interface: keys may be
// added, none changed.
type Report struct {
	Month      Month    `json:"month"`
	Classes    []Class  `json:"classes"` // most urgent first
	Days       []Spent  `json:"days"`    // of the month, oldest first
	Library    Counts   `json:"library"`
	Costs      []Cost   `json:"costs"`       // of observation, in a month of 30 days
	CostsMonth int64    `json:"costs_month"` // their sum
	Targets    []Target `json:"targets"`
	FullResync Resync   `json:"full_resync"`
	Notes      []string `json:"notes"` // what the figures rest on, and what to do
}

// Month is what the month has spent and is going to.
type Month struct {
	Since       time.Time  `json:"since"`
	Until       *time.Time `json:"until"` // null for a rolling month
	Limit       int64      `json:"limit"`
	Reserved    int64      `json:"reserved"`
	Used        int64      `json:"used"`
	Balance     int64      `json:"balance"`
	Projected   int64      `json:"projected"`    // spent by the end of the month; a rolling month: in 30 days
	ProjectedBy string     `json:"projected_by"` // observed: days like the last whole ones; configuration: as Costs
}

// Class is one class's part of the month.
type Class struct {
	Class         string     `json:"class"`
	Used          int64      `json:"used"`
	Floor         int64      `json:"floor"`
	LeftMonth     int64      `json:"left_month"`
	LeftToday     int64      `json:"left_today"`
	Surplus       int64      `json:"surplus"`
	DeferredUntil *time.Time `json:"deferred_until"`
	Reason        string     `json:"reason"`
}

// Spent is one day.
type Spent struct {
	Day     string           `json:"day"` // 2006-01-02
	Used    int64            `json:"used"`
	ByClass map[string]int64 `json:"by_class"`
}

// Counts are what the costs are computed from.
type Counts struct {
	Assets        int64   `json:"assets"`
	Details       int64   `json:"details"`
	Fields        int64   `json:"fields"`
	ObservedDays  float64 `json:"observed_days"`
	ChangedPerDay float64 `json:"changed_per_day"`
	AddedPerDay   float64 `json:"added_per_day"`
	RemovedPerDay float64 `json:"removed_per_day"`
}

// Cost is what one kind of observation takes in 30 days.
type Cost struct {
	Observation string `json:"observation"` // incremental, references, audit, sweep, details, fields, webhooks
	Requests    int64  `json:"requests"`
	How         string `json:"how"` // for people
}

// Target is what one target's rule adds.
type Target struct {
	Name          string `json:"name"`
	Details       int64  `json:"details"`        // assets whose detail it reads
	Fields        int64  `json:"fields"`         // assets whose fields it reads
	First         int64  `json:"first"`          // requests to read all of them once
	RequestsMonth int64  `json:"requests_month"` // to read them again when they change
	// SavedWithout is what First would be less without this target: what no other reads.
	SavedWithout int64  `json:"saved_without"`
	Needs        []Need `json:"needs"`
}

// Need is the price of one part of a rule.
type Need struct {
	Key   string   `json:"key"`
	Reads []string `json:"reads"`
	Level string   `json:"level"` // detail or fields
	First int64    `json:"first"` // requests to read the level once for the target's assets
	// OnlyReason says that nothing else in the rule asks for the level: without this part the
	// target would not read it.
	OnlyReason bool `json:"only_reason"`
}

// Resync is what a full resync takes.
type Resync struct {
	Requests  int64   `json:"requests"`
	Summaries int64   `json:"summaries"`
	Details   int64   `json:"details"`
	Fields    int64   `json:"fields"`
	Seconds   float64 `json:"seconds"` // at the full pace
	// OfBalance is the share of the month's balance; 1 and more does not fit into it.
	OfBalance float64 `json:"of_balance"`
}
