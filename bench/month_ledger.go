package main

import (
	"fmt"
	"time"

	"damsync/internal/grant"
)

const dayLength = 24 * time.Hour

// monthLedger is the rule of damsync.take_grant for one calendar month, in memory: floors and
// days' shares, see grant.Budget.
type monthLedger struct {
	limit  int64
	days   int
	budget grant.Budget
	used   int64
	// byDay counts by day and class.
	byDay []map[grant.Class]int64
	sent  []time.Duration // of all requests
}

func newMonthLedger(limit int64, days int) *monthLedger {
	l := &monthLedger{limit: limit, days: days, budget: grant.DefaultBudget(limit), byDay: make([]map[grant.Class]int64, days+1)}
	for i := range l.byDay {
		l.byDay[i] = map[grant.Class]int64{}
	}
	return l
}

func (l *monthLedger) day(at time.Duration) int { return min(int(at/dayLength), l.days) }

// left is what class may still spend today.
func (l *monthLedger) left(class grant.Class, at time.Duration) int64 {
	share := l.budget[class]
	month := max(l.limit-share.Floor-l.used, 0)
	if share.Days == 0 {
		return month
	}
	today := l.day(at)
	var spent int64
	for _, c := range share.With {
		spent += l.byDay[today][c]
	}
	over := int64(max(min(share.Days, l.days-today), 1))
	return min(month, max((month+spent+over-1)/over, grant.LeastDay)-spent)
}

// take counts a request, or refuses it.
func (l *monthLedger) take(class grant.Class, at time.Duration) *grant.Deferred {
	if l.left(class, at) <= 0 {
		return &grant.Deferred{Until: monthStart().Add(at.Truncate(dayLength) + dayLength), Reason: fmt.Sprintf("%s has spent its share", class)}
	}
	l.used++
	l.byDay[l.day(at)][class]++
	l.sent = append(l.sent, at)
	return nil
}

// check counts, from what was sent alone, the requests above the month or the pace: more than
// perSecond within any second.
func (l *monthLedger) check(perSecond int) (above int) {
	above = max(len(l.sent)-int(l.limit), 0)
	for i := perSecond; i < len(l.sent); i++ {
		if l.sent[i]-l.sent[i-perSecond] < time.Second {
			above++
		}
	}
	return above
}

func (l *monthLedger) byClass() map[grant.Class]int64 {
	sum := map[grant.Class]int64{}
	for _, day := range l.byDay {
		for class, n := range day {
			sum[class] += n
		}
	}
	return sum
}
