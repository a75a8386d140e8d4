package cmpsim

import (
	"encoding/json"
	"maps"
)

// event is one webhook payload (facts.md 7.4).
type event struct {
	name, assetID string
	payload       []byte
}

func (r renderer) newEvent(name string, a *asset, more map[string]any) event {
	body := map[string]any{
		"id": a.id, "owner_organization_id": r.ownerOrg, "type": a.kind.info().name,
	}
	maps.Copy(body, more)
	payload, _ := json.Marshal(map[string]any{"event_name": name, "data": map[string]any{"asset": body}}) // strings only
	return event{name, a.id, payload}
}

// addedEvent is the only answer that shows the source task (facts.md 8).
func (r renderer) addedEvent(a *asset) event {
	source := map[string]any{"id": nil, "type": nil, "links": map[string]any{"self": nil}}
	if task := r.detailOf(a).sourceTask; task != "" {
		source = map[string]any{
			"id": task, "type": "task", "links": map[string]any{"self": r.api + "/tasks/" + task},
		}
	}
	return r.newEvent("asset_added", a, map[string]any{"source": source, "links": map[string]any{"self": r.self(a)}})
}

func (r renderer) modifiedEvent(a *asset) event {
	return r.newEvent("asset_modified", a, map[string]any{"links": map[string]any{"self": r.self(a)}})
}

// removedEvent has neither links nor a reason.
func (r renderer) removedEvent(a *asset) event { return r.newEvent("asset_removed", a, nil) }
