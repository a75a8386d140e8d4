package grant

import "time"

// Share is what one class may spend of the month. The zero Share is unlimited.
type Share struct {
	// Floor is the number of requests that the class must leave to more urgent ones.
	Floor int64
	// Days limits spending on one day: what the month has left above the floor is divided
	// by the days left, today included, but by no more than Days. 0 means no daily limit.
	Days int
	// With lists the classes that share the daily limit, this one included.
	With []Class
}

// Budget divides a month among the classes. A class without an entry is unlimited.
type Budget map[Class]Share

// LeastDay is the number of requests that the daily limit of a class never falls
// below while the month has as many left. Spreading a small month even thinner would
// help no class.
const LeastDay = 100

// How many days' worth of the month may be spent on one day.
const (
	bulkDays   = 10
	detailDays = 3
)

// DefaultBudget divides a month of the given number of requests. A tenth is left to
// webhooks, polls and manual requests, and more where work is less urgent. On one day,
// details of changed assets may take a third of what is left, and audits, sweeps and
// backfill together a tenth. A strictly even share would make a first mirroring wait
// for days at the start of a month that has requests to spare, while a tenth of the
// rest each day never uses the month up. In the last days the share is even.
func DefaultBudget(month int64) Budget {
	bulk := []Class{Audit, Sweep, Backfill}
	percent := func(n int64) int64 { return month/100*n + month%100*n/100 }
	return Budget{
		Manual:      {Floor: percent(1)},
		Incremental: {Floor: percent(2)},
		Detail:      {Floor: percent(10), Days: detailDays, With: []Class{Detail}},
		Audit:       {Floor: percent(10), Days: bulkDays, With: bulk},
		Sweep:       {Floor: percent(12), Days: bulkDays, With: bulk},
		Backfill:    {Floor: percent(15), Days: bulkDays, With: bulk},
	}
}

// Allowance is what a class may still spend, in requests, and until when that holds.
type Allowance struct {
	Class Class
	Floor int64 // of the month, left to more urgent classes
	Month int64 // left of the month above the floor
	// Today is what the class may spend until Until, at most Month and, for a class with a
	// daily limit, at most that limit. Ledger.Take grants exactly as many.
	Today int64
	// Spare is the part of Today that the rest of the month does not need: what is left
	// when the more urgent classes continue as in the last seven days, spread evenly over
	// the days left. Optional work stays within it.
	Spare int64
	// Until is when more becomes available: the next UTC day for a class with a daily
	// limit, otherwise the end of the month.
	Until time.Time
	// Deferred says why Today is zero; nil when it is not.
	Deferred *Deferred
}
