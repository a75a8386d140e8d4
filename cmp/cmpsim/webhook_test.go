package cmpsim_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"damsync/cmp/cmpsim"
)

// receiver keeps the webhooks that it gets.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	events []hook
	answer func(n int) int // returns the status for the n-th request, from 0
}

type hook struct {
	name, asset, secret string
	data                object
}

func receive(t *testing.T, b *bench, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	if err := b.sim.RegisterWebhook(cmpsim.Webhook{URL: r.URL}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *receiver) serve(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	var e struct {
		EventName string `json:"event_name"`
		Data      struct {
			Asset object `json:"asset"`
		} `json:"data"`
	}
	_ = json.Unmarshal(body, &e)         // a wrong body shows as an empty event
	id, _ := e.Data.Asset["id"].(string) // likewise
	r.mu.Lock()
	n := len(r.events)
	r.events = append(r.events, hook{e.EventName, id, q.Header.Get("Callback-Secret"), e.Data.Asset})
	r.mu.Unlock()
	w.WriteHeader(r.answer(n))
}

func (r *receiver) got() []hook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func always(status int) func(int) int { return func(int) int { return status } }

func (b *bench) delivered() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	if err := b.sim.WaitDelivered(ctx); err != nil {
		b.t.Fatal(err)
	}
}

func TestWebhookPayloads(t *testing.T) {
	b := start(t, nil)
	r := receive(t, b, always(202))
	id, err := b.sim.AddAsset(cmpsim.NewAsset{Title: "From a task", Task: "65f000000000000000000001"})
	must(t, err)
	must(t, b.sim.EditTitle(id, "Edited"))
	must(t, b.sim.DeleteAsset(id))
	must(t, b.sim.RestoreAsset(id))
	b.delivered()
	got := r.got()
	if len(got) != 4 {
		t.Fatalf("%d events", len(got))
	}
	for i, want := range []struct {
		name string
		keys []string
	}{
		{"asset_added", []string{"id", "links", "owner_organization_id", "source", "type"}},
		{"asset_modified", []string{"id", "links", "owner_organization_id", "type"}},
		{"asset_removed", []string{"id", "owner_organization_id", "type"}},
		{"asset_added", []string{"id", "links", "owner_organization_id", "source", "type"}},
	} {
		var keys []string
		for k := range got[i].data {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		if got[i].name != want.name || !slices.Equal(keys, want.keys) || got[i].secret != b.at.WebhookSecret || got[i].asset != id {
			t.Errorf("event %d: %+v", i, got[i])
		}
	}
	source := got[0].data.obj("source")
	if source["type"] != "task" || source["id"] != "65f000000000000000000001" {
		t.Errorf("source %v", source)
	}
	if self := got[1].data.obj("links").str("self"); self != b.at.APIURL+"/images/"+id {
		t.Errorf("links.self %q", self)
	}
}

// Only 200 and 202 acknowledge a webhook.
func TestWebhookRetriesUntilAcknowledged(t *testing.T) {
	b := start(t, func(o *cmpsim.Options) { o.Webhooks.RetryBase = time.Millisecond })
	answers := []int{500, 204, 201, 301, 200}
	r := receive(t, b, func(n int) int { return answers[n] })
	must(t, b.sim.EditTitle(b.oneOf("image").ID, "x"))
	b.delivered()
	d := b.sim.Deliveries()
	if len(r.got()) != 5 || len(d) != 1 || d[0].Attempts != 5 || d[0].State != cmpsim.DeliveryDelivered || d[0].Acked.IsZero() {
		t.Errorf("%d requests, deliveries %+v", len(r.got()), d)
	}
}

func TestWebhookFaults(t *testing.T) {
	b := start(t, nil)
	r := receive(t, b, always(200))
	ids := b.sim.AssetIDs()[:40]
	b.sim.SetWebhookFaults(cmpsim.WebhookFaults{Lose: 0.3, Double: 0.3, Reorder: 0.5, ReorderMillis: 50})
	for _, id := range ids {
		must(t, b.sim.EditTitle(id, "x"))
	}
	b.delivered()
	seen := map[string]int{}
	var order []int
	for _, h := range r.got() {
		seen[h.asset]++
		order = append(order, slices.Index(ids, h.asset))
	}
	twice := 0
	for _, n := range seen {
		if n == 2 {
			twice++
		}
	}
	if len(seen) == 40 || len(seen) < 15 || twice == 0 || slices.IsSorted(order) {
		t.Errorf("%d of 40 arrived, %d twice, in order %v", len(seen), twice, slices.IsSorted(order))
	}
	lost := 0
	for _, d := range b.sim.Deliveries() {
		if d.State == cmpsim.DeliveryLost && !d.Copy {
			lost++
		}
	}
	if lost+len(seen) != 40 {
		t.Errorf("%d lost and %d arrived", lost, len(seen))
	}
}

func TestFolderDeletionSendsRemovals(t *testing.T) {
	for name, silent := range map[string]bool{"for each asset": false, "not when silent": true} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(o *cmpsim.Options) { o.Behavior.SilentFolderDelete = silent })
			r := receive(t, b, always(200))
			before := len(b.sim.AssetIDs())
			n, err := b.sim.DeleteFolder("/Brand")
			must(t, err)
			b.delivered()
			if left := len(b.sim.AssetIDs()); n == 0 || left != before-n {
				t.Errorf("%d deleted, %d of %d left", n, left, before)
			}
			want := n
			if silent {
				want = 0
			}
			if got := len(r.got()); got != want {
				t.Errorf("%d events, want %d", got, want)
			}
		})
	}
}

func TestUnknownEvents(t *testing.T) {
	b := start(t, nil)
	r := receive(t, b, always(200))
	b.control("POST", "/webhooks/send", `{"event_name":"asset_teleported","data":{"asset":{"id":"1"}}}`)
	b.delivered()
	if got := r.got(); len(got) != 1 || got[0].name != "asset_teleported" {
		t.Errorf("events %v", got)
	}
}
