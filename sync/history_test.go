package sync

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/cmp/cmpsim"
	"damsync/sync/loop"
)

// histories checks a property on few histories, because each costs seconds; -rapid.checks changes the number. It does not
// shrink failures, because they also depend on time.
func histories(t *testing.T, few int, property func(*rapid.T)) {
	t.Helper()
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(few), "rapid.shrinktime": "0s", "rapid.nofailfile": "true"} {
		f := flag.Lookup(name)
		before := f.Value.String()
		if before != f.DefValue {
			continue // given on the command line
		}
		mustSet(t, name, value)
		t.Cleanup(func() { mustSet(t, name, before) })
	}
	rapid.Check(t, property)
}

func mustSet(t *testing.T, name, value string) {
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

// history is a world with an editor, a failing library, and replicas that come and go.
type history struct {
	*world
	rt       *rapid.T
	editor   *cmpsim.Editor
	left     map[string]bool // by target and asset: was deselected at some time
	selected map[string]bool // at the last look
	folders  int
	trash    []string
}

// TestHistories checks promises 1 to 4 and 7. Whatever was lost, doubled, reordered or killed, once the library stops
// changing every target equals it, nothing is there twice, foreign files are untouched, and no asset was retired that had
// stayed selected. After that, observations of the unchanged library write nothing.
func TestHistories(t *testing.T) {
	histories(t, 6, func(rt *rapid.T) {
		w := newWorld(t, rt, worldOptions{sim: cmpsim.Options{
			Seed: rapid.Int64Range(1, 50).Draw(rt, "seed"), Assets: rapid.IntRange(20, 260).Draw(rt, "assets"),
			TokenLifetime: time.Duration(rapid.SampledFrom([]int{8, 3600}).Draw(rt, "token seconds")) * time.Second,
			Behavior: cmpsim.Behavior{
				ExclusiveTimes: rapid.Bool().Draw(rt, "exclusive"), RootFoldersOnly: rapid.Bool().Draw(rt, "roots only"),
				EventsOnDetails: rapid.Bool().Draw(rt, "events on details"),
			},
		}})
		defer w.close()
		h := &history{world: w, rt: rt, left: map[string]bool{}, selected: map[string]bool{}}
		h.editor = w.sim.NewEditor("/Brand", rapid.Int64().Draw(rt, "editor"))
		h.foreign()
		h.look()
		w.sim.SetWebhookFaults(cmpsim.WebhookFaults{
			Lose: rapid.SampledFrom([]float64{0, 0.3}).Draw(rt, "lose"), Double: 0.3, Reorder: 0.3, ReorderMillis: 100,
		})
		for range rapid.IntRange(1, 2).Draw(rt, "replicas") {
			w.start()
		}
		for range rapid.IntRange(10, 40).Draw(rt, "steps") {
			h.step()
		}
		w.sim.SetWebhookFaults(cmpsim.WebhookFaults{})
		w.recoverAndConverge()
		h.check()
		w.unchangedCostsNothing()
	})
}

// TestNoEventIsLost checks that the targets converge by events alone, without polls and sweeps, even when replicas die and
// the inbox is sometimes unavailable.
func TestNoEventIsLost(t *testing.T) {
	histories(t, 4, func(rt *rapid.T) {
		w := newWorld(t, rt, worldOptions{
			sim: cmpsim.Options{
				Seed: rapid.Int64Range(1, 50).Draw(rt, "seed"), Assets: rapid.IntRange(20, 200).Draw(rt, "assets"),
				Behavior: cmpsim.Behavior{EventsOnDetails: true},
			},
			schedule: &Schedule{},
		})
		defer w.close()
		h := &history{world: w, rt: rt, left: map[string]bool{}, selected: map[string]bool{}}
		h.editor = w.sim.NewEditor("/Brand", rapid.Int64().Draw(rt, "editor"))
		w.start()
		w.converge()
		w.sim.SetWebhookFaults(cmpsim.WebhookFaults{Double: 0.3, Reorder: 0.3, ReorderMillis: 100})
		for range rapid.IntRange(8, 30).Draw(rt, "steps") {
			switch n := rapid.IntRange(0, 99).Draw(rt, "step"); {
			case n < 65:
				h.edit(func() error { _, err := h.editor.Step(); return err })
			case n < 80:
				h.disturbReplicas()
			case n < 90:
				w.exec(`ALTER TABLE damsync.inbox RENAME TO away`)
				h.edit(func() error { _, err := h.editor.Step(); return err })
				w.exec(`ALTER TABLE damsync.away RENAME TO inbox`)
			default:
				h.pause()
			}
		}
		w.sim.SetWebhookFaults(cmpsim.WebhookFaults{})
		w.convergeByEvents()
		if n := query[int](w, `SELECT count(*) FROM damsync.run WHERE kind = 'sweep'`); n != 1 {
			rt.Fatalf("%d sweeps, want only the first", n)
		}
	})
}

// foreign puts a foreign file into the first target.
func (h *history) foreign() {
	dir := filepath.Join(h.root("brand"), "Brand")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		h.Fatalf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "foreign.txt"), []byte("mine"), 0o644); err != nil {
		h.Fatalf("%v", err)
	}
}

// look records what has left the selection since the last look.
func (h *history) look() {
	now := map[string]bool{}
	for _, spec := range h.specs {
		for id := range h.wanted(spec.Name) {
			now[spec.Name+" "+id] = true
		}
	}
	for key := range h.selected {
		if !now[key] {
			h.left[key] = true
		}
	}
	h.selected = now
}

