package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"damsync/bench/internal/benchkit"
)

type options struct {
	assets benchkit.Quantity
	rest   time.Duration
}

func (o *options) run(ctx context.Context, s *benchkit.Sheet) error {
	return benchkit.WithDatabase(ctx, func(ctx context.Context, d *benchkit.Database) error {
		if err := d.FillMirror(ctx, int(o.assets), "brand", "shop"); err != nil {
			return err
		}
		if err := claims(ctx, d, s); err != nil {
			return err
		}
		if err := o.windows(ctx, d, s); err != nil {
			return err
		}
		return o.serve(ctx, d, s)
	})
}

// claims times how workers find that there is no work.
func claims(ctx context.Context, d *benchkit.Database, s *benchkit.Sheet) error {
	push, err := median(func() error {
		work, err := d.Store.ClaimPlacements(ctx, "brand", 8, time.Minute)
		if err == nil && len(work) > 0 {
			err = fmt.Errorf("%d placements are pending", len(work))
		}
		return err
	})
	if err != nil {
		return err
	}
	lookup, err := median(func() error {
		_, err := d.Store.ClaimLookups(ctx, 8, time.Minute)
		return err
	})
	if err != nil {
		return err
	}
	s.AtMost(5, "nothing to push", benchkit.Milliseconds(push), "ms")
	s.AtMost(5, "nothing to look up", benchkit.Milliseconds(lookup), "ms")
	return nil
}

// windows times what audits ask of the mirror: the counts of windows of all sizes, and where to cut.
func (o *options) windows(ctx context.Context, d *benchkit.Database, s *benchkit.Sheet) error {
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same windows each time
	now, err := d.Store.Now(ctx)
	if err != nil {
		return err
	}
	span := time.Duration(o.assets) * time.Minute // of created_at, see FillMirror
	window := func() (from, to time.Time) {
		size := span >> r.IntN(14)
		from = now.Add(-span + time.Duration(r.Int64N(int64(span-size)+1))).Truncate(time.Second)
		return from, from.Add(size)
	}
	counted, err := median(func() error {
		from, to := window()
		_, err := d.Store.CountWindow(ctx, from, to)
		return err
	})
	if err != nil {
		return err
	}
	cut, err := median(func() error {
		_, err := d.Store.NthCreated(ctx, time.Time{}, time.Time{}, r.IntN(int(o.assets)))
		return err
	})
	if err != nil {
		return err
	}
	s.AtMost(10, "a window counted", benchkit.Milliseconds(counted), "ms")
	s.AtMost(10, "where to cut the whole", benchkit.Milliseconds(cut), "ms")
	return nil
}

// median times many calls. The first ones warm the caches and do not count.
func median(call func() error) (time.Duration, error) {
	const calls, warm = 101, 5
	var took []time.Duration
	for i := range calls + warm {
		began := time.Now()
		if err := call(); err != nil {
			return 0, err
		}
		if i >= warm {
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
