// Package forecast says what the configuration costs, in requests to the CMP: what the month
// will have spent at its end, what each observation takes in a month for the library as it is,
// what every part of a rule that reads assets singly adds to it, and what a full resync takes.
//
// It has no clock and does no I/O. Figures are estimates of whole requests; a month is 30 days
// unless a calendar month is named.
package forecast

import (
	"time"

	"damsync/internal/grant"
)

// Input is all that a forecast is made of.
type Input struct {
	Now       time.Time // all times are UTC
	Since     time.Time // the month's begin
	Until     time.Time // the month's end; Now for a rolling month, which has none
	Rolling   bool
	Limit     int64 // requests a month
	Reserved  int64 // of these, left to other integrations
	PerSecond int

	Days     []Day             // what was spent, oldest first, from Since or earlier
	Classes  []grant.Allowance // every class, most urgent first
	Schedule Schedule
	Library  Library
	Targets  []Demand
}

// Day is what one UTC day spent.
type Day struct {
	Day     time.Time
	ByClass map[grant.Class]int64
}

// Schedule holds cron specifications that robfig/cron's standard parser accepts; empty is off.
type Schedule struct {
	Incremental string
	Audit       string
	Sweep       string
}

// Library is what the mirror knows of the library's size and life.
type Library struct {
	Assets  int64
	Folders int64
	Details int64 // assets of which some rule reads the detail
	Unread  int64 // of these, not read yet
	Fields  int64 // assets of which some rule reads the custom fields
	Windows int64 // that the audit counts in a day, one request each

	ObservedDays            float64 // since the first complete reading, at most 30
	Changed, Added, Removed int64   // in these days
}

// Demand is what one target reads singly, in assets.
type Demand struct {
	Target  string
	Details int64
	Fields  int64
	Alone   int64 // details that no other target reads
	Needs   []Part
}

// Part is one part of a rule that makes the target read details or fields.
type Part struct {
	Key    string   // in the target's configuration, such as "select.expired"
	Reads  []string // properties of asset
	Fields bool     // the custom fields, one request more
}