func (h *history) step() {
	switch n := rapid.IntRange(0, 99).Draw(h.rt, "step"); {
	case n < 45:
		h.edit(func() error { _, err := h.editor.Step(); return err })
	case n < 60:
		h.edit(h.rareEdit)
	case n < 78:
		h.fault()
	case n < 84:
		h.disturbReplicas()
	default:
		h.pause()
	}
}

// pause lets the replicas work.
func (h *history) pause() {
	_ = loop.NewWakeup().Wait(h.rt.Context(), time.Duration(rapid.IntRange(0, 250).Draw(h.rt, "pause"))*time.Millisecond) // ends with the test
}

// edit makes an edit and records what it takes out of the selection.
func (h *history) edit(do func() error) {
	if err := do(); err != nil {
		h.rt.Logf("edit: %v", err)
	}
	h.look()
}

// rareEdit makes an edit that the demo's editor does not make.
func (h *history) rareEdit() error {
	ids := h.sim.AssetIDs()
	if len(ids) == 0 {
		return nil
	}
	id := ids[rapid.IntRange(0, len(ids)-1).Draw(h.rt, "asset")]
	h.folders++
	switch rapid.IntRange(0, 7).Draw(h.rt, "edit") {
	case 0:
		return h.sim.RenameFolder("/Brand/Icons", fmt.Sprint("Icons ", h.folders))
	case 1:
		return h.sim.MoveFolder("/Brand/Logos", "/Campaigns")
	case 2:
		return h.sim.MoveFolder("/Campaigns/Logos", "/Brand")
	case 3:
		gone := ids[:min(len(ids), rapid.SampledFrom([]int{3, 30, 120}).Draw(h.rt, "bulk"))]
		h.trash = append(h.trash, gone...)
		return h.sim.BulkDelete(slices.Clone(gone))
	case 4:
		if len(h.trash) == 0 {
			return nil
		}
		back := h.trash[len(h.trash)-1]
		h.trash = h.trash[:len(h.trash)-1]
		return h.sim.RestoreAsset(back)
	case 5:
		past := time.Now().Add(-time.Hour)
		return h.sim.SetDetail(id, cmpsim.Detail{ExpiresAt: &past})
	case 6:
		return h.sim.SetField(id, "Headline", fmt.Sprint("News ", h.folders))
	default:
		return h.sim.MoveAsset(id, "/Brand")
	}
}

// fault makes the next few requests fail.
func (h *history) fault() {
	f := rapid.SampledFrom([]cmpsim.Fault{
		{Kind: cmpsim.FaultStatus, Status: 500},
		{Kind: cmpsim.FaultStatus, Status: 503, Body: "html"},
		{Kind: cmpsim.FaultStatus, Status: 404, Body: "html"},
		{Kind: cmpsim.FaultStatus, Status: 404, Body: "html", Path: "/v3/images/*"},
		{Kind: cmpsim.FaultHTML},
		{Kind: cmpsim.FaultCut},
		{Kind: cmpsim.FaultCutChunked},
		{Kind: cmpsim.FaultDrop},
		{Kind: cmpsim.FaultUnauthorized},
		{Kind: cmpsim.FaultRateLimit, RetryAfter: "1"},
		{Kind: cmpsim.FaultEmptyList, Path: "/v3/assets"},
		{Kind: cmpsim.FaultHalfPage, Path: "/v3/assets"},
		{Kind: cmpsim.FaultEmptyList, Path: "/v3/folders"},
		{Kind: cmpsim.FaultEmptyList, Path: "/v3/label-groups"},
		{Kind: cmpsim.FaultNewFields},
		{Kind: cmpsim.FaultWrongSize},
		{Kind: cmpsim.FaultTotalLie, Value: 7, Path: "/v3/assets"},
		{Kind: cmpsim.FaultSlow, DelayMillis: 300},
		{Kind: cmpsim.FaultTokenError, Status: 500},
		{Kind: cmpsim.FaultCut, Host: "files"},
		{Kind: cmpsim.FaultStatus, Status: 403, Host: "files"},
		{Kind: cmpsim.FaultStatus, Status: 500, Host: "files"},
		{Kind: cmpsim.FaultDrop, Host: "files"},
	}).Draw(h.rt, "fault")
	f.Count = rapid.IntRange(1, 4).Draw(h.rt, "times")
	if _, err := h.sim.AddFault(f); err != nil {
		h.Fatalf("%v", err)
	}
}

// disturbReplicas kills, stops or starts a replica, or revokes its tokens.
func (h *history) disturbReplicas() {
	r := h.alive()
	if r == nil {
		h.start()
		return
	}
	switch rapid.IntRange(0, 3).Draw(h.rt, "trouble") {
	case 0:
		r.kill()
		h.start()
	case 1:
		r.life.endAfter(rapid.Int64Range(1, 400).Draw(h.rt, "writes left"))
	case 2:
		r.stop()
		h.start()
	default:
		h.sim.RevokeAccessTokens()
	}
	h.replaceDead()
}

// replaceDead stops the replicas that have died, and starts one when none is left.
func (h *history) replaceDead() {
	for _, r := range h.replicas {
		if r.life.ended() {
			r.kill()
		}
	}
	if h.alive() == nil {
		h.start()
	}
}

func (h *history) check() {
	if text, err := os.ReadFile(filepath.Join(h.root("brand"), "Brand", "foreign.txt")); err != nil || string(text) != "mine" {
		h.Fatalf("the foreign file was touched: %q, %v", text, err)
	}
	for _, key := range h.adapters.retirements() {
		if !h.left[key] {
			h.Fatalf("%s was retired although it was always selected", key)
		}
	}
	if leaks := h.sim.Counters().Leaks; leaks > 0 {
		h.Fatalf("%d downloads carried a bearer", leaks)
	}
}
