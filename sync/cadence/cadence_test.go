package cadence

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
	"pgregory.net/rapid"
)

func schedule(t interface{ Fatal(...any) }, spec string) cron.Schedule {
	s, err := cron.ParseStandard(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// Over any history: no step without proof and time since the last, back to the schedule at once when
// something came unannounced, and never wider than the limit.
func TestJudge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := schedule(t, rapid.SampledFrom([]string{"@every 5m", "@every 1m", "@every 20m", "*/5 * * * *", "*/7 8-17 * * *"}).Draw(t, "schedule"))
		limit := rapid.SampledFrom([]time.Duration{0, time.Minute, 15 * time.Minute, time.Hour}).Draw(t, "limit")
		var s State
		now, proof, since := start(), 0, start()
		for range rapid.IntRange(1, 80).Draw(t, "polls") {
			next := s.Widen(base, limit).Next(now)
			if plain := base.Next(now); next.Before(plain) || next.After(plain) && next.Sub(now) > limit {
				t.Fatalf("from %s: %s, the schedule says %s, the limit is %s", now, next, plain, limit)
			}
			now = next
			e := Evidence{Announced: rapid.IntRange(0, 12).Draw(t, "announced")}
			if rapid.IntRange(0, 15).Draw(t, "kind") == 0 {
				e.Unannounced, e.Asset = 1, "x"
			}
			before := s.Steps
			s = s.Judge(now, e, s.CanWiden(base, limit, now))
			proof += e.Announced
			switch {
			case e.Unannounced > 0:
				if s.Steps != 0 || s.Missed != "x" || !s.MissedAt.Equal(now) {
					t.Fatalf("something unannounced led to %+v", s)
				}
				proof, since = 0, now
			case s.Steps > before:
				if s.Steps > before+1 || proof < Proof || now.Sub(since) < Period-20*time.Minute {
					t.Fatalf("a step from %d to %d on %d changes in %s", before, s.Steps, proof, now.Sub(since))
				}
				proof, since = 0, now
			case s.Steps < before:
				t.Fatalf("narrowed from %d to %d for nothing", before, s.Steps)
			}
		}
	})
}

// A library in which nothing happens proves nothing.
func TestQuietLibraryProvesNothing(t *testing.T) {
	base := schedule(t, "@every 5m")
	var s State
	for now := start(); now.Before(start().Add(30 * 24 * time.Hour)); now = s.Widen(base, 15*time.Minute).Next(now) {
		s = s.Judge(now, Evidence{}, s.CanWiden(base, 15*time.Minute, now))
	}
	if s.Steps != 0 {
		t.Errorf("widened %d times", s.Steps)
	}
}

// With proof the interval reaches the limit in steps and not beyond it.
func TestProofWidens(t *testing.T) {
	base := schedule(t, "@every 5m")
	var s State
	widest := time.Duration(0)
	for now := start(); now.Before(start().Add(12 * time.Hour)); {
		next := s.Widen(base, 15*time.Minute).Next(now)
		widest = max(widest, next.Sub(now))
		now = next
		s = s.Judge(now, Evidence{Announced: 5}, s.CanWiden(base, 15*time.Minute, now))
	}
	if widest != 15*time.Minute || s.Steps != 2 {
		t.Errorf("the interval reached %s in %d steps, want 15m in 2", widest, s.Steps)
	}
}

// A clock that is set back proves nothing either.
func TestClockSetBack(t *testing.T) {
	s := State{Since: start().Add(time.Hour), Announced: 100}.Judge(start(), Evidence{Announced: 1}, true)
	if s.Steps != 0 || !s.Since.Equal(start()) || s.Announced != 1 {
		t.Errorf("got %+v", s)
	}
}
