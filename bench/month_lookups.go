package main

import (
	"context"
	"slices"
	"time"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/audit/audittest"
)

// monthLookup is a row of damsync.lookup.
type monthLookup struct {
	class      grant.Class
	obs        state.Observation
	gone       bool
	pollable   bool
	attempts   int
	wanted     int64
	wantedAt   time.Duration // since the month began
	lastWanted time.Duration
	due        time.Duration
}

type monthEvent struct {
	at    time.Duration
	place int
}

// report stores an event, as damsync.inbox and store.StoreEvent do.
func (m *monthMirror) report(place int, what change) {
	now := m.world.now
	m.reports[place] = append(m.reports[place], now)
	m.events = slices.DeleteFunc(m.events, func(e monthEvent) bool { return e.at <= now-state.HoldBack })
	if what == deleted {
		m.want(place, monthLookup{class: grant.Webhook, obs: state.Observation{Kind: string(grant.Webhook)}, gone: true, due: now})
		return
	}
	m.events = append(m.events, monthEvent{now, place})
	l := monthLookup{class: grant.Webhook, obs: state.Observation{Kind: string(grant.Webhook)}, pollable: true, due: now}
	if m.burst() {
		m.wake("burst")
		l.due = now + state.HoldBack
	}
	m.want(place, l)
}

// burst tells whether more than a handful of assets wait or were reported a moment ago.
func (m *monthMirror) burst() bool {
	reported := map[int]bool{}
	for _, e := range m.events {
		reported[e.place] = true
	}
	waiting := 0
	for _, l := range m.lookups {
		if l.pollable {
			waiting++
		}
	}
	return len(reported) > state.Handful || waiting > state.Handful
}

func (m *monthMirror) want(place int, l monthLookup) {
	now := m.world.now
	m.wake("lookup")
	before, pending := m.lookups[place]
	if !pending {
		l.wanted, l.wantedAt, l.lastWanted = 1, now, now
		m.lookups[place] = &l
		return
	}
	before.wanted++
	before.lastWanted = now
	before.due = min(before.due, l.due)
	before.gone = before.gone || l.gone
	before.pollable = before.pollable && l.pollable
	if urgency(l.class) < urgency(before.class) {
		before.class = l.class
	}
}

func urgency(class grant.Class) int { return slices.Index(grant.Classes(), class) }

func (m *monthMirror) WantLookups(_ context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	for _, ref := range refs {
		m.want(audittest.Place(ref.ID), monthLookup{class: class, obs: obs, gone: gone, due: m.world.now})
	}
	return nil
}

// wantDeeper asks for the detail that a rule reads of a changed asset.
func (m *monthMirror) wantDeeper(_ context.Context, obs state.Observation, a library.Asset, decide state.Decide) {
	place := audittest.Place(a.ID)
	if _, pending := m.lookups[place]; pending || decide(m.world.time(), m.knownOf(a)).Needs == library.LevelSummary {
		return
	}
	m.want(place, monthLookup{class: grant.Detail, obs: obs, due: m.world.now})
}

func (m *monthMirror) WantUnsettled(_ context.Context, obs state.Observation, age time.Duration) (int, error) {
	n := 0
	for place, readAt := range m.unsettled {
		if _, pending := m.lookups[place]; pending || m.world.now-readAt < age {
			continue
		}
		m.want(place, monthLookup{class: grant.Detail, obs: obs, due: m.world.now})
		n++
	}
	return n, nil
}

func (m *monthMirror) ClaimLookups(_ context.Context, n int, _ time.Duration, except ...grant.Class) ([]state.Lookup, error) {
	var due []int
	for place, l := range m.lookups {
		if l.due <= m.world.now && !slices.Contains(except, l.class) {
			due = append(due, place)
		}
	}
	slices.SortFunc(due, func(a, b int) int {
		x, y := m.lookups[a], m.lookups[b]
		return compareFirst(urgency(x.class)-urgency(y.class), int(x.due-y.due), a-b)
	})
	claims := make([]state.Lookup, 0, n)
	for _, place := range due[:min(n, len(due))] {
		l := m.lookups[place]
		l.attempts++
		l.pollable = false
		claims = append(claims, state.Lookup{
			AssetID: audittest.ID(place), Type: library.TypeImage, Class: l.class, Observation: l.obs, Wanted: l.wanted, Gone: l.gone, Attempts: l.attempts,
		})
	}
	return claims, nil
}

