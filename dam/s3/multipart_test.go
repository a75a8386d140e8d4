package s3

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"damsync/dam"
	"damsync/dam/s3/s3test"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// openUploads returns the keys of the open multipart uploads of a bucket by their ids.
func openUploads(t *testing.T, server *s3test.Server, bucket string) map[string]string {
	t.Helper()
	out, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, u := range out.Uploads {
		ids[*u.UploadId] = *u.Key
	}
	return ids
}

// beginElsewhere begins an upload as another program would.
func beginElsewhere(t *testing.T, server *s3test.Server, bucket, key string) string {
	t.Helper()
	out, err := server.Client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	return *out.UploadId
}

// abandonUpload begins an upload and does nothing more.
func abandonUpload(t *testing.T, a *Adapter, name string) openUpload {
	t.Helper()
	up, err := a.uploads.begin(t.Context(), name, headers{}.uploadInput(""))
	if err != nil {
		t.Fatal(err)
	}
	return up
}

// Abandoned uploads are aborted by Check and by the next upload in parts; those of other programs
// stay.
func TestAbandonedUploads(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "leftovers")
	theirs := beginElsewhere(t, server, bucket, "theirs.bin")
	a := newAdapter(t, inParts(server, bucket))
	for name, call := range map[string]func(t *testing.T) error{
		"check": func(t *testing.T) error { return a.Check(t.Context(), false) },
		"upload in parts": func(t *testing.T) error {
			_, err := a.Put(t.Context(), object("A", "a.bin", strings.Repeat("x", 6*mib), 1), dam.Remote{})
			return err
		},
	} {
		for age, want := range map[time.Duration]string{time.Hour: "keeps a young one", 0: "aborts an old one"} {
			t.Run(name+" "+want, func(t *testing.T) {
				left := abandonUpload(t, a, "left.bin")
				a.uploads.maxAge = age
				if err := call(t); err != nil {
					t.Fatal(err)
				}
				all := openUploads(t, server, bucket)
				if _, there := all[left.UploadID]; there != (age > 0) || all[theirs] == "" {
					t.Errorf("left %s ago; open uploads are %v", age, all)
				}
				a.uploads.abandon(t.Context(), left)
				if notes := keys(t, server, bucket, stateDir); len(notes) != 0 {
					t.Errorf("notes left: %q", notes)
				}
			})
			if _, err := server.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("a.bin")}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// An upload that cannot be aborted neither fails the call nor prevents others from being aborted, and
// the next call tries again.
func TestAbortFails(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "failing")
	refused := "" // the key whose uploads are not aborted
	a := through(t, server, bucket, inParts(server, bucket), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete && refused != "" && strings.HasSuffix(r.URL.Path, refused) {
			refuse(w, http.StatusForbidden, "AccessDenied")
			return false
		}
		return true
	})
	for _, name := range []string{"one.bin", "two.bin"} {
		abandonUpload(t, a, name)
	}
	a.uploads.maxAge, refused = 0, "one.bin"
	if err := a.Check(t.Context(), false); err != nil {
		t.Error(err)
	}
	if all := openUploads(t, server, bucket); len(all) != 1 {
		t.Errorf("open uploads are %v", all)
	}
	refused = ""
	if err := a.Check(t.Context(), false); err != nil || len(openUploads(t, server, bucket)) != 0 {
		t.Errorf("open uploads are %v; error: %v", openUploads(t, server, bucket), err)
	}
}

// An upload of which the stored size is not the size sent does not succeed.
func TestSizeIsConfirmed(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "size")
	lie := true
	a := through(t, server, bucket, inParts(server, bucket), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead || !lie || !strings.HasSuffix(r.URL.Path, "a.bin") {
			return true
		}
		w.Header().Set("Content-Length", "5242880")
		return false
	})
	obj := object("A", "a.bin", strings.Repeat("x", 6*mib), 1)
	_, err := a.Put(t.Context(), obj, dam.Remote{})
	if dam.Classify(err) != dam.ClassTemporary || !strings.Contains(err.Error(), "5242880 bytes are stored") {
		t.Errorf("class %q: %v", dam.Classify(err), err)
	}
	lie = false
	now, err := a.Find(t.Context(), keyOf("A"), []string{"a.bin"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.Put(t.Context(), obj, now); err != nil || r.State != dam.Present {
		t.Errorf("%+v, %v", r, err)
	}
}

// An upload that resumes is not abandoned, however long ago it began: its note is written again.
func TestResumedUploadIsNotAbandoned(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "goes-on")
	a := newAdapter(t, inParts(server, bucket))
	var session []byte
	body := strings.Repeat("0123456789abcdef", 12*mib/16)
	obj := object("A", "a.bin", body, 1)
	obj.Upload.Save = func(_ context.Context, s []byte) error { session = append([]byte(nil), s...); return nil }
	whole := obj.Open
	obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		return dam.NewSource(strings.NewReader(body[:11*mib]), 12*mib, ""), nil
	}
	if _, err := a.Put(t.Context(), obj, dam.Remote{}); dam.Classify(err) != dam.ClassSource {
		t.Fatalf("not interrupted: %v", err)
	}
	notes := keys(t, server, bucket, stateDir)
	if len(notes) != 1 {
		t.Fatalf("notes: %q", notes)
	}
	if _, err := server.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String(notes[0])}); err != nil {
		t.Fatal(err)
	}
	obj.Upload.Session = session
	obj.Open = func(ctx context.Context, from dam.Checkpoint) (*dam.Source, error) {
		if now := keys(t, server, bucket, stateDir); len(now) != 1 || now[0] != notes[0] {
			t.Errorf("notes while it resumes: %q", now)
		}
		return whole(ctx, from)
	}
	if _, err := a.Put(t.Context(), obj, dam.Remote{}); err != nil {
		t.Error(err)
	}
}
