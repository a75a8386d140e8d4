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

// ParseEvent reads a webhook payload. Unknown events and keys are accepted, and
// so are missing ones and ones of another shape, up to JSON that is no object. The
// error says that body is not JSON or is over MaxEventBytes.
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

// publishing tells the events about published copies from those about the
// library. Every other known event that names an asset names its task too.
func publishing(name string) bool {
	switch name {
	case "asset_published", "asset_synced", "asset_unpublished":
		return true
	}
	return false
}

// members returns the members of an object, none of anything else.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if isObject(raw) {
		_ = json.Unmarshal(raw, &m) // valid JSON, checked by the caller
	}
	return m
}

// textOf returns a string or number as text, "" for anything else.
func textOf(raw json.RawMessage) string {
	var t text
	if len(raw) == 0 || t.UnmarshalJSON(raw) != nil {
		return ""
	}
	return string(t)
}

func present(raw json.RawMessage) bool {
	return len(raw) > 0 && !bytes.Equal(raw, []byte("null"))
}

func isObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}
