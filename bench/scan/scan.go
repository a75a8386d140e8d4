package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"damsync/bench/internal/benchkit"
	"damsync/sync/audit/audittest"
	"damsync/sync/walk"
)

type options struct {
	assets, bulk, ties, seeds benchkit.Quantity
	churn                     string
}

// churns are changes per request: a day's changes over a day's requests at ten a second.
func churns() map[string]float64 {
	return map[string]float64{"none": 0, "low": 12_000.0 / 864_000, "high": 120_000.0 / 864_000}
}

func (o *options) run(ctx context.Context, s *benchkit.Sheet) error {
	rate, known := churns()[o.churn]
	if !known {
		return fmt.Errorf("--churn %q: want none, low or high", o.churn)
	}
	missed, requests := 0, 0
	for seed := range uint64(o.seeds) {
		h := o.newHistory(seed, rate)
		if err := h.walk(ctx); err != nil {
			return fmt.Errorf("walk with seed %d: %w", seed, err)
		}
		missed += h.missed()
		requests += h.Requests
	}
	s.Exactly(0, "living assets missed", float64(missed), "")
	s.AtMost(1.05, "requests / (n/100)", float64(requests)/float64(o.seeds)/(float64(o.assets)/100), "")
	return nil
}

// history is one library, its editors and what a walk returned of it.
type history struct {
	benchkit.Editor
	returned map[int]bool
}

// newHistory plans a library whose editors work whenever it is read.
func (o *options) newHistory(seed uint64, rate float64) *history {
	r := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // repeatable
	l := benchkit.NewLibrary(int(o.assets), int(o.ties), 10, r)
	h := &history{Editor: benchkit.Editor{Library: l, Random: r, Rate: rate, Touched: map[int]bool{}}, returned: map[int]bool{}}
	deletion := r.IntN(int(o.assets)/100 + 1) // before this request
	l.Before = func() {
		h.Step(l.Requests)
		if l.Requests == deletion && o.bulk > 0 {
			from := r.IntN(max(1, int(o.assets)-int(o.bulk)))
			for i := from; i < min(from+int(o.bulk), int(o.assets)); i++ {
				h.Touched[i] = true
				l.Delete(i)
			}
		}
	}
	return h
}

// walk reads the library to its end as a sweep does.
func (h *history) walk(ctx context.Context) error {
	w, c := walk.Walker{Library: h.Library}, walk.Cursor{}
	for unstable := 0; ; {
		span, next, err := w.Step(ctx, c)
		if errors.Is(err, walk.ErrUnstable) && unstable < 100 {
			unstable++
			continue
		}
		if err != nil {
			return err
		}
		for _, it := range span.Items {
			h.returned[audittest.Place(it.ID)] = true
		}
		if span.End {
			return nil
		}
		c = next
	}
}

// missed counts the untouched living assets that the walk did not return.
func (h *history) missed() (n int) {
	for i := range h.Made() {
		if h.Alive(i) && !h.Touched[i] && !h.returned[i] {
			n++
		}
	}
	return n
}