func compareFirst(by ...int) int {
	for _, c := range by {
		if c != 0 {
			return c
		}
	}
	return 0
}

func (m *monthMirror) NextLookup(_ context.Context, except ...grant.Class) (wait time.Duration, any bool, err error) {
	next := monthDays * dayLength
	for _, l := range m.lookups {
		if !slices.Contains(except, l.class) {
			next, any = min(next, l.due), true
		}
	}
	return max(next-m.world.now, 0), any, nil
}

func (m *monthMirror) ExtendLookup(context.Context, state.Lookup, time.Duration) error { return nil }

func (m *monthMirror) ApplyReading(ctx context.Context, l state.Lookup, r state.Reading, _ state.Decide) (state.Applied, error) {
	place := audittest.Place(l.AssetID)
	if err := m.write(ctx, r.Asset, r.ReadAt, l.Observation.Kind); err != nil {
		return state.Applied{}, err
	}
	m.known[place].detailOf = m.known[place].modified
	if delete(m.unsettled, place); !r.Settled {
		m.unsettled[place] = m.world.now
	}
	m.finish(place, l)
	return state.Applied{Seen: 1}, nil
}

func (m *monthMirror) ApplyGone(_ context.Context, l state.Lookup, _ time.Time, _ state.Decide) error {
	place := audittest.Place(l.AssetID)
	if m.assets.Alive(place) {
		m.found(place, l.Observation.Kind)
	}
	m.assets.Put(place, false)
	delete(m.unsettled, place)
	m.world.removed(place)
	m.finish(place, l)
	return nil
}

// finish keeps the lookup when the asset was asked for once more meanwhile.
func (m *monthMirror) finish(place int, l state.Lookup) {
	if now, pending := m.lookups[place]; pending && now.wanted == l.Wanted {
		delete(m.lookups, place)
	} else if pending {
		now.due, now.attempts = m.world.now+state.HoldBack, 0
	}
}

func (m *monthMirror) FailLookup(_ context.Context, l state.Lookup, _, _ string, after time.Duration, _ bool) error {
	if now, pending := m.lookups[audittest.Place(l.AssetID)]; pending {
		now.due = m.world.now + after
	}
	return nil
}

func (m *monthMirror) HeldBack(context.Context) (state.Burst, error) {
	var b state.Burst
	for _, l := range m.lookups {
		if !l.pollable || l.due <= m.world.now {
			continue
		}
		if b.Lookups++; b.Lookups == 1 {
			b.Oldest, b.Newest = m.world.now-l.wantedAt, m.world.now-l.lastWanted
		}
		b.Oldest, b.Newest = max(b.Oldest, m.world.now-l.wantedAt), min(b.Newest, m.world.now-l.lastWanted)
	}
	return b, nil
}

func (m *monthMirror) HoldLookups(_ context.Context, askedAt time.Time, d time.Duration) (int, error) {
	n := 0
	for _, l := range m.lookups {
		if l.pollable && l.lastWanted < askedAt.Sub(monthStart()) {
			l.due = m.world.now + d
			n++
		}
	}
	return n, nil
}

func (m *monthMirror) AnswerLookups(_ context.Context, readAt time.Time, ids []string, decide state.Decide) (state.Answered, error) {
	var answered state.Answered
	for _, id := range ids {
		place := audittest.Place(id)
		l, pending := m.lookups[place]
		if !pending || !l.pollable || l.lastWanted >= readAt.Sub(monthStart()) {
			continue
		}
		k := m.knownOf(library.Asset{ID: id, ModifiedAt: fromSeconds(m.known[place].modified)})
		if decide(m.world.time(), k).Needs > library.LevelSummary {
			l.pollable, l.due = false, m.world.now+state.HoldBack
			answered.Deeper++
			continue
		}
		delete(m.lookups, place)
		answered.Settled++
	}
	return answered, nil
}

func (m *monthMirror) ReleaseLookups(_ context.Context, askedAt time.Time) error {
	for _, l := range m.lookups {
		if l.pollable && l.lastWanted < askedAt.Sub(monthStart()) {
			l.pollable, l.due = false, m.world.now
		}
	}
	return nil
}
