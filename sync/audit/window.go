package audit

import (
	"fmt"
	"time"

	"damsync/cmp"
)

// pageSize is the largest page that the CMP returns.
const pageSize = 100

// Window is a range of created_at in whole seconds, both bounds inclusive. A zero bound is open. created_at never
// changes, so an edit moves no asset from one window to another.
type Window struct {
	From, To time.Time
}

// Has reports whether an asset created at t is in the window.
func (w Window) Has(t time.Time) bool {
	t = t.Truncate(time.Second)
	return (w.From.IsZero() || !t.Before(w.From)) && (w.To.IsZero() || !t.After(w.To))
}

// oneSecond reports whether the window is a single second, which cannot be cut.
func (w Window) oneSecond() bool { return !w.From.IsZero() && w.From.Equal(w.To) }

func (w Window) String() string {
	text := func(t time.Time) string {
		if t.IsZero() {
			return "…"
		}
		return t.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("[%s, %s]", text(w.From), text(w.To))
}

// cut divides w before the given second, or after it.
func (w Window) cut(at time.Time, after bool) (first, second Window) {
	if after {
		at = at.Add(time.Second)
	}
	return Window{From: w.From, To: at.Add(-time.Second)}, Window{From: at, To: w.To}
}

// Bounds describes how a library interprets created_at__from and created_at__to, which the vendor does not document.
// calibrate finds it out once.
type Bounds struct {
	Known     bool `json:"known,omitempty"`
	Exclusive bool `json:"exclusive,omitempty"` // the bound itself is excluded
	Fraction  bool `json:"fraction,omitempty"`  // times with fractions of a second were seen
}

// query returns the query for the assets of w.
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
