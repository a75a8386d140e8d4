package plan

import (
	"math"
	"testing"

	"damsync/internal/state"

	"pgregory.net/rapid"
)

func TestRemovalLimit(t *testing.T) {
	tests := map[string]struct {
		limit RemovalLimit
		wave  state.Wave
		want  state.GuardAnswer
	}{
		"nothing":                   {DefaultRemovalLimit(), state.Wave{}, state.GuardRelease},
		"within count":              {DefaultRemovalLimit(), state.Wave{Waiting: 100, Present: 5000}, state.GuardRelease},
		"over count":                {DefaultRemovalLimit(), state.Wave{Waiting: 101, Present: 5000}, state.GuardHold},
		"within percent":            {DefaultRemovalLimit(), state.Wave{Waiting: 5, Present: 50}, state.GuardRelease},
		"over percent":              {DefaultRemovalLimit(), state.Wave{Waiting: 6, Present: 50}, state.GuardHold},
		"percent rounds down":       {DefaultRemovalLimit(), state.Wave{Waiting: 6, Present: 59}, state.GuardHold},
		"one of a few":              {DefaultRemovalLimit(), state.Wave{Waiting: 1, Present: 3}, state.GuardRelease},
		"two of a few":              {DefaultRemovalLimit(), state.Wave{Waiting: 2, Present: 3}, state.GuardHold},
		"drops in a row":            {DefaultRemovalLimit(), state.Wave{Waiting: 1, Recent: 5, Present: 45}, state.GuardHold},
		"single edits of a few":     {DefaultRemovalLimit(), state.Wave{Waiting: 1, Recent: 4, Present: 12}, state.GuardRelease},
		"more than single edits":    {DefaultRemovalLimit(), state.Wave{Waiting: 1, Recent: 5, Present: 12}, state.GuardHold},
		"a wave behind one edit":    {DefaultRemovalLimit(), state.Wave{Waiting: 2, Recent: 1, Present: 12}, state.GuardHold},
		"a suspect behind an edit":  {DefaultRemovalLimit(), state.Wave{Waiting: 1, Suspects: 1, Recent: 1, Present: 12}, state.GuardWait},
		"single edits over count":   {RemovalLimit{Count: 2}, state.Wave{Waiting: 1, Recent: 2, Present: 5000}, state.GuardHold},
		"few edits over count":      {RemovalLimit{Count: 2, Percent: 10}, state.Wave{Waiting: 1, Recent: 2, Present: 12}, state.GuardHold},
		"more may come":             {DefaultRemovalLimit(), state.Wave{Waiting: 3, Suspects: 3, Present: 50}, state.GuardWait},
		"all that may come fits":    {DefaultRemovalLimit(), state.Wave{Waiting: 3, Suspects: 2, Present: 50}, state.GuardRelease},
		"with what is held":         {DefaultRemovalLimit(), state.Wave{Waiting: 1, Held: 1, Present: 5000}, state.GuardHold},
		"count only":                {RemovalLimit{Count: 10}, state.Wave{Waiting: 10, Present: 10}, state.GuardRelease},
		"percent only":              {RemovalLimit{Percent: 50}, state.Wave{Waiting: 500, Present: 1000}, state.GuardRelease},
		"no limit":                  {RemovalLimit{Count: -1, Percent: -1}, state.Wave{Waiting: 1000, Present: 1000}, state.GuardRelease},
		"forgotten is the default":  {RemovalLimit{}, state.Wave{Waiting: 101, Present: 5000}, state.GuardHold},
		"a percentage out of sense": {RemovalLimit{Percent: math.NaN()}, state.Wave{Waiting: 2, Present: 5000}, state.GuardHold},
		"huge":                      {RemovalLimit{Percent: math.Inf(1)}, state.Wave{Waiting: 1000, Present: 1000}, state.GuardRelease},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.limit.Evaluate(test.wave); got != test.want {
				t.Errorf("got %v, want %v (allowed %d)", got, test.want, test.limit.Allowed(test.wave))
			}
		})
	}
}

func TestRemovalLimitProperties(t *testing.T) {
	count := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 2_000_000))
	rapid.Check(t, func(t *rapid.T) {
		limit := RemovalLimit{Count: rapid.IntRange(-1, 200).Draw(t, "count"), Percent: rapid.Float64Range(-1, 100).Draw(t, "percent")}
		w := state.Wave{
			Waiting: count.Draw(t, "waiting"), Held: rapid.IntRange(0, 2).Draw(t, "held"),
			Suspects: count.Draw(t, "suspects"), Recent: count.Draw(t, "recent"),
		}
		w.Present = w.Waiting + w.Held + count.Draw(t, "others")
		answer := limit.Evaluate(w)
		if answer == state.GuardRelease {
			checkReleased(t, limit.orDefault(), w)
		}
		if w.Held > 0 && answer != state.GuardHold {
			t.Fatalf("%v beside a held removal", answer)
		}
		counted := w
		counted.Present = min(w.Present, limit.Enough(w))
		if got := limit.Evaluate(counted); got != answer {
			t.Fatalf("%v of %d objects, but %v when %d are counted", answer, w.Present, got, counted.Present)
		}
		more := w
		more.Suspects++
		if answer != state.GuardRelease && limit.Evaluate(more) == state.GuardRelease {
			t.Fatal("one more suspect released the wave")
		}
	})
}

// checkReleased compares the removals released within a minute with both halves of the
// limit, computed in another way than Allowed does.
func checkReleased(t *rapid.T, limit RemovalLimit, w state.Wave) {
	released := w.Waiting + w.Recent
	if limit.Count > 0 && released > limit.Count {
		t.Fatalf("%d released, limit %d", released, limit.Count)
	}
	over := func(n, of int) bool {
		return limit.Percent > 0 && n > 1 && float64(n)*100 > limit.Percent*float64(of)*(1+1e-9)
	}
	if over(released, w.Present+w.Recent) && (released > Singles || over(w.Waiting, w.Present)) {
		t.Fatalf("%d of %d released, %d of them together, limit %v percent", released, w.Present+w.Recent, w.Waiting, limit.Percent)
	}
	if w.Held > 0 {
		t.Fatal("released beside a held wave")
	}
}
