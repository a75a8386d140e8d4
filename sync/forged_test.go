package sync

import (
	"encoding/json"
	"testing"

	"damsync/cmp/cmpsim"
)

// Promise 4: an event's claims about an asset that the mirror has change neither its type nor the address where it is
// read. The asset stays in the mirror and at its target, and each event costs one request.
func TestForgedEventsAreHarmless(t *testing.T) {
	for name, forged := range map[string]func(w *world, id string) json.RawMessage{
		"removed, of another type": func(w *world, id string) json.RawMessage {
			return event("asset_removed", id, "video", w.at.APIURL+"/videos/"+id)
		},
		"removed, of another type, without a link": func(_ *world, id string) json.RawMessage {
			return event("asset_removed", id, "video", "")
		},
		"removed, under a dead link": func(w *world, id string) json.RawMessage {
			return event("asset_removed", id, "image", w.at.APIURL+"/nowhere/"+id)
		},
		"modified, of an unknown type": func(_ *world, id string) json.RawMessage {
			return event("asset_modified", id, "picture", "")
		},
		"modified, of an unknown type, under its own link": func(w *world, id string) json.RawMessage {
			return event("asset_modified", id, "picture", w.at.APIURL+"/images/"+id)
		},
		"modified, of another type": func(w *world, id string) json.RawMessage {
			return event("asset_modified", id, "video", w.at.APIURL+"/videos/"+id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := quietBurst(t, 120, photosSpec())
			id := w.imageOf("photos")
			if err := w.sim.SendEvent(forged(w, id)); err != nil {
				t.Fatal(err)
			}
			w.delivered()
			if got := query[string](w, `SELECT concat_ws(' ', type, removed_at) FROM damsync.asset WHERE id = $1`, id); got != "image" {
				t.Errorf("the mirror has %q", got)
			}
			if n := query[int](w, `SELECT count(*) FROM damsync.change WHERE entity_id = $1`, id); n != 0 {
				t.Errorf("%d changes are logged", n)
			}
			if got := w.adapters.retirements(); len(got) > 0 {
				t.Errorf("retired %v", got)
			}
			if got := w.requests(); sum(got) != 1 {
				t.Errorf("the event cost %v", got)
			}
		})
	}
}

// imageOf returns one of the images that a target holds.
func (w *world) imageOf(target string) string {
	w.Helper()
	held := w.wanted(target)
	for id := range held {
		if asset, err := w.sim.Asset(id); err != nil || asset.Type != "image" {
			delete(held, id)
		}
	}
	return anyOf(held)
}

// An asset that the mirror lacks is read at the event's link, which determines its type.
func TestEventOfAnUnknownAsset(t *testing.T) {
	w, _ := quietBurst(t, 120, photosSpec())
	w.sim.SetWebhookFaults(cmpsim.WebhookFaults{Lose: 1})
	id, err := w.sim.AddAsset(cmpsim.NewAsset{Title: "New", Folder: "/Brand"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.sim.WaitDelivered(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sim.SetWebhookFaults(cmpsim.WebhookFaults{})
	if err := w.sim.SendEvent(event("asset_added", id, "picture", w.at.APIURL+"/images/"+id)); err != nil {
		t.Fatal(err)
	}
	w.delivered()
	if got := query[string](w, `SELECT type FROM damsync.asset WHERE id = $1`, id); got != "image" {
		t.Errorf("the mirror has %q", got)
	}
}
