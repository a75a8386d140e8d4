package plan

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestAdmit(t *testing.T) {
	tests := map[string]struct {
		limit RemovalLimit
		wave  Wave
		want  Gate
	}{
		"nothing":                   {DefaultRemovalLimit(), Wave{}, Release},
		"within count":              {DefaultRemovalLimit(), Wave{Waiting: 100, Present: 5000}, Release},
		"over count":                {DefaultRemovalLimit(), Wave{Waiting: 101, Present: 5000}, Hold},
		"within percent":            {DefaultRemovalLimit(), Wave{Waiting: 5, Present: 50}, Release},
		"over percent":              {DefaultRemovalLimit(), Wave{Waiting: 6, Present: 50}, Hold},
		"percent rounds down":       {DefaultRemovalLimit(), Wave{Waiting: 6, Present: 59}, Hold},
		"one of a few":              {DefaultRemovalLimit(), Wave{Waiting: 1, Present: 3}, Release},
		"two of a few":              {DefaultRemovalLimit(), Wave{Waiting: 2, Present: 3}, Hold},
		"drops in a row":            {DefaultRemovalLimit(), Wave{Waiting: 1, Recent: 5, Present: 45}, Hold},
		"single edits of a few":     {DefaultRemovalLimit(), Wave{Waiting: 1, Recent: 4, Present: 12}, Release},
		"more than single edits":    {DefaultRemovalLimit(), Wave{Waiting: 1, Recent: 5, Present: 12}, Hold},
		"a wave behind one edit":    {DefaultRemovalLimit(), Wave{Waiting: 2, Recent: 1, Present: 12}, Hold},
		"a suspect behind an edit":  {DefaultRemovalLimit(), Wave{Waiting: 1, Suspects: 1, Recent: 1, Present: 12}, Wait},
		"single edits over count":   {RemovalLimit{Count: 2}, Wave{Waiting: 1, Recent: 2, Present: 5000}, Hold},
		"few edits over count":      {RemovalLimit{Count: 2, Percent: 10}, Wave{Waiting: 1, Recent: 2, Present: 12}, Hold},
		"more may come":             {DefaultRemovalLimit(), Wave{Waiting: 3, Suspects: 3, Present: 50}, Wait},
		"all that may come fits":    {DefaultRemovalLimit(), Wave{Waiting: 3, Suspects: 2, Present: 50}, Release},
		"with what is held":         {DefaultRemovalLimit(), Wave{Waiting: 1, Held: 1, Present: 5000}, Hold},
		"count only":                {RemovalLimit{Count: 10}, Wave{Waiting: 10, Present: 10}, Release},
		"percent only":              {RemovalLimit{Percent: 50}, Wave{Waiting: 500, Present: 1000}, Release},
		"no limit":                  {RemovalLimit{Count: -1, Percent: -1}, Wave{Waiting: 1000, Present: 1000}, Release},
		"forgotten is the default":  {RemovalLimit{}, Wave{Waiting: 101, Present: 5000}, Hold},
		"a percentage out of sense": {RemovalLimit{Percent: math.NaN()}, Wave{Waiting: 2, Present: 5000}, Hold},
		"huge":                      {RemovalLimit{Percent: math.Inf(1)}, Wave{Waiting: 1000, Present: 1000}, Release},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.limit.Admit(test.wave); got != test.want {
				t.Errorf("got %v, want %v (allowance %d)", got, test.want, test.limit.Allowance(test.wave))
			}
		})
	}
}

func TestAdmitProperties(t *testing.T) {
	count := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 2_000_000))
	rapid.Check(t, func(t *rapid.T) {
		limit := RemovalLimit{Count: rapid.IntRange(-1, 200).Draw(t, "count"), Percent: rapid.Float64Range(-1, 100).Draw(t, "percent")}
		w := Wave{
			Waiting: count.Draw(t, "waiting"), Held: rapid.IntRange(0, 2).Draw(t, "held"),
			Suspects: count.Draw(t, "suspects"), Recent: count.Draw(t, "recent"),
		}
		w.Present = w.Waiting + w.Held + count.Draw(t, "others")
		gate := limit.Admit(w)
		if gate == Release {
			checkReleased(t, limit.orDefault(), w)
		}
		if w.Held > 0 && gate != Hold {
			t.Fatalf("%v beside a held removal", gate)
		}
		counted := w
		counted.Present = min(w.Present, limit.Enough(w))
		if got := limit.Admit(counted); got != gate {
			t.Fatalf("%v of %d objects, but %v when %d are counted", gate, w.Present, got, counted.Present)
		}
		more := w
		more.Suspects++
		if gate != Release && limit.Admit(more) == Release {
			t.Fatal("one more suspect opened the gate")
		}
	})
}

// checkReleased holds what was let through within a minute against the two
// halves of the limit, computed another way than Allowance does.
func checkReleased(t *rapid.T, limit RemovalLimit, w Wave) {
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
