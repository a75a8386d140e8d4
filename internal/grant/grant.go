// Package grant holds the permission to send one API request: the classes that
// requests belong to, the error of a class that the quota defers, how a month is
// divided among the classes, and the dispatcher that shares the organization's pace
// among the goroutines of one process. The durable ledger behind it is in the store.
package grant

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Class names the purpose that a request is spent on. Classes are ordered by urgency;
// more urgent waiters are served first.
type Class string

// The classes, most urgent first.
const (
	Webhook     Class = "webhook"
	Manual      Class = "manual"
	Incremental Class = "incremental"
	Detail      Class = "detail"
	Audit       Class = "audit"
	Sweep       Class = "sweep"
	Backfill    Class = "backfill"
)

// Classes lists every class, most urgent first.
func Classes() []Class {
	return []Class{Webhook, Manual, Incremental, Detail, Audit, Sweep, Backfill}
}

// Rank orders classes by urgency: 0 is the most urgent. Unknown classes come last.
func (c Class) Rank() int {
	if i := slices.Index(Classes(), c); i >= 0 {
		return i
	}
	return len(Classes())
}

// Deferred is the error of a grant that the quota does not allow before a known time.
// It is a state, not a failure: the work continues at Until.
type Deferred struct {
	Class  Class // whose requests are deferred
	Until  time.Time
	Reason string
}

func (d *Deferred) Error() string {
	return fmt.Sprintf("deferred until %s: %s", d.Until.UTC().Format(time.RFC3339), d.Reason)
}

type classKey struct{}

// WithClass returns a context whose requests are spent by class.
func WithClass(ctx context.Context, class Class) context.Context {
	return context.WithValue(ctx, classKey{}, class)
}

// ClassOf returns the class that ctx carries, Manual when it carries none.
func ClassOf(ctx context.Context) Class {
	if c, ok := ctx.Value(classKey{}).(Class); ok {
		return c
	}
	return Manual
}
