package cmpsim

import "encoding/json"

// event is one webhook payload as documented.
type event struct {
	name, assetID string
	payload       []byte
}

func (s *Simulator) newEvent(name string, a *asset, more map[string]any) event {
	body := map[string]any{
		"id": a.id, "owner_organization_id": s.lib.ownerOrg, "type": a.kind.about().name,
	}
	for k, v := range more {
		body[k] = v
	}
	payload, _ := json.Marshal(map[string]any{"event_name": name, "data": map[string]any{"asset": body}}) // texts only
	return event{name, a.id, payload}
}

func (s *Simulator) selfLink(a *asset) map[string]any { return map[string]any{"self": s.selfURL(a)} }

// addedEvent is the only place that shows the source task.
func (s *Simulator) addedEvent(a *asset) event {
	source := map[string]any{"id": nil, "type": nil, "links": map[string]any{"self": nil}}
	if task := s.lib.detailOf(a).sourceTask; task != "" {
		source = map[string]any{
			"id": task, "type": "task", "links": map[string]any{"self": s.urls.APIURL + "/tasks/" + task},
		}
	}
	return s.newEvent("asset_added", a, map[string]any{"source": source, "links": s.selfLink(a)})
}

func (s *Simulator) modifiedEvent(a *asset) event {
	return s.newEvent("asset_modified", a, map[string]any{"links": s.selfLink(a)})
}

// removedEvent has no links and no reason.
func (s *Simulator) removedEvent(a *asset) event { return s.newEvent("asset_removed", a, nil) }
