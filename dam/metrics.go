package dam

import (
	"context"
	"time"
)

// Call is what Metrics tells of a call.
type Call struct {
	Op    Op
	Class Class // ClassNone of a success
	Took  time.Duration
}

// Metrics tells observe of each call when it has ended: of a listing when it
// was read, of reading back when the stream is open. observe is called by many
// goroutines at once.
func Metrics(next Adapter, observe func(Call)) Adapter {
	return wrap{next, func(_ context.Context, op Op, do func() error) error {
		start := time.Now()
		err := do()
		observe(Call{Op: op, Class: Classify(err), Took: time.Since(start)})
		return err
	}}
}
