package backlog

import (
	"testing"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// A class that the quota refuses does not end the wait for more urgent work, which is still done.
func TestDeferralConcernsWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		left    state.Backlog
		asset   string
		refused grant.Class
		want    bool
	}{
		{state.Backlog{Lookups: 3, Urgent: grant.Manual}, "", grant.Detail, false},
		{state.Backlog{Lookups: 3, Urgent: grant.Detail}, "", grant.Detail, true},
		{state.Backlog{Lookups: 3, Urgent: grant.Backfill}, "", grant.Detail, true},
		{state.Backlog{Lookups: 1, Urgent: grant.Manual}, "x", grant.Manual, true},
		{state.Backlog{Placements: 2}, "", grant.Detail, true},
		{state.Backlog{Placements: 1}, "x", grant.Detail, false},
		{state.Backlog{Placements: 1}, "x", grant.Webhook, true},
	} {
		if got := concerns(Options{AssetID: c.asset}, c.left, c.refused); got != c.want {
			t.Errorf("%+v of %q, %s refused: %t", c.left, c.asset, c.refused, got)
		}
	}
}
