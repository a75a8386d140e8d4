package cmp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxEventBytes bounds a webhook body.
const MaxEventBytes = 256 << 10

// Event is what a webhook payload says. It is a hint that something happened to
// an asset: the truth is then read from the API.
type Event struct {
	Name       string // event_name as sent; unknown names are ordinary
	AssetID    string // data.asset.id; empty when the event carries none
	AssetType  string
	Self       string // data.asset.links.self as given; may point anywhere
	SourceTask string // id of the task the asset came from; only asset_added tells
	Library    bool   // the event is about the library asset AssetID
}

type eventBody struct {
	Name text            `json:"event_name"`
	Data json.RawMessage `json:"data"`
}

type eventAsset struct {
	ID     text            `json:"id"`
	Type   text            `json:"type"`
	Source json.RawMessage `json:"source"`
	Links  json.RawMessage `json:"links"`
}

// ParseEvent reads a webhook payload. Unknown events and keys are accepted, and
// so are missing ones; the error says that body is not a JSON object or is over
// MaxEventBytes.
func ParseEvent(body []byte) (Event, error) {
	if len(body) > MaxEventBytes {
		return Event{}, fmt.Errorf("parse event: body of %d bytes is over the limit of %d", len(body), MaxEventBytes)
	}
	if !isObject(body) {
		return Event{}, errors.New("parse event: body is not a JSON object")
	}
	var outer eventBody
	if err := json.Unmarshal(body, &outer); err != nil {
		return Event{}, fmt.Errorf("parse event: %w", err)
	}
	var data struct {
		Asset json.RawMessage `json:"asset"`
		Task  json.RawMessage `json:"task"`
	}
	tolerate(outer.Data, &data)
	var asset eventAsset
	tolerate(data.Asset, &asset)
	ev := Event{Name: string(outer.Name), AssetID: string(asset.ID), AssetType: string(asset.Type)}
	var links struct {
		Self text `json:"self"`
	}
	tolerate(asset.Links, &links)
	ev.Self = string(links.Self)
	var source struct {
		ID   text `json:"id"`
		Type text `json:"type"`
	}
	tolerate(asset.Source, &source)
	if source.Type == "task" {
		ev.SourceTask = string(source.ID)
	}
	ev.Library = ev.AssetID != "" && !present(data.Task) && !publishing(ev.Name)
	return ev, nil
}

// publishing tells the events about published copies from those about the
// library. Every other known event that names an asset names its task too.
func publishing(name string) bool {
	switch name {
	case "asset_published", "asset_synced", "asset_unpublished":
		return true
	}
	return false
}

// tolerate decodes the parts of raw that have the expected shape and leaves the
// rest zero.
func tolerate(raw json.RawMessage, into any) {
	if isObject(raw) {
		_ = json.Unmarshal(raw, into) // a member of another shape stays zero
	}
}

func present(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}
