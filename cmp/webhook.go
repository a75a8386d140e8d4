package cmp

import (
	"encoding/json"
	"errors"
	"fmt"
)

// MaxEventBytes bounds a webhook body.
const MaxEventBytes = 256 << 10

// Event is the content of a webhook payload. It only hints that something happened to an
// asset; the truth is then read from the API.
type Event struct {
	Name       string // event_name as sent; expect unknown names
	AssetID    string // data.asset.id; empty when the event has none
	AssetType  string
	Self       string // data.asset.links.self as sent; may point anywhere
	SourceTask string // id of the task that the asset came from; only in asset_added
	Library    bool   // the event is about the library asset AssetID
}

// ParseEvent parses a webhook payload. It accepts unknown events and keys, missing keys
// and values of unexpected types, even JSON that is not an object. It returns an error
// when body is not JSON or over MaxEventBytes.
func ParseEvent(body []byte) (Event, error) {
	if len(body) > MaxEventBytes {
		return Event{}, fmt.Errorf("parse event: body of %d bytes is over the limit of %d", len(body), MaxEventBytes)
	}
	if !json.Valid(body) {
		return Event{}, errors.New("parse event: body is not JSON")
	}
	outer := members(body)
	data := members(outer["data"])
	asset := members(data["asset"])
	source := members(asset["source"])
	ev := Event{
		Name:      textOf(outer["event_name"]),
		AssetID:   textOf(asset["id"]),
		AssetType: textOf(asset["type"]),
		Self:      textOf(members(asset["links"])["self"]),
	}
	if textOf(source["type"]) == "task" {
		ev.SourceTask = textOf(source["id"])
	}
	ev.Library = ev.AssetID != "" && !present(data["task"]) && !publishing(ev.Name)
	return ev, nil
}

// publishing reports whether an event is about a published copy and not about the
// library. The other known events that are not about the library name a task.
func publishing(name string) bool {
	switch name {
	case "asset_published", "asset_synced", "asset_unpublished":
		return true
	}
	return false
}
