package cmp

import (
	"context"
	"time"

	"damsync/internal/grant"
)

// Grants gives permission to send. *grant.Dispatcher implements it.
type Grants interface {
	// Take blocks until one request of class may be sent now. It returns
	// *grant.Deferred when the quota refuses the class.
	Take(ctx context.Context, class grant.Class) (grant.Grant, error)
	// Pause keeps everybody, in every process, from sending for d.
	Pause(ctx context.Context, d time.Duration, reason string) error
	// Throttled is Pause after a 429: the pace was kept, so somebody else spends the
	// organization's requests, and the pace of everybody is lowered for a while.
	Throttled(ctx context.Context, d time.Duration, reason string) (grant.Throttle, error)
}

var _ Grants = (*grant.Dispatcher)(nil)
