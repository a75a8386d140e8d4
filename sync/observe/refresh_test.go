package observe

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/internal/grant"
)

// The refresh never takes more of a day than its share, however often it asks.
func TestRefreshRoom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
		end := now.AddDate(0, 0, 1)
		now = now.Add(time.Duration(rapid.IntRange(0, 1439).Draw(t, "minute")) * time.Minute)
		spare, per := rapid.Int64Range(0, 200_000).Draw(t, "spare"), rapid.Int64Range(1, 2).Draw(t, "per asset")
		spent := int64(0)
		for now.Before(end) {
			n, wait := refreshRoom(grant.Allowance{Spare: spare - spent, Today: spare - spent, Until: end}, now, per)
			if n < 0 || wait <= 0 {
				t.Fatalf("%d assets, wait %s", n, wait)
			}
			spent += int64(n) * per
			now = now.Add(wait)
		}
		if spent > spare {
			t.Fatalf("%d of %d were spent", spent, spare)
		}
	})
}
