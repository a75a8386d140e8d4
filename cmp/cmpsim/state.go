package cmpsim

import "time"

// State is an overview of the simulator.
type State struct {
	Assets     int            `json:"assets"` // living ones
	Trashed    int            `json:"trashed"`
	Folders    int            `json:"folders"`
	ByType     map[string]int `json:"by_type"` // of the living assets
	Counters   Counters       `json:"counters"`
	Pace       Pace           `json:"pace"`
	Limits     PaceCounters   `json:"limits"`
	Pending    int            `json:"deliveries_pending"`
	Behavior   Behavior       `json:"behavior"`
	Now        time.Time      `json:"now"`
	NewestEdit time.Time      `json:"newest_modified_at,omitzero"`
}

// State returns the overview.
func (s *Simulator) State() State {
	out := State{
		Counters: s.Counters(), Pace: s.Pace(), Limits: s.PaceCounters(), Pending: s.hooks.pending(),
		Now: s.clock().UTC(), ByType: map[string]int{},
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	out.Behavior = s.behavior
	out.Assets, out.Folders = s.catalog.modified.n, len(s.catalog.folders)
	out.Trashed = len(s.catalog.assets) - out.Assets
	for a := range s.catalog.modified.all() {
		if out.NewestEdit.IsZero() {
			out.NewestEdit = time.Unix(a.modified, 0).UTC()
		}
		out.ByType[a.kind.info().name]++
	}
	return out
}
