package main

import (
	"context"
	"slices"
	"sort"
	"time"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync/audit"
	"damsync/sync/audit/audittest"
	"damsync/sync/observe"
	"damsync/sync/rules"
)

// memoryStore is the store in memory, as far as observing uses it. PostgreSQL would take minutes for
// the million statements of a month.
type memoryStore struct {
	unused
	lookups
	runs

	world    *world
	assets   *audittest.Mirror // which assets live, by created_at
	known    []knownAsset      // by place
	modified []modification    // by time, oldest first; those of assets that changed since included
}

// unused holds methods that the rooms declare and the month does not call; it is nil.
type unused struct {
	rules.PlanStore
	observe.LookupStore
	observe.AuditStore
}

// knownAsset is what the mirror knows of an asset.
type knownAsset struct {
	modified time.Time
	detailOf time.Time     // the modified time that the detail belongs to
	readAt   time.Duration // since the month began
}

type modification struct {
	at    time.Time
	place int
}

// newMemoryStore returns a mirror that knows the library as it is, details included, after a sweep.
func newMemoryStore(w *world) *memoryStore {
	m := &memoryStore{
		world: w, assets: audittest.NewMirror(w.lib),
		lookups: lookups{world: w, pending: map[int]*lookup{}, withinGrace: map[int]time.Duration{}},
		runs:    runs{world: w, observations: map[string]state.ObservationState{}, suspects: map[string]bool{}},
	}
	m.assets.Copy()
	for _, kind := range []string{state.KindSweep, state.KindReferences} {
		m.observations[kind] = state.ObservationState{LastAttempt: start(), LastSuccess: start()}
	}
	for place := range w.lib.Made() {
		at := w.lib.Row(place).ModifiedAt
		m.known = append(m.known, knownAsset{modified: at, detailOf: at, readAt: -time.Hour})
		m.modified = append(m.modified, modification{at, place})
	}
	slices.SortStableFunc(m.modified, func(a, b modification) int { return a.at.Compare(b.at) })
	return m
}

// Now returns the time of the month.
func (m *memoryStore) Now(context.Context) (time.Time, error) { return m.world.time(), nil }

// CountAssets counts the living assets.
func (m *memoryStore) CountAssets(context.Context) (int, error) { return m.assets.Len(), nil }

// ApplySummaries writes the rows of a page that differ, and requests details that the rules read.
func (m *memoryStore) ApplySummaries(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, evaluate state.Evaluate) (state.Applied, error) {
	applied := state.Applied{Seen: len(rows)}
	for _, a := range rows {
		place := audittest.Place(a.ID)
		switch {
		case place >= len(m.known):
			applied.New++
		case !m.assets.Alive(place):
			applied.Restored++
		case m.known[place].modified.Equal(a.ModifiedAt):
			continue
		}
		if err := m.write(ctx, a, readAt); err != nil {
			return applied, err
		}
		applied.Changed++
		if evaluate(m.world.time(), m.snapshot(place)).Needs > library.LevelSummary {
			m.requestDetail(place, obs)
		}
	}
	return applied, nil
}

// write keeps what was read of an asset, unless the mirror knows something newer.
func (m *memoryStore) write(ctx context.Context, a library.Asset, readAt time.Time) error {
	place, at := audittest.Place(a.ID), readAt.Sub(start())
	for len(m.known) <= place {
		m.known = append(m.known, knownAsset{})
	}
	if m.known[place].readAt > at {
		return nil
	}
	if _, err := m.assets.Apply(ctx, cmp.AssetPage{Items: []cmp.Item{{Asset: a}}}); err != nil {
		return err
	}
	if !m.known[place].modified.Equal(a.ModifiedAt) {
		m.known[place].modified = a.ModifiedAt
		i := len(m.modified) // most changes are the newest
		for i > 0 && m.modified[i-1].at.After(a.ModifiedAt) {
			i--
		}
		m.modified = slices.Insert(m.modified, i, modification{a.ModifiedAt, place})
	}
	m.known[place].readAt = at
	m.world.read(place)
	return nil
}

// ApplyFetched writes an asset with its detail and finishes the lookup.
func (m *memoryStore) ApplyFetched(ctx context.Context, l state.Lookup, r state.Fetched, _ state.Evaluate) (state.Applied, error) {
	place := audittest.Place(l.AssetID)
	if err := m.write(ctx, r.Asset, r.ReadAt); err != nil {
		return state.Applied{}, err
	}
	m.known[place].detailOf = m.known[place].modified
	if delete(m.withinGrace, place); !r.GraceOver {
		m.withinGrace[place] = m.world.now
	}
	m.finish(place, l)
	return state.Applied{Seen: 1}, nil
}

