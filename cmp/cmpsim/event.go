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

func (l *Library) newEvent(name string, a *asset, more map[string]any) event {
	body := map[string]any{
		"id": a.id, "owner_organization_id": l.catalog.ownerOrg, "type": a.kind.info().name,
	}
	maps.Copy(body, more)
	payload, _ := json.Marshal(map[string]any{"event_name": name, "data": map[string]any{"asset": body}}) // strings only
	return event{name, a.id, payload}
}

func (l *Library) selfLink(a *asset) map[string]any { return map[string]any{"self": l.site.self(a)} }

// addedEvent is the only answer that shows the source task (facts.md 8).
func (l *Library) addedEvent(a *asset) event {
	source := map[string]any{"id": nil, "type": nil, "links": map[string]any{"self": nil}}
	if task := l.catalog.detailOf(a).sourceTask; task != "" {
		source = map[string]any{
			"id": task, "type": "task", "links": map[string]any{"self": l.site.api + "/tasks/" + task},
		}
	}
	return l.newEvent("asset_added", a, map[string]any{"source": source, "links": l.selfLink(a)})
}

func (l *Library) modifiedEvent(a *asset) event {
	return l.newEvent("asset_modified", a, map[string]any{"links": l.selfLink(a)})
}

// removedEvent has neither links nor a reason.
func (l *Library) removedEvent(a *asset) event { return l.newEvent("asset_removed", a, nil) }
