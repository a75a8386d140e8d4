package observe

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"damsync/cmp"
	"damsync/sync/audit"
)

// However long an outage lasts, it must not use up the month: an attempt of the leader costs up to five requests.
func TestOutageCostsLittle(t *testing.T) {
	var waited time.Duration
	attempts := 0
	for waited < 24*time.Hour {
		attempts++
		waited += RetryDelay(attempts, fmt.Errorf("list assets: %w", cmp.ErrServer))
	}
	if attempts > 700 {
		t.Errorf("%d attempts a day", attempts)
	}
	waited, attempts = 0, 0
	for waited < 30*24*time.Hour {
		attempts++
		waited += RetryDelay(attempts, fmt.Errorf("audit: %w", audit.ErrUncountable))
	}
	if attempts > 150 {
		t.Errorf("a library that cannot be counted is counted %d times a month", attempts)
	}
	if d := RetryDelay(50, errors.New("database away")); d > 30*time.Second {
		t.Errorf("a database that is back is not noticed for %s", d)
	}
	if d := RetryDelay(1, ErrTooManySuspects); d < 2*time.Minute {
		t.Errorf("a sweep that missed too much is repeated after %s", d)
	}
}
