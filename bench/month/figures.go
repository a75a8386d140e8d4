package main

import (
	"slices"
	"time"

	"damsync/bench/internal/benchkit"
	"damsync/internal/grant"
)

const (
	// recount is how long after counts first differ the poll counts again.
	recount = 30 * time.Second
	// bisection is the time to find one asset among a million, and to confirm its removal.
	bisection = 20 * latency
	// wave is the time to confirm each asset of the largest folder.
	wave = largestFolder * latency
)

// judge compares the month with its bounds.
func (m *month) judge(s *benchkit.Sheet) {
	m.judgeRequests(s)
	change, w := m.poll.Seconds()+2, m.world
	if m.hook > 0 {
		change = 5
	}
	s.Info("changes", float64(w.changes), "assets")
	s.Info("change known after, median", quantile(w.changeLag, 0.5).Seconds(), "s")
	s.AtMost(change, "change known after, p99", quantile(w.changeLag, 0.99).Seconds(), "s")
	s.Info("deletions known", float64(len(w.removalLag)), "assets")
	s.Info("deletion known after, median", quantile(w.removalLag, 0.5).Seconds(), "s")
	s.AtMost((m.poll + recount + bisection + wave).Seconds(), "deletion known after, p99", quantile(w.removalLag, 0.99).Seconds(), "s")
	s.Info("deletion known after, longest", quantile(w.removalLag, 1).Seconds(), "s")
	s.AtMost(1, "assets wrong at the end, of those changed over two polls ago", float64(m.wrong(2*m.poll)), "")
}

// judgeRequests compares the requests with the quota and the pace.
func (m *month) judgeRequests(s *benchkit.Sheet) {
	percent := func(n int) float64 { return 100 * float64(n) / float64(m.quota) }
	share := 25.0
	if m.hook > 0 {
		share = 15
	}
	used, gone, sent := m.library.byClass, m.library.gone, len(m.library.sent)
	details := used[grant.Webhook] + used[grant.Detail] - gone[grant.Webhook] - gone[grant.Detail]
	s.AtMost(share, "observation", percent(sent-details), "% of the quota")
	s.AtMost(50, "observation and details", percent(sent), "% of the quota")
	for _, class := range grant.Classes() {
		if n := used[class]; n > 0 {
			s.Info("  "+string(class), float64(n), "requests")
		}
	}
	s.Exactly(0, "requests above the pace", float64(m.library.abovePace(10)), "")
}

// wrong counts assets that the mirror should know after age and does not.
func (m *month) wrong(age time.Duration) (n int) {
	for _, changed := range m.world.unseen {
		if m.world.now-changed[0] > age {
			n++
		}
	}
	for _, since := range m.world.gone {
		if m.world.now-since > age {
			n++
		}
	}
	return n
}

func quantile(lags []time.Duration, q float64) time.Duration {
	if len(lags) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(lags))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
