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
}

var _ Grants = (*grant.Dispatcher)(nil)
