package loop

import (
	"testing"
	"time"

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
