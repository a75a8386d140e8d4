package grant

import (
	"context"
	"time"
)

// Slot names one place in the sliding second, as the ledger knows it.
type Slot int64

// Decision is a ledger's answer. With Deferred set the class is refused until a
// known time; else with Wait over zero nobody may send yet and the question is to be
// asked again after it; else the request is granted and counted, at Slot.
type Decision struct {
	Slot     Slot
	Wait     time.Duration
	Deferred *Deferred
}

// Ledger counts what the organization spends, across processes.
type Ledger interface {
	// Take asks for one request of class, to be sent now. What it grants is durable
	// before it returns. The pace holds also when every request leaves up to Margin
	// after its slot.
	Take(ctx context.Context, class Class) (Decision, error)
	// Correct moves a granted slot late after the time it was granted for, where later
	// grants count it, and returns what it is called there.
	Correct(ctx context.Context, slot Slot, late time.Duration) (Slot, error)
	// Pause grants nothing to anybody for d from now. A longer pause in force stays.
	Pause(ctx context.Context, d time.Duration, reason string) error
	// Throttled is Pause for a request that was refused although the pace was kept: it also
	// lowers the pace of everybody for a while.
	Throttled(ctx context.Context, d time.Duration, reason string) (Throttle, error)
}

// Grant is permission to send one request now.
type Grant interface {
	// Sent is called right before the request leaves, at the local time at. When
	// that is later than granted it moves the grant's place in the sliding second.
	// ErrStale says that the grant is too old to be used: the caller takes another.
	Sent(ctx context.Context, at time.Time) error
	// Left is called once the request has left, at the local time at. A machine short of
	// processors makes that later than Sent could know; later grants count it there. An
	// error changes nothing about the request.
	Left(ctx context.Context, at time.Time) error
}
