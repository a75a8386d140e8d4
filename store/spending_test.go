package store

import (
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/grant"
)

func TestSpendingListsTheDaysOfTheMonth(t *testing.T) {
	const now = "2026-03-10T12:00:00Z"
	pool, _ := fakeClock(t, utcTime(t, now))
	for _, day := range []string{"2026-02-08", "2026-02-09", "2026-02-28", "2026-03-01", "2026-03-10"} {
		spend(t, pool, day, grant.Sweep, 5)
	}
	spend(t, pool, "2026-03-01", grant.Webhook, 2)
	day := func(day string, byClass map[grant.Class]int64) SpendingDay {
		return SpendingDay{Day: utcTime(t, day+"T00:00:00Z"), ByClass: byClass}
	}
	sweep := map[grant.Class]int64{grant.Sweep: 5}
	march := []SpendingDay{day("2026-03-01", map[grant.Class]int64{grant.Sweep: 5, grant.Webhook: 2}), day("2026-03-10", sweep)}
	for name, c := range map[string]struct {
		rolling bool
		want    Spending
	}{
		"a calendar month begins on the 1st": {false, Spending{
			Since: utcTime(t, "2026-03-01T00:00:00Z"), Until: utcTime(t, "2026-04-01T00:00:00Z"), Days: march,
		}},
		"a rolling month is today and the 29 days before": {true, Spending{
			Since: utcTime(t, "2026-02-09T00:00:00Z"), Days: append([]SpendingDay{day("2026-02-09", sweep), day("2026-02-28", sweep)}, march...),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := New(pool, "a").Spending(t.Context(), c.rolling)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Now = utcTime(t, now)
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Errorf("spending (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpendingOfAMonthLongerThan30Days(t *testing.T) {
	pool, _ := fakeClock(t, utcTime(t, "2026-03-31T12:00:00Z"))
	spend(t, pool, "2026-03-01", grant.Sweep, 5)
	sp, err := New(pool, "a").Spending(t.Context(), false)
	if err != nil || len(sp.Days) != 1 || sp.Days[0].Day.Format(time.DateOnly) != "2026-03-01" {
		t.Errorf("%+v, %v", sp, err)
	}
}
