package s3

import (
	"bytes"
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/s3/s3test"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	gocmp "github.com/google/go-cmp/cmp"
)

// A new object takes one PUT, and changed metadata or a move sends no bytes.
func TestRequestsOfAnObject(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "counted")
	a, m := metered(t, streamed(server, bucket))
	r, err := a.Put(t.Context(), object("A", "dir/a.png", strings.Repeat("x", mib), 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	if n := m.requests.Load(); n != 1 {
		t.Errorf("a new object took %d requests, want 1", n)
	}
	before := m.sent.Load()
	mark := dam.OwnerMark{Instance: "tester", Target: "bucket", AssetID: "A", MetadataHash: "h2", Generation: 2}
	r, err = a.SetMetadata(t.Context(), r, mark, "New title", dam.Metadata{"alt": "new"})
	if err != nil {
		t.Fatal(err)
	}
	mark.Generation = 3
	if _, err := a.Move(t.Context(), r, mark, "dir/b.png"); err != nil {
		t.Fatal(err)
	}
	if sent := m.sent.Load() - before; sent != 0 {
		t.Errorf("metadata and a move sent %d bytes, want none", sent)
	}
}

// The server has the configured headers, also after new metadata and a move.
func TestConfiguredHeaders(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "headers")
	a := newAdapter(t, with(streamed(server, bucket), map[string]any{
		"cache_control": "max-age=60", "content_disposition": "attachment", "tags": []any{"alt"},
	}))
	r, err := a.Put(t.Context(), object("A", "dir/Bild ü.png", "body", 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	wantHeaders(t, server, bucket, "dir/Bild ü.png", "Ünï")
	mark := dam.OwnerMark{Instance: "tester", Target: "bucket", AssetID: "A", MetadataHash: "h2", Generation: 2}
	if r, err = a.SetMetadata(t.Context(), r, mark, "T", dam.Metadata{"alt": "new"}); err != nil {
		t.Fatal(err)
	}
	wantHeaders(t, server, bucket, "dir/Bild ü.png", "new")
	if _, err = a.Move(t.Context(), r, mark, "b.png"); err != nil {
		t.Fatal(err)
	}
	wantHeaders(t, server, bucket, "b.png", "new")
}

func wantHeaders(t *testing.T, server *s3test.Server, bucket, key, alt string) {
	t.Helper()
	out, err := server.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	tags, err := server.Client().GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	got := []string{aws.ToString(out.ContentType), aws.ToString(out.CacheControl), aws.ToString(out.ContentEncoding)}
	for _, tag := range tags.TagSet {
		got = append(got, *tag.Key+"="+*tag.Value)
	}
	if diff := gocmp.Diff([]string{"image/png", "max-age=60", "", "alt=" + alt}, got); diff != "" {
		t.Error(diff)
	}
	if d := aws.ToString(out.ContentDisposition); !strings.HasPrefix(d, "attachment; filename") {
		t.Errorf("disposition %q", d)
	}
}

// An object that is too large for one copy is copied in parts, bytes and mark.
func TestLargeCopy(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "large")
	a := newAdapter(t, streamed(server, bucket))
	a.putter.writer.copier.limit, a.putter.writer.copier.partSize = 6*mib, 5*mib
	body := string(bytes.Repeat([]byte("0123456789abcdef"), 12*mib/16)) + "tail"
	r, err := a.Put(t.Context(), object("A", "a.bin", body, 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	mark := r.Mark
	mark.Generation = 2
	moved, err := a.Move(t.Context(), r, mark, "dir/b.bin")
	if err != nil {
		t.Fatal(err)
	}
	if moved, err = a.SetMetadata(t.Context(), moved, mark, "New", nil); err != nil {
		t.Fatal(err)
	}
	found, err := a.Find(t.Context(), keyOf("A"), []string{"dir/b.bin", "a.bin"})
	if err != nil || found.State != dam.Present || found.Mark.SHA256 != r.Mark.SHA256 || found.Token != moved.Token {
		t.Errorf("find returns %+v, %v", found, err)
	}
	if there := keys(t, server, bucket, ""); stored(t, server, bucket, "dir/b.bin") != body || len(there) != 1 {
		t.Errorf("other bytes, or more than one object: %q", there)
	}
}

// In a bucket with versions a removed object can be restored.
func TestDeleteMarker(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "versions")
	_, err := server.Client().PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := newAdapter(t, streamed(server, bucket))
	r, err := a.Put(t.Context(), object("A", "a.png", "body", 1), dam.Remote{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Retire(t.Context(), r, r.Mark, dam.RetireDelete); err != nil {
		t.Fatal(err)
	}
	out, err := server.Client().ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil || len(out.Versions) != 1 || len(out.DeleteMarkers) != 1 {
		t.Errorf("%d versions, %d delete markers, %v; want one each", len(out.Versions), len(out.DeleteMarkers), err)
	}
}

func TestBodyOfUnknownSizeIsPutWhole(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "unknown")
	a := newAdapter(t, with(streamed(server, bucket), map[string]any{"part_size": "5MiB"}))
	for name, n := range map[string]int{
		"empty": 0, "less than a part": 10, "one part": 5 * mib, "two parts": 10 * mib, "two parts and a bit": 10*mib + 7,
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.Repeat("x", n)
			obj := object(name, name, body, 1)
			obj.Mark.Size = dam.UnknownSize
			obj.Open = dam.Opener(dam.UnknownSize, "", reader(body))
			r, err := a.Put(t.Context(), obj, dam.Remote{})
			if err != nil || r.Mark.Size != int64(n) || stored(t, server, bucket, name) != body {
				t.Fatalf("%+v, %v", r, err)
			}
			found, err := a.Find(t.Context(), keyOf(name), []string{name})
			if err != nil || found.State != dam.Present || found.Mark != r.Mark {
				t.Errorf("find returns %+v, %v; want the mark of %+v", found, err, r)
			}
		})
	}
}
