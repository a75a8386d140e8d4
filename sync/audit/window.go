package audit

import (
	"fmt"
	"time"

	"damsync/cmp"
)

// pageSize is the most rows the CMP gives a request.
const pageSize = 100

// Window is a stretch of created_at in whole seconds, both bounds inclusive; a
// zero bound is open. created_at never changes, so an edit moves no asset from
// one window to another.
type Window struct {
	From, To time.Time
}

// Has tells whether an asset created at t is in the window.
func (w Window) Has(t time.Time) bool {
	t = t.Truncate(time.Second)
	return (w.From.IsZero() || !t.Before(w.From)) && (w.To.IsZero() || !t.After(w.To))
}

// second is true of a window that cannot be cut by time.
func (w Window) second() bool { return !w.From.IsZero() && w.From.Equal(w.To) }

func (w Window) String() string {
	text := func(t time.Time) string {
		if t.IsZero() {
			return "…"
		}
		return t.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("[%s, %s]", text(w.From), text(w.To))
}

// cut divides w before the second at, or after it.
func (w Window) cut(at time.Time, after bool) (first, second Window) {
	if after {
		at = at.Add(time.Second)
	}
	return Window{From: w.From, To: at.Add(-time.Second)}, Window{From: at, To: w.To}
}

// Bounds is how a library reads created_at__from and __to, which the vendor does
// not document. It is found out once, see calibrate, and kept.
type Bounds struct {
	Known     bool `json:"known,omitempty"`
	Exclusive bool `json:"exclusive,omitempty"` // the given time itself is left out
	Fraction  bool `json:"fraction,omitempty"`  // times with fractions of a second were seen
}

// query asks for the assets of w.
func (b Bounds) query(w Window) cmp.AssetQuery {
	q := cmp.AssetQuery{PageSize: pageSize}
	tick := time.Second
	if b.Fraction {
		tick = time.Microsecond
	}
	if !w.From.IsZero() {
		q.CreatedFrom = w.From
		if b.Exclusive {
			q.CreatedFrom = w.From.Add(-tick)
		}
	}
	if !w.To.IsZero() {
		q.CreatedTo = w.To.Add(time.Second - tick)
		if b.Exclusive {
			q.CreatedTo = q.CreatedTo.Add(tick)
		}
	}
	return q
}
