package damtest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"damsync/dam"
)

func metadataCases() []testCase {
	return []testCase{
		{"replaces metadata without bytes", replacesMetadata},
		{"repeating it writes nothing", metadataTwice},
		{"an absent object is not found", metadataOfNothing},
		{"large metadata is kept whole or rejected", largeMetadata},
		{"metadata over the limit is rejected", oversizeMetadata},
		{"keeps every character", characters},
	}
}

func replacesMetadata(k *kit) {
	k.needs(k.can.MetadataWithoutBytes, "metadata without bytes")
	obj := k.object("A", "a.png", "one", 1)
	r := k.put(obj, dam.Remote{})
	m := k.mark("A", 2)
	m.Version, m.SHA256, m.Size = "to be ignored", sum("to be ignored"), 7
	md := dam.Metadata{"alt": "new", "year": 2024.0}
	now, err := k.a.SetMetadata(k.ctx, r, m, "Another title", md)
	if err != nil {
		k.Fatalf("set metadata: %v", err)
	}
	obj.Title, obj.Metadata = "Another title", md
	obj.Mark.MetadataHash, obj.Mark.Generation = m.MetadataHash, 2
	wantPut(k, now, obj, "one")
	wantCount(k, 1)
}

func metadataTwice(k *kit) {
	k.needs(k.can.MetadataWithoutBytes, "metadata without bytes")
	r := k.put(k.object("A", "a.png", "one", 1), dam.Remote{})
	first, err := k.a.SetMetadata(k.ctx, r, k.mark("A", 2), "t", dam.Metadata{"x": "y"})
	if err != nil {
		k.Fatalf("set metadata: %v", err)
	}
	wantNoWrite(k, func() (dam.Remote, error) {
		return k.a.SetMetadata(k.ctx, first, k.mark("A", 2), "t", dam.Metadata{"x": "y"})
	}, first)
}

func metadataOfNothing(k *kit) {
	k.needs(k.can.MetadataWithoutBytes, "metadata without bytes")
	_, err := k.a.SetMetadata(k.ctx, dam.Remote{State: dam.Absent}, k.mark("A", 1), "t", nil)
	wantClass(k, "set metadata of an absent object", err, dam.ClassNotFound)
	wantCount(k, 0)
}

// largeMetadata exceeds what most targets hold in the object itself.
func largeMetadata(k *kit) {
	for name, md := range map[string]dam.Metadata{
		"long value": {"alt": strings.Repeat("long ", 3000)},
		"long key":   {strings.Repeat("key", 100): "v"},
		"many":       many(300),
	} {
		obj := k.object(name, name+"/a.png", "one", 1)
		obj.Title, obj.Metadata = strings.Repeat("title ", 100), md
		wantWholeOrRejected(k, obj, "one")
	}
}

func many(n int) dam.Metadata {
	md := dam.Metadata{}
	for i := range n {
		md[strings.Repeat("k", i+1)] = "v"
	}
	return md
}

// wantWholeOrRejected puts obj: metadata must not be cut silently.
func wantWholeOrRejected(k *kit, obj dam.Object, body string) {
	k.Helper()
	r, err := k.a.Put(k.ctx, obj, dam.Remote{})
	if err != nil {
		wantClass(k, "put "+obj.Mark.AssetID, err, dam.ClassInvalid)
		if found := k.find(obj.Mark.AssetID); found.State != dam.Absent {
			k.Errorf("the rejected object is %s", found.State)
		}
		return
	}
	wantPut(k, r, obj, body)
}

func oversizeMetadata(k *kit) {
	k.needs(k.can.MaxMetadataBytes > 0, "a limit of metadata")
	fits := k.object("A", "a.png", "one", 1)
	fits.Title, fits.Metadata = "t", dam.Metadata{"alt": strings.Repeat("x", max(0, k.can.MaxMetadataBytes-200))}
	wantPut(k, k.put(fits, dam.Remote{}), fits, "one")

	over := k.object("B", "b.png", "one", 1)
	over.Metadata = dam.Metadata{"alt": strings.Repeat("x", k.can.MaxMetadataBytes+1)}
	_, err := k.a.Put(k.ctx, over, dam.Remote{})
	wantClass(k, "put metadata over the limit", err, dam.ClassInvalid)
	wantCount(k, 1)
	if k.can.MetadataWithoutBytes {
		_, err = k.a.SetMetadata(k.ctx, k.find("A"), k.mark("A", 2), "t", over.Metadata)
		wantClass(k, "set metadata over the limit", err, dam.ClassInvalid)
		wantThere(k, fits, "one")
	}
}

func characters(k *kit) {
	obj := k.object("A", "a.png", "one", 1)
	obj.Title = "Ünïcode “quotes” 日本 🎉\ttab"
	obj.Metadata = dam.Metadata{
		"alt": "line one\nline two", "empty": "", "space": " around ", "percent": "100 %20 %ZZ", "equals": "a=b&c|d;e,f\\g\"h'",
		"Schlüssel": "wert", "Case": "1", "case": "2", "nested": map[string]any{"list": []any{"é", "e\u0301", true, 1.5, nil}},
	}
	r, err := k.a.Put(k.ctx, obj, dam.Remote{})
	if err != nil && k.can.MetadataASCII {
		wantClass(k, "put metadata outside ASCII", err, dam.ClassInvalid)
		return
	}
	if err != nil {
		k.Fatalf("put: %v", err)
	}
	wantPut(k, r, obj, "one")
}

// wantMetadata compares title and metadata where the backdoor can see them.
func wantMetadata(k *kit, path, title string, md dam.Metadata) {
	k.Helper()
	if k.target.Backdoor == nil {
		return
	}
	seen, err := k.target.Backdoor.Look(k.ctx, path)
	if err != nil {
		k.Errorf("look at %q: %v", path, err)
		return
	}
	if seen.Metadata == nil {
		return
	}
	if seen.Title != title {
		k.Errorf("title is %s, want %s", short(seen.Title), short(title))
	}
	if got, want := plain(seen.Metadata), plain(md); !reflect.DeepEqual(got, want) {
		k.Errorf("metadata is %s, want %s", short(fmt.Sprint(got)), short(fmt.Sprint(want)))
	}
}

// plain returns md as JSON decodes it, so that equal values have equal types.
func plain(md dam.Metadata) any {
	raw, err := json.Marshal(md)
	if err != nil {
		return err
	}
	out := map[string]any{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return err
	}
	return out
}
