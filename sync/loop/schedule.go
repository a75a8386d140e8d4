package loop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/robfig/cron/v3"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// ScheduleCheck is how often a schedule is looked at besides its own times: the lead may change hands, and the clock
// may jump.
const ScheduleCheck = 5 * time.Second

// ParseSchedule reads a cron specification as robfig/cron does; nil when it is empty. name is its configuration key.
func ParseSchedule(name, spec string) (cron.Schedule, error) {
	if spec == "" {
		return nil, nil
	}
	s, err := cron.ParseStandard(spec)
	if err != nil {
		return nil, fmt.Errorf("schedule %s: %w", name, err)
	}
	return s, nil
}

// ObservationStore knows when observations last ran, on the database's clock.
type ObservationStore interface {
	Now(ctx context.Context) (time.Time, error)
	Observation(ctx context.Context, kind string) (state.ObservationState, error)
}

// Observation is one kind of observation that runs by a schedule.
type Observation struct {
	Kind     string
	Schedule cron.Schedule // nil: only on request
	Store    ObservationStore
}

// Run runs the observation when its time has come since its last success, or at once when it is requested or has never
// succeeded. It returns how long to wait before the next look.
func (o Observation) Run(ctx context.Context, requested bool, run func(context.Context) error) (time.Duration, error) {
	last, err := o.Store.Observation(ctx, o.Kind)
	if err != nil {
		return ScheduleCheck, err
	}
	now, err := o.Store.Now(ctx)
	if err != nil {
		return ScheduleCheck, err
	}
	if due := nextDue(o.Schedule, last, now); !requested && due > 0 {
		return min(due, ScheduleCheck), nil
	}
	err = run(ctx)
	if errors.Is(err, state.ErrRunning) {
		return ScheduleCheck, nil
	}
	return 0, err
}

func nextDue(s cron.Schedule, last state.ObservationState, now time.Time) time.Duration {
	if s == nil {
		return ScheduleCheck
	}
	if last.LastSuccess.IsZero() {
		return 0
	}
	return max(0, s.Next(last.LastSuccess).Sub(now))
}

// UntilDeferred returns how long to wait before work that the quota refused is tried again: until the quota has
// more, but at most a minute, since the limit may be raised.
func UntilDeferred(d *grant.Deferred) time.Duration {
	return min(max(time.Until(d.Until), time.Second), time.Minute)
}

// Spread draws a wait between d and five times d for bulk work, so that work which a spent quota defers does not
// come back all at once.
func Spread(class grant.Class, d time.Duration) time.Duration {
	if class == grant.Webhook || class == grant.Manual {
		return d
	}
	return d + rand.N(4*d)
}
