package main

import (
	"context"
	"encoding/json"
	"slices"
	"sort"
	"time"

	"damsync/cmp"
	"damsync/internal/library"
	"damsync/internal/state"
	"damsync/sync"
	"damsync/sync/audit/audittest"
)

// monthMirror is the store in memory, as far as observing needs it: what package store does in
// PostgreSQL. The methods of sync.Store that it lacks are not used.
type monthMirror struct {
	sync.Store
	world  *monthWorld
	wake   func(step string) // as NOTIFY does
	assets *audittest.Mirror
	known  []knownAsset // by place
	// byModified are the living by modified_at, oldest first, and what they were before.
	byModified   []modifiedAt
	lookups      map[int]*monthLookup
	unsettled    map[int]time.Duration // details read in the second of the last change, and when
	events       []monthEvent          // the latest
	observations map[string]state.ObservationState
	runs         monthRuns
	findings     []finding               // changes found, the latest
	reports      map[int][]time.Duration // when events told of an asset
}

type knownAsset struct {
	modified int64         // seconds since audittest.Epoch
	detailOf int64         // the modified_at that the detail belongs to; -1: unknown
	readAt   time.Duration // since the month began
}

type modifiedAt struct {
	at    int64
	place int
}

// newMonthMirror knows the library as it is, details included: first light is over.
func newMonthMirror(w *monthWorld) *monthMirror {
	m := &monthMirror{
		world: w, assets: audittest.NewMirror(w.lib), lookups: map[int]*monthLookup{}, unsettled: map[int]time.Duration{}, observations: map[string]state.ObservationState{},
		runs: monthRuns{running: map[string]state.Run{}}, reports: map[int][]time.Duration{},
	}
	m.assets.Copy()
	m.observations["sweep"] = state.ObservationState{LastAttempt: monthStart(), LastSuccess: monthStart()}
	m.known = make([]knownAsset, w.lib.Made(), cap(w.modified))
	m.byModified = make([]modifiedAt, len(m.known), len(m.known)+cap(w.ahead))
	for i, at := range w.modified {
		m.known[i] = knownAsset{modified: at, detailOf: at, readAt: -time.Hour}
		m.byModified[i] = modifiedAt{at, i}
	}
	sort.Slice(m.byModified, func(i, j int) bool { return m.byModified[i].at < m.byModified[j].at })
	return m
}

func seconds(t time.Time) int64 { return int64(t.Sub(audittest.Epoch()) / time.Second) }

func fromSeconds(s int64) time.Time { return audittest.Epoch().Add(time.Duration(s) * time.Second) }

func (m *monthMirror) Now(context.Context) (time.Time, error) { return m.world.time(), nil }

func (m *monthMirror) CountAssets(context.Context) (int, error) { return m.assets.Len(), nil }

// ApplySummaries writes the rows of a page and judges those that differ.
func (m *monthMirror) ApplySummaries(ctx context.Context, obs state.Observation, readAt time.Time, rows []library.Asset, decide state.Decide) (state.Applied, error) {
	applied := state.Applied{Seen: len(rows)}
	for _, a := range rows {
		place := audittest.Place(a.ID)
		if m.assets.Alive(place) && m.known[place].modified == seconds(a.ModifiedAt) {
			continue
		}
		switch {
		case place >= len(m.known) || m.known[place].modified < 0:
			applied.New++
		case !m.assets.Alive(place):
			applied.Restored++
		}
		if err := m.write(ctx, a, readAt, obs.Kind); err != nil {
			return applied, err
		}
		applied.Changed++
		m.wantDeeper(ctx, obs, a, decide)
	}
	return applied, nil
}

