package cmpsim

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Pace is the organization's limits.
type Pace struct {
	RequestsPerSecond int `json:"requests_per_second"` // 0 means no limit
	RequestsPerMonth  int `json:"requests_per_month"`  // 0 means no limit
	RetryAfterSeconds int `json:"retry_after_seconds"` // 0 sends no header
}

// PaceCounters counts arrivals at the API host. Downloads and tokens are not counted (facts.md 3).
type PaceCounters struct {
	Used          int `json:"quota_used"`       // accepted this month
	Refused       int `json:"refused_by_pace"`  // answered 429 for the pace; not part of Used
	Exhausted     int `json:"refused_by_quota"` // answered 429 for the quota; not part of Used
	PeakPerSecond int `json:"peak_per_second"`  // most arrivals within any sliding second
}

// limiter enforces the limits. A refused request counts as an arrival, so a client that keeps
// hammering stays refused.
type limiter struct {
	clock func() time.Time

	mu       sync.Mutex // guards the fields below
	limits   Pace
	arrivals []time.Time // of the last second, oldest first
	month    int         // of count.Used, as year*12+month
	count    PaceCounters
}

func newLimiter(o Options) *limiter {
	return &limiter{clock: o.Now, limits: Pace{
		RequestsPerSecond: o.RequestsPerSecond,
		RequestsPerMonth:  o.RequestsPerMonth,
		RetryAfterSeconds: int(o.RetryAfter / time.Second),
	}}
}

// enforce answers 429 beyond the limits. The API documents no 429 (facts.md 3); the body has the
// documented shape of errors.
func (l *limiter) enforce(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal, retryAfter := l.arrive()
		if refusal == "" {
			next.ServeHTTP(w, r)
			return
		}
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		}
		writeError(w, http.StatusTooManyRequests, refusal)
	})
}

// arrive counts an arrival and returns why it is refused, "" when it is accepted.
func (l *limiter) arrive() (refusal string, retryAfter int) {
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnMonth(now)
	old := 0
	for old < len(l.arrivals) && now.Sub(l.arrivals[old]) >= time.Second {
		old++
	}
	l.arrivals = append(l.arrivals[old:], now)
	l.count.PeakPerSecond = max(l.count.PeakPerSecond, len(l.arrivals))
	switch {
	case l.limits.RequestsPerSecond > 0 && len(l.arrivals) > l.limits.RequestsPerSecond:
		l.count.Refused++
		return "Too many requests", l.limits.RetryAfterSeconds
	case l.limits.RequestsPerMonth > 0 && l.count.Used >= l.limits.RequestsPerMonth:
		l.count.Exhausted++
		return "Monthly request quota exceeded", l.limits.RetryAfterSeconds
	default:
		l.count.Used++
		return "", 0
	}
}

func (l *limiter) turnMonth(now time.Time) {
	utc := now.UTC()
	if m := utc.Year()*12 + int(utc.Month()); m != l.month {
		l.month, l.count.Used = m, 0
	}
}

// reset forgets the counters but keeps the used quota.
func (l *limiter) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count = PaceCounters{Used: l.count.Used}
}

// Pace returns the limits in force.
func (s *Simulator) Pace() Pace {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	return s.limits.limits
}

// SetPace replaces the limits. The counters go on.
func (s *Simulator) SetPace(p Pace) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.limits.limits = p
}

// PaceCounters returns the counts since New or ResetCounters; Used is this month's.
func (s *Simulator) PaceCounters() PaceCounters {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	return s.limits.count
}

// SetQuotaUsed sets how much of this month's quota is used, to test its end without spending it.
func (s *Simulator) SetQuotaUsed(n int) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	s.limits.turnMonth(s.limits.clock())
	s.limits.count.Used = n
}
