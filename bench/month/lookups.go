package main

import (
	stdcmp "cmp"
	"context"
	"slices"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/audit/audittest"
)

// lookups are the assets to be read singly, and the webhooks that requested them.
type lookups struct {
	world       *world
	wake        func(steps ...string)
	pending     map[int]*lookup
	events      []reportedAsset       // of the last moment
	withinGrace map[int]time.Duration // when details were read in the second of the asset's last change
}

// lookup is a row of damsync.lookup; times count from the start of the month.
type lookup struct {
	class       grant.Class
	obs         state.Observation
	gone        bool
	pollable    bool
	attempts    int
	requested   int64
	requestedAt time.Duration
	lastRequest time.Duration
	due         time.Duration
}

type reportedAsset struct {
	at    time.Duration
	place int
}

// report stores a webhook, as store.StoreEvent does.
func (s *lookups) report(place int, what change) {
	now := s.world.now
	s.events = slices.DeleteFunc(s.events, func(e reportedAsset) bool { return e.at <= now-state.HoldBack })
	l := lookup{class: grant.Webhook, obs: state.Observation{Kind: state.KindWebhook}, due: now, gone: what == deleted}
	if !l.gone {
		l.pollable = true
		if s.events = append(s.events, reportedAsset{now, place}); s.burst() {
			s.wake("burst")
			l.due = now + state.HoldBack
		}
	}
	s.request(place, l)
}

// burst reports whether more than a handful of assets wait, or were reported a moment ago.
func (s *lookups) burst() bool {
	reported := map[int]bool{}
	for _, e := range s.events {
		reported[e.place] = true
	}
	waiting := 0
	for _, l := range s.pending {
		if l.pollable {
			waiting++
		}
	}
	return len(reported) > state.Handful || waiting > state.Handful
}

// request adds a lookup, or merges it with the pending one of the asset.
func (s *lookups) request(place int, l lookup) {
	now := s.world.now
	s.wake("lookup")
	before, pending := s.pending[place]
	if !pending {
		l.requested, l.requestedAt, l.lastRequest = 1, now, now
		s.pending[place] = &l
		return
	}
	before.requested++
	before.lastRequest = now
	before.due = min(before.due, l.due)
	before.gone = before.gone || l.gone
	before.pollable = before.pollable && l.pollable
	if l.class.Rank() < before.class.Rank() {
		before.class = l.class
	}
}

// requestDetail adds a lookup unless the asset has one.
func (s *lookups) requestDetail(place int, obs state.Observation) bool {
	if _, pending := s.pending[place]; pending {
		return false
	}
	s.request(place, lookup{class: grant.Detail, obs: obs, due: s.world.now})
	return true
}

// finish drops a lookup, or makes it due again when the asset was requested meanwhile.
func (s *lookups) finish(place int, done state.Lookup) {
	l, pending := s.pending[place]
	switch {
	case !pending:
	case l.requested == done.Requested:
		delete(s.pending, place)
	default:
		l.due, l.attempts = s.world.now+state.HoldBack, 0
	}
}

func (s *lookups) RequestLookups(_ context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	for _, ref := range refs {
		s.request(audittest.Place(ref.ID), lookup{class: class, obs: obs, gone: gone, due: s.world.now})
	}
	return nil
}

func (s *lookups) RequestWithinGrace(_ context.Context, obs state.Observation, age time.Duration) (n int, err error) {
	for place, readAt := range s.withinGrace {
		if s.world.now-readAt >= age && s.requestDetail(place, obs) {
			n++
		}
	}
	return n, nil
}

func (s *lookups) ClaimLookups(_ context.Context, n int, _ time.Duration, except ...grant.Class) ([]state.Lookup, error) {
	var due []int
	for place, l := range s.pending {
		if l.due <= s.world.now && !slices.Contains(except, l.class) {
			due = append(due, place)
		}
	}
	slices.SortFunc(due, func(a, b int) int {
		x, y := s.pending[a], s.pending[b]
		return stdcmp.Or(stdcmp.Compare(x.class.Rank(), y.class.Rank()), stdcmp.Compare(x.due, y.due), stdcmp.Compare(a, b))
	})
	claims := make([]state.Lookup, 0, n)
	for _, place := range due[:min(n, len(due))] {
		l := s.pending[place]
		l.attempts++
		l.pollable = false
		claims = append(claims, state.Lookup{
			AssetID: audittest.ID(place), Type: library.TypeImage, Class: l.class, Observation: l.obs, Requested: l.requested, Gone: l.gone, Attempts: l.attempts,
		})
	}
	return claims, nil
}

func (s *lookups) NextLookup(_ context.Context, except ...grant.Class) (wait time.Duration, found bool, err error) {
	next := s.world.end
	for _, l := range s.pending {
		if !slices.Contains(except, l.class) {
			next, found = min(next, l.due), true
		}
	}
	return max(next-s.world.now, 0), found, nil
}

// ExtendLookup does nothing: no lease ends during a lookup.
func (s *lookups) ExtendLookup(context.Context, state.Lookup, time.Duration) error { return nil }

func (s *lookups) FailLookup(_ context.Context, l state.Lookup, f state.Failure, _ bool) error {
	if now, pending := s.pending[audittest.Place(l.AssetID)]; pending {
		now.due = s.world.now + f.After
	}
	return nil
}

func (s *lookups) HeldBack(context.Context) (state.Burst, error) {
	var b state.Burst
	oldest, newest := s.world.now, time.Duration(0)
	for _, l := range s.pending {
		if l.pollable && l.due > s.world.now {
			b.Lookups++
			oldest, newest = min(oldest, l.requestedAt), max(newest, l.lastRequest)
		}
	}
	if b.Lookups > 0 {
		b.Oldest, b.Newest = s.world.now-oldest, s.world.now-newest
	}
	return b, nil
}

func (s *lookups) HoldLookups(_ context.Context, askedAt time.Time, d time.Duration) (int, error) {
	return s.pollable(askedAt, func(l *lookup) { l.due = s.world.now + d }), nil
}

func (s *lookups) ReleaseLookups(_ context.Context, askedAt time.Time) error {
	s.pollable(askedAt, func(l *lookup) { l.pollable, l.due = false, s.world.now })
	return nil
}

// pollable changes the lookups that a page requested at askedAt may answer, and counts them.
func (s *lookups) pollable(askedAt time.Time, update func(*lookup)) (n int) {
	for _, l := range s.pending {
		if l.pollable && l.lastRequest < askedAt.Sub(start()) {
			update(l)
			n++
		}
	}
	return n
}
