package cmpsim

import (
	"net/http"
	"sync"
	"time"
)

// Pace is the organization's limits in force.
type Pace struct {
	RequestsPerSecond int `json:"requests_per_second"` // 0: no limit
	RequestsPerMonth  int `json:"requests_per_month"`  // 0: no limit
	RetryAfterSeconds int `json:"retry_after_seconds"` // 0: no header
}

// PaceCounters is what the limits did.
type PaceCounters struct {
	Used          int `json:"quota_used"`      // this month, refusals by pace not counted
	Refused       int `json:"refused_by_pace"` // 429s for more than the pace
	Exhausted     int `json:"refused_by_quota"`
	PeakPerSecond int `json:"peak_per_second"` // most arrivals in any sliding second
}

// pacer counts arrivals, refused ones too: a client that keeps hammering stays
// refused.
type pacer struct {
	mu       sync.Mutex
	limits   Pace
	arrivals []time.Time // of the last second, oldest first
	month    int         // year*12+month of the counter
	count    PaceCounters
}

func newPacer(o Options) *pacer {
	return &pacer{limits: Pace{
		RequestsPerSecond: o.RequestsPerSecond,
		RequestsPerMonth:  o.RequestsPerMonth,
		RetryAfterSeconds: int(o.RetryAfter / time.Second),
	}}
}

type verdict int

const (
	admitted verdict = iota
	tooFast
	quotaGone
)

func (p *pacer) arrive(now time.Time) (verdict, Pace) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turnMonth(now)
	return p.judge(now), p.limits
}

func (p *pacer) judge(now time.Time) verdict {
	old := 0
	for old < len(p.arrivals) && now.Sub(p.arrivals[old]) >= time.Second {
		old++
	}
	p.arrivals = append(p.arrivals[old:], now)
	p.count.PeakPerSecond = max(p.count.PeakPerSecond, len(p.arrivals))
	if p.limits.RequestsPerSecond > 0 && len(p.arrivals) > p.limits.RequestsPerSecond {
		p.count.Refused++
		return tooFast
	}
	if p.limits.RequestsPerMonth > 0 && p.count.Used >= p.limits.RequestsPerMonth {
		p.count.Exhausted++
		return quotaGone
	}
	p.count.Used++
	return admitted
}

func (p *pacer) turnMonth(now time.Time) {
	utc := now.UTC()
	if m := utc.Year()*12 + int(utc.Month()); m != p.month {
		p.month, p.count.Used = m, 0
	}
}

func (p *pacer) counters() PaceCounters {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Pace returns the limits in force.
func (s *Simulator) Pace() Pace {
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	return s.pace.limits
}

// SetPace replaces the limits; counters go on.
func (s *Simulator) SetPace(p Pace) {
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	s.pace.limits = p
}

// PaceCounters returns what the limits did so far.
func (s *Simulator) PaceCounters() PaceCounters { return s.pace.counters() }

// SetQuotaUsed sets what counts as used of this month's quota, to test its end
// without spending it.
func (s *Simulator) SetQuotaUsed(n int) {
	s.pace.mu.Lock()
	defer s.pace.mu.Unlock()
	s.pace.turnMonth(s.opts.Now())
	s.pace.count.Used = n
}

// limit refuses what is over the limits. No 429 is documented: its shape is the
// documented Error's.
func (s *Simulator) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, limits := s.pace.arrive(s.opts.Now())
		if v == admitted {
			next.ServeHTTP(w, r)
			return
		}
		if limits.RetryAfterSeconds > 0 {
			w.Header().Set("Retry-After", itoa(int64(limits.RetryAfterSeconds)))
		}
		message := "Too many requests"
		if v == quotaGone {
			message = "Monthly request quota exceeded"
		}
		writeError(w, http.StatusTooManyRequests, message)
	})
}
