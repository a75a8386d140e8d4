package main

import (
	"context"
	"testing"
)

// A budget holds to the request, whoever is killed when; a month on a virtual clock leaves
// what is urgent its part to the last day.
func TestQuota(t *testing.T) {
	const timed = "most arrivals in a sliding second" // a busy machine delays the receiver
	o := quotaOptions{procs: 3, kills: 4, requests: 60, month: 2500}
	var s sheet
	err := withDatabase(t.Context(), func(ctx context.Context, d *database) error {
		if err := o.run(ctx, d, &s); err != nil {
			return err
		}
		return o.months(ctx, d, &s)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.figures {
		t.Logf("%s: %s %s %s", f.Measure, number(f.Seen), f.Unit, f.bound())
		if !f.OK && f.Measure != timed {
			t.Errorf("%s is %s, not %s", f.Measure, number(f.Seen), f.bound())
		}
	}
}
