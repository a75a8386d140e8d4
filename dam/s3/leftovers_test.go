package s3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"damsync/dam"
	"damsync/dam/s3/s3test"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// open gives the keys and ids of the uploads that are open in a bucket.
func open(t *testing.T, server *s3test.Server, bucket string) map[string]string {
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

func inParts(server *s3test.Server, bucket string) map[string]any {
	return with(streamed(server, bucket), map[string]any{"multipart_threshold": "5MiB", "part_size": "5MiB"})
}

func begin(t *testing.T, server *s3test.Server, bucket, key string) string {
	t.Helper()
	out, err := server.Client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	return *out.UploadId
}

// Uploads that were left are aborted after a day, also by a process that lives as long,
// whatever it is asked to do; those of others stay.
func TestLeftoversAborted(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "leftovers")
	theirs := begin(t, server, bucket, "theirs.bin")
	a := newAdapter(t, inParts(server, bucket))
	for name, call := range map[string]func() error{
		"check": func() error { return a.Check(t.Context(), false) },
		"put":   func() error { _, err := a.Put(t.Context(), object("A", "a.bin", "body", 1), dam.Remote{}); return err },
		"retire": func() error {
			_, err := a.Retire(t.Context(), dam.Remote{Path: "a.bin"}, object("A", "", "x", 1).Mark, dam.RetireDelete)
			return err
		},
	} {
		left, err := a.beginUpload(t.Context(), "left.bin", headers{}, "")
		if err != nil {
			t.Fatal(err)
		}
		a.leftoverAge = time.Hour
		for _, age := range []time.Duration{time.Hour, 0} {
			a.leftoverAge, a.cleanNext = age, time.Time{}
			if err := call(); err != nil {
				t.Fatal(err)
			}
			all := open(t, server, bucket)
			if _, there := all[left.UploadID]; there != (age > 0) || all[theirs] == "" {
				t.Errorf("%s, left %s ago: open are %v", name, age, all)
			}
		}
		if notes := keys(t, server, bucket, stateDir); len(notes) != 0 {
			t.Errorf("%s: notes left: %q", name, notes)
		}
		if !a.cleanNext.After(time.Now().Add(cleanAgain)) {
			t.Errorf("%s: cleaned again at %s", name, a.cleanNext)
		}
	}
}

// Cleaning that failed is repeated soon, and is no failure of the call at hand; one leftover
// that cannot be aborted hinders no other.
func TestCleaningFails(t *testing.T) {
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
		if _, err := a.beginUpload(t.Context(), name, headers{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	a.leftoverAge, a.cleanNext, refused = 0, time.Time{}, "one.bin"
	if err := a.Check(t.Context(), false); err != nil {
		t.Error(err)
	}
	if all := open(t, server, bucket); len(all) != 1 || a.cleanNext.After(time.Now().Add(cleanAgain)) {
		t.Errorf("open are %v, cleaned again at %s", all, a.cleanNext)
	}
	a.cleanNext, refused = time.Time{}, ""
	if err := a.Check(t.Context(), false); err != nil || len(open(t, server, bucket)) != 0 {
		t.Errorf("open are %v, %v", open(t, server, bucket), err)
	}
}

// A process that dies as it begins an upload leaves a note all the same.
func TestKilledWhileBeginning(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "beginning")
	a := newAdapter(t, inParts(server, bucket))
	puts := 0
	a.intercept = func(next s3.HTTPClient) s3.HTTPClient {
		return doer(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPut {
				puts++
			}
			if puts > 1 { // from the note with the upload's id on
				return nil, errors.Join(io.ErrUnexpectedEOF, closeBody(req))
			}
			return next.Do(req)
		})
	}
	if _, err := a.beginUpload(t.Context(), "left.bin", headers{}, ""); err == nil {
		t.Fatal("it lives")
	}
	if all := open(t, server, bucket); len(all) != 1 {
		t.Fatalf("open are %v", all)
	}
	elsewhere := begin(t, server, bucket, "left.bin.other")
	next := newAdapter(t, inParts(server, bucket))
	next.leftoverAge = 0
	if err := next.clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := open(t, server, bucket); len(all) != 1 || all[elsewhere] == "" {
		t.Errorf("open are %v", all)
	}
	if notes := keys(t, server, bucket, stateDir); len(notes) != 0 {
		t.Errorf("notes left: %q", notes)
	}
}

// What has not the size that was sent is no success.
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
	if _, err := a.Put(t.Context(), obj, dam.Remote{}); dam.Classify(err) != dam.ClassTemporary || !strings.Contains(err.Error(), "5242880 bytes are there") {
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

// An upload that goes on is no leftover, however long ago it began.
func TestUploadThatGoesOnIsNoted(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "goes-on")
	a := newAdapter(t, inParts(server, bucket))
	var session []byte
	obj := object("A", "a.bin", strings.Repeat("0123456789abcdef", 12*mib/16), 1)
	obj.Upload.Save = func(_ context.Context, s []byte) error { session = append([]byte(nil), s...); return nil }
	whole := obj.Open
	obj.Open = func(context.Context, dam.Checkpoint) (*dam.Source, error) {
		return dam.NewSource(io.LimitReader(strings.NewReader(strings.Repeat("0123456789abcdef", 12*mib/16)), 11*mib), 12*mib, ""), nil
	}
	if _, err := a.Put(t.Context(), obj, dam.Remote{}); dam.Classify(err) != dam.ClassSource {
		t.Fatalf("not broken off: %v", err)
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
			t.Errorf("notes as it goes on: %q", now)
		}
		return whole(ctx, from)
	}
	if _, err := a.Put(t.Context(), obj, dam.Remote{}); err != nil {
		t.Error(err)
	}
}
