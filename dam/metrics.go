package dam

import (
	"context"
	"time"
)

// Call is a finished call as Metrics reports it.
type Call struct {
	Op    Op
	Class Class // ClassNone on success
	Took  time.Duration
}

// Metrics calls observe after each call: after the whole of a listing, and when
// the stream of ReadBack is open. Many goroutines call observe at once.
func Metrics(next Adapter, observe func(Call)) Adapter {
	return wrap{next, func(_ context.Context, t *trace, do func() error) error {
		start := time.Now()
		err := do()
		observe(Call{Op: t.op, Class: Classify(err), Took: time.Since(start)})
		return err
	}}
}