// write keeps what was read of an asset, unless the mirror knows something newer.
func (m *monthMirror) write(ctx context.Context, a library.Asset, readAt time.Time, by string) error {
	place, at := audittest.Place(a.ID), readAt.Sub(monthStart())
	for len(m.known) <= place {
		m.known = append(m.known, knownAsset{modified: -1, detailOf: -1})
	}
	if m.known[place].readAt > at {
		return nil
	}
	if _, err := m.assets.Apply(ctx, cmp.AssetPage{Items: []cmp.Item{{Asset: a}}}); err != nil {
		return err
	}
	if modified := seconds(a.ModifiedAt); modified != m.known[place].modified {
		m.known[place].modified = modified
		m.note(modified, place)
		m.found(place, by)
	}
	m.known[place].readAt = at
	m.world.read(place, m.world.now-latency/2)
	return nil
}

// note files an asset under a time, most of the time at the end.
func (m *monthMirror) note(at int64, place int) {
	i := len(m.byModified)
	for i > 0 && m.byModified[i-1].at > at {
		i--
	}
	m.byModified = slices.Insert(m.byModified, i, modifiedAt{at, place})
}

// Missing lists what a page of that span should have held.
func (m *monthMirror) Missing(_ context.Context, above, upTo time.Time, inclusive bool, seen []string, readAt time.Time) ([]string, error) {
	shown := make(map[string]bool, len(seen))
	for _, id := range seen {
		shown[id] = true
	}
	var missing []string
	first := sort.Search(len(m.byModified), func(i int) bool { return !fromSeconds(m.byModified[i].at).Before(above) })
	for _, e := range m.byModified[first:] {
		at, id := fromSeconds(e.at), audittest.ID(e.place)
		if !upTo.IsZero() && at.After(upTo) {
			break
		}
		current := m.assets.Alive(e.place) && m.known[e.place].modified == e.at && m.known[e.place].readAt < readAt.Sub(monthStart())
		if current && !shown[id] && (inclusive || at.After(above)) {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

func (m *monthMirror) FolderPath(context.Context, string) (string, error) { return "/", nil }

// KnownAssets is what the rules judge by.
func (m *monthMirror) KnownAssets(_ context.Context, ids []string) (time.Time, []state.Known, error) {
	var known []state.Known
	for _, id := range ids {
		if place := audittest.Place(id); place < len(m.known) {
			known = append(known, m.knownOf(library.Asset{ID: id, ModifiedAt: fromSeconds(m.known[place].modified)}))
		}
	}
	return m.world.time(), known, nil
}

func (m *monthMirror) knownOf(a library.Asset) state.Known {
	place := audittest.Place(a.ID)
	k := state.Known{Asset: a, Folder: "/", Gone: !m.assets.Alive(place)}
	k.Asset.Type = library.TypeImage
	if m.known[place].detailOf == m.known[place].modified {
		k.Detail = &library.Detail{}
	}
	return k
}

func (m *monthMirror) Observation(_ context.Context, kind string) (state.ObservationState, error) {
	return m.observations[kind], nil
}

func (m *monthMirror) BeginObservation(_ context.Context, kind string) error {
	o := m.observations[kind]
	o.LastAttempt = m.world.time()
	m.observations[kind] = o
	return nil
}

func (m *monthMirror) EndObservation(_ context.Context, kind string, cursor json.RawMessage, failure string) error {
	o := m.observations[kind]
	if cursor != nil {
		o.Cursor = cursor
	}
	if failure == "" {
		o.LastSuccess = m.world.time()
	}
	m.observations[kind] = o
	return nil
}

func (m *monthMirror) ApplyReferences(context.Context, state.Observation, state.References) (state.ReferencesApplied, error) {
	return state.ReferencesApplied{}, nil
}

func (m *monthMirror) Names(context.Context) (state.Names, error)             { return state.Names{}, nil }
func (m *monthMirror) SetTargetProblem(context.Context, string, string) error { return nil }
func (m *monthMirror) Notify(context.Context, state.Topic) error              { return nil }

func (m *monthMirror) CountOpenLookups(_ context.Context, most int) (int, error) {
	n := 0
	for place, l := range m.lookups {
		if l.gone || !m.assets.Alive(place) {
			n++
		}
	}
	return min(n, most), nil
}
