package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"damsync/dam/s3/s3test"
)

// vandal changes a bucket behind damsync's back.
type vandal struct {
	t      *testing.T
	api    *s3.Client
	bucket string
}

func (v vandal) keys() []string {
	v.t.Helper()
	list, err := v.api.ListObjectsV2(v.t.Context(), &s3.ListObjectsV2Input{Bucket: &v.bucket})
	if err != nil {
		v.t.Fatal(err)
	}
	var keys []string
	for _, o := range list.Contents {
		if !strings.Contains(*o.Key, ".damsync") {
			keys = append(keys, *o.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (v vandal) remove(key string) {
	v.t.Helper()
	if _, err := v.api.DeleteObject(v.t.Context(), &s3.DeleteObjectInput{Bucket: &v.bucket, Key: &key}); err != nil {
		v.t.Fatal(err)
	}
}

func (v vandal) write(key, body string) {
	v.t.Helper()
	_, err := v.api.PutObject(v.t.Context(), &s3.PutObjectInput{Bucket: &v.bucket, Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		v.t.Fatal(err)
	}
}

// alter changes one byte and keeps the mark.
func (v vandal) alter(key string) {
	v.t.Helper()
	out, err := v.api.GetObject(v.t.Context(), &s3.GetObjectInput{Bucket: &v.bucket, Key: &key})
	if err != nil {
		v.t.Fatal(err)
	}
	defer out.Body.Close()
	body, err := io.ReadAll(out.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	body[len(body)/2] ^= 0xff
	_, err = v.api.PutObject(v.t.Context(), &s3.PutObjectInput{
		Bucket: &v.bucket, Key: &key, Body: bytes.NewReader(body), Metadata: out.Metadata, ContentType: aws.String(aws.ToString(out.ContentType)),
	})
	if err != nil {
		v.t.Fatal(err)
	}
}

// Edits of a bucket are found and repaired at every depth.
func TestVerifyABucket(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	options := server.Options(server.Bucket(t, "brand"))
	options["prefix"] = "approved"
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, 60, settings{targets: fmt.Sprintf("\n  - name: brand\n    adapter: s3\n    options: %s%s", text, defaultTarget+noLimit)})
	s.run("resync").wantCode(t, 0)
	people := vandal{t, server.Client(), "brand"}
	keys := people.keys()
	for _, depth := range []string{"token", "hash", "readback"} {
		people.remove(keys[0])
		people.alter(keys[1])
		people.write("approved/theirs.txt", "theirs")
		s.verify(4, "--depth", depth).wantFound(t, 1, 1, 0, 1)
		s.verify(0, "--depth", depth, "--repair").wantFound(t, 1, 1, 0, 1)
		s.verify(0, "--depth", "readback").wantFound(t, 0, 0, 0, 1)
	}
	// An object that replaced ours and has no mark is foreign.
	people.write(keys[2], "no mark")
	s.verify(4).wantFound(t, 1, 0, 0, 2)
	s.run("verify", "--repair").wantCode(t, 4)
	if got := people.keys(); len(got) != len(keys)+1 {
		t.Errorf("%d objects, want %d", len(got), len(keys)+1)
	}
	people.remove(keys[2])
	s.run("resync").wantCode(t, 0)
	s.verify(0).wantFound(t, 0, 0, 0, 1)
}
