// Package forecast computes what damsync quota reports: the requests that the month has spent,
// where it ends at that rate, what each target reads beyond the summary, and what a full resync
// costs. It is pure: no clock, no I/O.
package forecast

import (
	"math"
	"time"

	"damsync/internal/grant"
)

const (
	day = 24 * time.Hour
	// rollingMonth is the length of a month that has no calendar end.
	rollingMonth = 30 * day
	// pageRows is the number of new rows on a page of 100: pages overlap, so that a row that
	// moves between two requests is not missed.
	pageRows = 97
	// references is the number of requests for the lists of folders, labels and fields. A
	// library with more than 100 folders takes a few more.
	references = 3
	// paceUsed is the share of the configured pace that is reached for certain.
	paceUsed = 0.9
)

// Input is what a Report is computed from. Times are UTC.
type Input struct {
	Now       time.Time
	Since     time.Time // when the month began
	Until     time.Time // when a calendar month ends; zero when the month is rolling
	Limit     int64     // requests a month
	Reserved  int64     // part of Limit that is left to other integrations
	PerSecond int
	Days      []Day // of the month, oldest first
	Library   Library
	Targets   []Target
}

// Day is what one UTC day spent.
type Day struct {
	Day     time.Time
	ByClass map[grant.Class]int64
}

// Of computes the report.
func Of(in Input) Report {
	month := monthOf(in)
	return Report{
		Month: month, Days: daysOf(in.Days), Library: in.Library, Targets: in.Targets,
		FullResync: fullResync(in.Library, month.Balance, in.PerSecond),
	}
}

func monthOf(in Input) Month {
	m := Month{Since: in.Since, Limit: in.Limit, Reserved: in.Reserved, ByClass: map[grant.Class]int64{}}
	if !in.Until.IsZero() {
		m.Until = &in.Until
	}
	for _, class := range grant.Classes() {
		m.ByClass[class] = 0
	}
	for _, d := range in.Days {
		for class, n := range d.ByClass {
			m.ByClass[class] += n
			m.Used += n
		}
	}
	m.Balance = max(in.Limit-in.Reserved-m.Used, 0)
	m.Projected = m.Used + project(in, m.Used-m.ByClass[grant.Backfill])
	return m
}

// project returns the requests still to come if the rate since the first day with a request
// continues. Only recurring requests count for the rate: backfill does not, because it mostly
// reads a new library once. The elapsed time is at least a day, so that the first minutes of a
// month are not taken for its rate.
func project(in Input, recurring int64) int64 {
	if len(in.Days) == 0 {
		return 0
	}
	first := in.Days[0].Day
	end := in.Until
	if end.IsZero() {
		end = first.Add(rollingMonth)
	}
	elapsed, rest := max(in.Now.Sub(first), day), max(end.Sub(in.Now), 0)
	return int64(math.Ceil(float64(recurring) * rest.Hours() / elapsed.Hours()))
}

func daysOf(days []Day) []Spent {
	spent := make([]Spent, len(days))
	for i, d := range days {
		spent[i] = Spent{Day: d.Day.Format(time.DateOnly), ByClass: d.ByClass}
		for _, n := range d.ByClass {
			spent[i].Used += n
		}
	}
	return spent
}

// fullResync returns the cost of reading every summary, and every detail and field that some
// rule reads, of the library as the mirror has it.
func fullResync(l Library, balance int64, perSecond int) Resync {
	r := Resync{Summaries: l.Assets/pageRows + 1 + references, Details: l.Details, Fields: l.Fields}
	r.Requests = r.Summaries + r.Details + r.Fields
	r.Seconds = math.Round(float64(r.Requests) / (float64(max(perSecond, 1)) * paceUsed))
	r.OfBalance = 1
	if balance > 0 {
		r.OfBalance = float64(r.Requests) / float64(balance)
	}
	return r
}
