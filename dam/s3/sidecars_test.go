package s3

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/s3/s3test"
	"damsync/dam/sidecar"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	gocmp "github.com/google/go-cmp/cmp"
)

// A description that does not fit goes to a sidecar, which is removed when it is not needed any more.
func TestSidecarComesAndGoes(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "sidecar")
	a := newAdapter(t, streamed(server, bucket))
	obj := object("A", "a.png", "body", 1)
	obj.Metadata["description"] = strings.Repeat("日本", 1000)
	r, err := a.Put(t.Context(), obj, dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(stored(t, server, bucket, "a.png.damsync.json")), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"instance": "tester", "target": "bucket", "asset_id": "A", "version": obj.Mark.Version, "sha256": r.Mark.SHA256,
		"size": 4.0, "generation": 1.0, "path": "a.png", "title": "Title", "mime_type": "image/png", "metadata_hash": "h",
		"metadata": map[string]any(obj.Metadata),
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	mark := obj.Mark
	mark.Generation = 2
	if _, err := a.SetMetadata(t.Context(), r, mark, "T", nil); err != nil {
		t.Fatal(err)
	}
	if there := keys(t, server, bucket, ""); len(there) != 1 {
		t.Errorf("the sidecar is still there: %q", there)
	}
}

// A foreign object at the key of a sidecar is not overwritten, and nothing is sent or moved next to
// it.
func TestForeignSidecar(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "theirs")
	put(t, server, bucket, "a.bin.damsync.json", "theirs")
	a := newAdapter(t, with(inParts(server, bucket), map[string]any{"sidecar": "always"}))
	for name, body := range map[string]string{
		"rejects a body in one request": "body", "rejects a body in parts": strings.Repeat("x", 6*mib),
	} {
		t.Run(name, func(t *testing.T) {
			obj := object("A", "a.bin", body, 1)
			opened := 0
			open := obj.Open
			obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) { opened++; return open(ctx, from) }
			if _, err := a.Put(t.Context(), obj, dam.Remote{}); !errors.Is(err, dam.ErrForeign) || opened != 0 {
				t.Errorf("want ErrForeign, opened %d times: %v", opened, err)
			}
		})
	}
	r, err := a.Put(t.Context(), object("B", "b.bin", "body", 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	mark := r.Mark
	mark.Generation = 2
	if _, err := a.Move(t.Context(), r, mark, "a.bin"); !errors.Is(err, dam.ErrForeign) {
		t.Errorf("move: want ErrForeign, got %v", err)
	}
	if now, err := a.Find(t.Context(), keyOf("B"), []string{"a.bin", "b.bin"}); err != nil || now.State != dam.Present || now.Path != "b.bin" {
		t.Errorf("then it is %+v, %v", now, err)
	}
	if got := stored(t, server, bucket, "a.bin.damsync.json"); got != "theirs" || stored(t, server, bucket, "a.bin") != "" {
		t.Errorf("there is %q", keys(t, server, bucket, ""))
	}
}

// A sidecar that was left without its object does not stop another asset, and goes with its own.
func TestLoneSidecar(t *testing.T) {
	server := s3test.Start(t)
	// leave puts asset A and removes the object as another program does.
	leave := func(t *testing.T, bucket string) (*Adapter, dam.Remote) {
		t.Helper()
		a := newAdapter(t, with(streamed(server, bucket), map[string]any{"sidecar": "always"}))
		r, err := a.Put(t.Context(), object("A", "a.png", "one", 1), dam.Remote{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("a.png")}); err != nil {
			t.Fatal(err)
		}
		return a, r
	}
	for _, mode := range []dam.RetireMode{dam.RetireDelete, dam.RetireArchive} {
		t.Run("is removed with its asset by "+string(mode), func(t *testing.T) {
			bucket := server.Bucket(t, "lone-"+string(mode))
			a, r := leave(t, bucket)
			mark := r.Mark
			mark.Generation = 2
			if _, err := a.Retire(t.Context(), r, mark, mode); err != nil {
				t.Fatal(err)
			}
			if there := keys(t, server, bucket, ""); len(there) != 0 {
				t.Errorf("left: %q", there)
			}
		})
	}
	t.Run("is replaced by another asset's", func(t *testing.T) {
		a, _ := leave(t, server.Bucket(t, "lone-replaced"))
		b, err := a.Put(t.Context(), object("B", "a.png", "two", 1), dam.Remote{})
		if err != nil || b.State != dam.Present {
			t.Errorf("put returns %+v, %v", b, err)
		}
		if found, err := a.Find(t.Context(), keyOf("B"), []string{"a.png"}); err != nil || found.State != dam.Present {
			t.Errorf("find returns %+v, %v", found, err)
		}
	})
}

// Metadata keeps its bytes when it is read from a sidecar and written again, up to the limit.
func TestSidecarKeepsItsBytes(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "bytes")
	a := newAdapter(t, streamed(server, bucket))
	obj := object("A", "a.png", "body", 1)
	obj.Title = "<b> & co"
	obj.Metadata = dam.Metadata{"text": strings.Repeat("<&>\u2028", 100_000)}
	r, err := a.Put(t.Context(), obj, dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	before := stored(t, server, bucket, "a.png.damsync.json")
	mark := r.Mark
	for i, path := range []string{"b.png", "c.png", "a.png"} {
		mark.Generation = int64(i + 2)
		if r, err = a.Move(t.Context(), r, mark, path); err != nil || r.State != dam.Present {
			t.Fatalf("move to %s: %+v, %v", path, r, err)
		}
	}
	after := stored(t, server, bucket, "a.png.damsync.json")
	if want := strings.Replace(before, `"generation":1`, `"generation":4`, 1); after != want || !strings.Contains(before, `"title":"<b> & co"`) {
		t.Errorf("%d bytes became %d: %.300s … %.300s", len(before), len(after), before, after)
	}
	obj.Title = strings.Repeat("x", sidecar.MaxMetadataBytes)
	if _, err := a.Put(t.Context(), obj, r); !errors.Is(err, dam.ErrInvalid) {
		t.Errorf("a title over the limit: %v", err)
	}
}

// An object without its sidecar is archived without tags and without a metadata hash, so that the
// core writes its metadata again when it comes back.
func TestArchiveWithoutSidecar(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "tagged")
	a := newAdapter(t, with(streamed(server, bucket), map[string]any{"sidecar": "always", "tags": []any{"alt"}}))
	r, err := a.Put(t.Context(), object("A", "a.png", "body", 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("a.png.damsync.json")}); err != nil {
		t.Fatal(err)
	}
	mark := r.Mark
	mark.Generation = 2
	if r, err = a.Retire(t.Context(), r, mark, dam.RetireArchive); err != nil || r.State != dam.Archived || r.Mark.MetadataHash != "" {
		t.Fatalf("%+v, %v", r, err)
	}
	mark.Generation = 3
	if r, err = a.Move(t.Context(), r, mark, "a.png"); err != nil || r.State != dam.Present || r.Mark.MetadataHash != "" {
		t.Errorf("%+v, %v", r, err)
	}
}
