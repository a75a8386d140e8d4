package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"damsync/dam/s3/s3test"
)

// targetConfig writes a configuration that has what verify-target needs.
func targetConfig(t *testing.T, adapter string, options map[string]any) string {
	t.Helper()
	text, err := json.Marshal(options) // which is YAML, too
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(tempDir(t), "config.yaml")
	writeFile(t, file, fmt.Sprintf("cmp: {client_id: a, client_secret: b}\ntargets:\n  - {name: brand, adapter: %s, options: %s}\n", adapter, text))
	return file
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestVerifyTargetLeavesADirectoryAsItWas(t *testing.T) {
	t.Parallel()
	root := tempDir(t)
	writeFile(t, filepath.Join(root, "theirs.txt"), "foreign")
	file := targetConfig(t, "filesystem", map[string]any{"root": root})
	damsync(t, "verify-target", "--config", file).wantCode(t, 0).
		wantText(t, "ok    generations/the highest generation wins a race", "skip  resume/resumes where it broke off: needs resumable uploads", "0 failed")
	if left := entries(t, root); len(left) != 1 || left[0] != "theirs.txt" {
		t.Errorf("left: %q", left)
	}
	damsync(t, "verify-target", "--config", file, "--target", "other").wantCode(t, 2).wantText(t, `no target "other"`)
}

func TestVerifyTargetRemovesARootThatDidNotExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join(tempDir(t), "new")
	damsync(t, "verify-target", "--config", targetConfig(t, "filesystem", map[string]any{"root": root})).wantCode(t, 0)
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("the root is left: %v", err)
	}
}

func TestVerifyTargetLeavesABucketEmpty(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	options := server.Options(server.Bucket(t, "brand"))
	options["prefix"] = "approved" // part_size has its default, and no gigabytes are sent
	damsync(t, "verify-target", "--config", targetConfig(t, "s3", options)).wantCode(t, 0).
		wantText(t, "below approved/damsync-verify-", "ok    resume/resumes in another process", "0 failed")
	wantEmptyBucket(t, server, "brand")
	options["secret_access_key"] = "wrong"
	damsync(t, "verify-target", "--config", targetConfig(t, "s3", options)).wantCode(t, 1).wantText(t, "valid credentials")
}

func wantEmptyBucket(t *testing.T, server *s3test.Server, bucket string) {
	t.Helper()
	list, err := server.Client().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		t.Errorf("left in the bucket: %s", *o.Key)
	}
	uploads, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		t.Errorf("left as an open upload: %s", *u.Key)
	}
}

func TestVerifyTargetFailsOnAReadOnlyTarget(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	options := server.Options(server.Bucket(t, "brand"))
	server.Kill()
	server.Restart(t, "--readonly")
	damsync(t, "verify-target", "--config", targetConfig(t, "s3", options)).wantCode(t, 1).
		wantText(t, "FAIL", "target brand", "permission to write")
	file := filepath.Join(tempDir(t), "a-file")
	writeFile(t, file, "in the way")
	damsync(t, "verify-target", "--config", targetConfig(t, "filesystem", map[string]any{"root": filepath.Join(file, "out")})).wantCode(t, 1).
		wantText(t, "FAIL  target brand")
	if left := entries(t, filepath.Dir(file)); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

func TestVerifyTargetLeavesNothingAfterCtrlC(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	options := server.Options(server.Bucket(t, "brand"))
	p := start(t, launch{args: []string{"verify-target", "--config", targetConfig(t, "s3", options)}, dir: t.TempDir()})
	eventually(t, "a case has passed", func() error {
		if !strings.Contains(p.stdout.String(), "ok    put/creates an object") {
			return fmt.Errorf("printed %q", p.stdout)
		}
		return nil
	})
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	finish(p).wantCode(t, 1).wantText(t, "interrupted")
	wantEmptyBucket(t, server, "brand")
}
