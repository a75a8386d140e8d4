package main

import (
	"testing"

	"damsync/bench/internal/benchkit"
)

// A library of 100,000 assets keeps the bounds of one of a million.
func TestMonthKeepsItsBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("a month takes a minute")
	}
	for name, change := range map[string]func(*options){
		"webhooks":    func(*options) {},
		"no webhooks": func(o *options) { o.hook = 0 },
		"details":     func(o *options) { o.details = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := defaults()
			o.assets = 100_000
			change(&o)
			m, err := simulate(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			var s benchkit.Sheet
			m.judge(&s)
			for _, f := range s.Figures {
				t.Log(f)
			}
			if err := s.Missed(); err != nil {
				t.Error(err)
			}
		})
	}
}
