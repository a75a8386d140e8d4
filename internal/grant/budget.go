package grant

import "time"

// Share is what one class may spend of the month. The zero Share may spend all.
type Share struct {
	// Floor is the number of requests that the class must leave to more urgent ones.
	Floor int64
	// Days limits a day: what the month has left above the floor is divided by the
	// days left in it, today included, but by no more than Days. With 0 no day is limited.
	Days int
	// With are the classes that share the day with this one, itself included.
	With []Class
}

// Budget divides a month among the classes. A class without an entry may spend all.
type Budget map[Class]Share

// LeastDay is what a day gives a class that Days limits, in requests, as long as the
// month has as many: spreading a small month even thinner would help nobody.
const LeastDay = 100

// How many days' worth of the month may go on one.
const (
	bulkDays   = 10
	detailDays = 3
)

// DefaultBudget divides a month of so many requests: a tenth is left to webhooks, polls and
// what people ask for by hand, more where work is less urgent. Details of changed assets may
// take a third of what is left on a day, and audits, sweeps and backfill together a tenth; a
// strictly even share would make a first mirroring wait for days at the start of a month that
// nobody else needs, and a tenth of the rest never uses it up. In the last days the share is
// even.
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
	// Today is what is left until Until: no more than Month, and of a class that is held to a
	// day's share no more than that share. Ledger.Take grants as many.
	Today int64
	// Surplus is the part of Today that the rest of the month does not need: what is left
	// when the more urgent classes go on as in the last seven days, spread evenly over the
	// days left. Work that is only good to have stays within it.
	Surplus int64
	// Until is when more is there: the next UTC day for a class held to a day's share, else
	// the end of the month.
	Until time.Time
	// Deferred is why Today is zero; nil when it is not.
	Deferred *Deferred
}

// Throttle is what the ledger makes of a request that the API refused although the pace was
// kept: somebody else spends the organization's requests, or the configured pace is too high.
type Throttle struct {
	Share   float64 // of the configured pace that is used from now on; recovers within an hour
	Lowered bool    // by this refusal; one that was in flight together with another lowers nothing
}
