package grant

import (
	"context"
	"time"
)

// Ledger counts what the organization spends, across processes.
type Ledger interface {
	// Take asks for one request of class, to be sent now. A request that it grants is
	// counted durably before it returns.
	Take(ctx context.Context, class Class) (Decision, error)
	// Pause stops all grants for d from now. It never shortens a pause in force.
	Pause(ctx context.Context, d time.Duration, reason string) error
	// Throttled does what Pause does and lowers the pace of all processes for a while. It
	// is for a request that the API throttles although the pace was kept.
	Throttled(ctx context.Context, d time.Duration, reason string) (Throttle, error)
}

// Decision is a ledger's answer to Take. With Deferred set, the quota defers the
// class until a known time. With Wait above zero, no request may be sent yet: ask
// again after Wait. Otherwise the request is granted and counted.
type Decision struct {
	At       time.Time // when the request was granted, on the ledger's clock
	Wait     time.Duration
	Deferred *Deferred
}

// Throttle is the ledger's reaction to a request that the API throttled although the
// pace was kept: another client spends the organization's requests, or the configured
// pace is too high.
type Throttle struct {
	Share   float64 // of the configured pace that is used from now on; recovers within an hour
	Lowered bool    // by this request; requests in flight together lower the pace once
}
