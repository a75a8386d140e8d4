package cmp_test

import (
	"encoding/json"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/cmp"
)

func TestParseEvent(t *testing.T) {
	for body, want := range map[string]cmp.Event{
		`{"event_name":"asset_added","data":{"asset":{"id":"a","owner_organization_id":"o","type":"image",
		  "source":{"id":"t1","type":"task","links":{"self":null}},"links":{"self":"https://x/v3/images/a"}}}}`: {
			Name: "asset_added", AssetID: "a", AssetType: "image", Self: "https://x/v3/images/a", SourceTask: "t1", Library: true,
		},
		`{"event_name":"asset_added","data":{"asset":{"id":"a","type":"image","source":{"id":null,"type":null}}}}`: {
			Name: "asset_added", AssetID: "a", AssetType: "image", Library: true,
		},
		`{"event_name":"asset_removed","data":{"asset":{"id":"a","type":"video"}}}`:                 {Name: "asset_removed", AssetID: "a", AssetType: "video", Library: true},
		`{"event_name":"asset_modified","data":{"asset":{"id":"a"},"attributes_changed":["x"]}}`:    {Name: "asset_modified", AssetID: "a", Library: true},
		`{"event_name":"asset_renditions_created","data":{"asset":{"id":"a","links":[]}}}`:          {Name: "asset_renditions_created", AssetID: "a", Library: true},
		`{"event_name":"asset_reborn","data":{"asset":{"id":"a"},"new":{}}}`:                        {Name: "asset_reborn", AssetID: "a", Library: true},
		`{"event_name":"task_asset_modified","data":{"task":{"id":"t"},"asset":{"id":"ta"}}}`:       {Name: "task_asset_modified", AssetID: "ta"},
		`{"event_name":"asset_published","data":{"asset":{"id":"p"}}}`:                              {Name: "asset_published", AssetID: "p"},
		`{"event_name":"campaign_added","data":{"campaign":{"id":"c"}}}`:                            {Name: "campaign_added"},
		`{"event_name":"asset_modified","data":{"task":null,"asset":{"type":{"x":1},"id":"late"}}}`: {Name: "asset_modified", AssetID: "late", Library: true},
		`{"event_name":{"a":1},"data":[]}`:                                                          {},
		`{"event_name":7,"data":{"asset":"a"}}`:                                                     {Name: "7"},
		`{}`:                                                                                        {},
		` {"data":{"asset":{"id":{"deep":"no"}}}}`:                                                  {},
		`[]`: {}, `[{"data":{"asset":{"id":"a"}}}]`: {}, `1`: {}, `null`: {}, ` "x"`: {},
	} {
		got, err := cmp.ParseEvent([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func TestParseEventRejects(t *testing.T) {
	for _, body := range []string{
		"", "{", `{"event_name":"a",}`, "<html>", "{}{}",
		`{"a":"` + strings.Repeat("x", cmp.MaxEventBytes) + `"}`, `{"a":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`,
	} {
		if ev, err := cmp.ParseEvent([]byte(body)); err == nil {
			t.Errorf("%.40s: %+v", body, ev)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"event_name":"asset_added","data":{"asset":{"id":"a","type":"image","source":{"id":"t1","type":"task"},"links":{"self":"s"}}}}`))
	f.Add([]byte(`{"data":{"task":{},"asset":{"id":1e3}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, err := cmp.ParseEvent(body)
		if valid := json.Valid(body); valid != (err == nil) {
			t.Errorf("error %v, JSON %v", err, valid)
		}
		if ev.Library && ev.AssetID == "" {
			t.Error("a library event without an asset")
		}
	})
}
