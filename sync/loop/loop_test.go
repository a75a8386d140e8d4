package loop

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"damsync/internal/state"
)

func TestNextDue(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	hourly, err := ParseSchedule("sweep", "@hourly")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		last time.Time
		want time.Duration
	}{
		{"never", time.Time{}, 0},
		{"overdue", now.Add(-3 * time.Hour), 0},
		{"since the last full hour", now.Add(-time.Minute), 0},
		{"in an hour", now, time.Hour},
	} {
		if got := nextDue(hourly, state.ObservationState{LastSuccess: c.last}, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := ParseSchedule("sweep", "every day"); err == nil {
		t.Error("an invalid schedule is accepted")
	}
}

// empty has work that looks due and cannot be claimed.
type empty struct{ claims int }

func (e *empty) Claim(context.Context, int) ([]func(context.Context), error) {
	e.claims++
	return nil, nil
}

func (e *empty) Next(context.Context) (time.Duration, bool, error) { return 0, true, nil }

// Work that looks due and cannot be claimed does not make the pool spin.
func TestPoolDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		work := &empty{}
		pool := Pool{Claimer: work, Workers: 4, Wakeup: NewWakeup(), SlowPoll: 30 * time.Second, Log: zerolog.Nop()}
		if err := pool.Run(ctx); err != nil || work.claims > 60 {
			t.Errorf("%d claims in a minute, %v", work.claims, err)
		}
	})
}