// ApplyGone removes an asset and finishes the lookup.
func (m *memoryStore) ApplyGone(_ context.Context, l state.Lookup, _ time.Time, _ state.Evaluate) error {
	place := audittest.Place(l.AssetID)
	m.assets.Put(place, false)
	delete(m.withinGrace, place)
	m.world.removed(place)
	m.finish(place, l)
	return nil
}

// AnswerLookups drops lookups of a burst that a page has answered.
func (m *memoryStore) AnswerLookups(_ context.Context, readAt time.Time, ids []string, evaluate state.Evaluate) (state.Answered, error) {
	var answered state.Answered
	for _, id := range ids {
		place := audittest.Place(id)
		l, pending := m.pending[place]
		switch {
		case !pending || !l.pollable || l.lastRequest >= readAt.Sub(start()):
		case evaluate(m.world.time(), m.snapshot(place)).Needs > library.LevelSummary:
			l.pollable, l.due = false, m.world.now+state.HoldBack
			answered.Deeper++
		default:
			delete(m.pending, place)
			answered.Finished++
		}
	}
	return answered, nil
}

// Missing lists living assets of a time range that were not shown and not read since readAt.
func (m *memoryStore) Missing(_ context.Context, in state.Span, shown []string, readAt time.Time) ([]string, error) {
	var missing []string
	first := sort.Search(len(m.modified), func(i int) bool { return !m.modified[i].at.Before(in.Above) })
	for _, e := range m.modified[first:] {
		if !in.UpTo.IsZero() && e.at.After(in.UpTo) {
			break
		}
		k, id := m.known[e.place], audittest.ID(e.place)
		current := m.assets.Alive(e.place) && k.modified.Equal(e.at) && k.readAt < readAt.Sub(start())
		if current && (in.Inclusive || e.at.After(in.Above)) && !slices.Contains(shown, id) {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// Snapshots returns what the rules see of the assets.
func (m *memoryStore) Snapshots(_ context.Context, ids []string) (time.Time, []state.Snapshot, error) {
	var snapshots []state.Snapshot
	for _, id := range ids {
		if place := audittest.Place(id); place < len(m.known) {
			snapshots = append(snapshots, m.snapshot(place))
		}
	}
	return m.world.time(), snapshots, nil
}

func (m *memoryStore) snapshot(place int) state.Snapshot {
	s := m.known[place]
	k := state.Snapshot{
		Asset:  library.Asset{ID: audittest.ID(place), Type: library.TypeImage, ModifiedAt: s.modified},
		Folder: "/", Gone: !m.assets.Alive(place),
	}
	if s.detailOf.Equal(s.modified) {
		k.Detail = &library.Detail{}
	}
	return k
}

// CountOpenLookups counts the lookups that may change the number of assets.
func (m *memoryStore) CountOpenLookups(_ context.Context, most int) (int, error) {
	n := 0
	for place, l := range m.pending {
		if l.gone || !m.assets.Alive(place) {
			n++
		}
	}
	return min(n, most), nil
}

// FinishRun requests the suspects that were not read since the run began.
func (m *memoryStore) FinishRun(_ context.Context, run state.Run, class grant.Class) (n int, err error) {
	for id := range m.suspects {
		if place := audittest.Place(id); m.assets.Alive(place) && m.known[place].readAt < run.StartedAt.Sub(start()) {
			m.request(place, lookup{class: class, obs: state.Observation{Kind: run.Kind, RunID: run.ID}, gone: true, due: m.world.now})
			n++
		}
	}
	m.running = false
	return n, nil
}

// windowOf closes a half-open window.
func windowOf(from, to time.Time) audit.Window {
	if !to.IsZero() {
		to = to.Add(-time.Second)
	}
	return audit.Window{From: from, To: to}
}

// CountWindow counts the living assets of a window of created_at.
func (m *memoryStore) CountWindow(ctx context.Context, from, to time.Time) (int, error) {
	return m.assets.Count(ctx, windowOf(from, to))
}

// NthCreated returns the created_at of the asset that n others of the window precede.
func (m *memoryStore) NthCreated(ctx context.Context, from, to time.Time, n int) (time.Time, error) {
	return m.assets.Nth(ctx, windowOf(from, to), n)
}

// WindowRows lists the living assets of a window.
func (m *memoryStore) WindowRows(ctx context.Context, from, to time.Time) ([]state.WindowRow, error) {
	return m.assets.Rows(ctx, windowOf(from, to))
}

// Names and SetTargetProblem let the engine put the rule in force.
func (m *memoryStore) Names(context.Context) (state.Names, error)             { return state.Names{}, nil }
func (m *memoryStore) SetTargetProblem(context.Context, string, string) error { return nil }
