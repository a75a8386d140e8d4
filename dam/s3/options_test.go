package s3

import (
	"fmt"
	"strings"
	"testing"
)

// New names every problem with the options.
func TestNewRejectsOptions(t *testing.T) {
	for name, c := range map[string]struct {
		given map[string]any
		want  []string
	}{
		"no bucket":           {nil, []string{"option bucket is missing"}},
		"all at once":         {map[string]any{"bukket": "b", "region": 7}, []string{"unknown option bukket", "option region", "bucket is missing"}},
		"half a key":          {map[string]any{"bucket": "b", "access_key_id": "a"}, []string{"belong together"}},
		"two secrets":         {map[string]any{"bucket": "b", "access_key_id": "a", "secret_access_key": "s", "secret_access_key_file": "f"}, []string{"exclude each other"}},
		"no URL":              {map[string]any{"bucket": "b", "endpoint": "s3.example.com"}, []string{"option endpoint"}},
		"two tokens":          {map[string]any{"bucket": "b", "access_key_id": "a", "secret_access_key": "s", "session_token": "t", "session_token_file": "f"}, []string{"session_token and session_token_file exclude"}},
		"token alone":         {map[string]any{"bucket": "b", "session_token_file": "f"}, []string{"option session_token_file: set"}},
		"slow class":          {map[string]any{"bucket": "b", "storage_class": "GLACIER"}, []string{"option storage_class"}},
		"parent segment":      {map[string]any{"bucket": "b", "prefix": "a/../b"}, []string{"option prefix"}},
		"no archive":          {map[string]any{"bucket": "b", "archive_prefix": ""}, []string{"option archive_prefix"}},
		"small parts":         {map[string]any{"bucket": "b", "part_size": "1MiB"}, []string{"option part_size"}},
		"over 5 GiB":          {map[string]any{"bucket": "b", "multipart_threshold": "6GiB"}, []string{"option multipart_threshold"}},
		"size in words":       {map[string]any{"bucket": "b", "part_size": "many"}, []string{"option part_size"}},
		"11 tags":             {map[string]any{"bucket": "b", "tags": make([]any, 11)}, []string{"option tags"}},
		"tag with <":          {map[string]any{"bucket": "b", "tags": []any{"a<b"}}, []string{"option tags"}},
		"unknown class":       {map[string]any{"bucket": "b", "storage_class": "COLD"}, []string{"option storage_class"}},
		"key without KMS":     {map[string]any{"bucket": "b", "kms_key_id": "k", "sse": "AES256"}, []string{"option kms_key_id"}},
		"split header":        {map[string]any{"bucket": "b", "cache_control": "a\r\nb: c"}, []string{"option cache_control"}},
		"unknown disposition": {map[string]any{"bucket": "b", "content_disposition": "below"}, []string{"option content_disposition"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.given, "t", "i")
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in: %v", want, err)
				}
			}
		})
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	given := map[string]any{"bucket": "b", "access_key_id": "a", "secret_access_key": "geheim-1", "session_token": "geheim-2"}
	a := newAdapter(t, given)
	for _, text := range []string{fmt.Sprint(a), fmt.Sprintf("%+v", a), fmt.Sprintf("%#v", a)} {
		if strings.Contains(text, "geheim") {
			t.Errorf("printed: %s", text)
		}
	}
	given["secret_access_key"] = 7
	given["access_key_id"], given["secret_access_key_file"] = "x", "geheim-3"
	if _, err := New(given, "t", "i"); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("error: %v", err)
	}
}

// The capability names the size above which bodies always go in parts.
func TestMinPartBytes(t *testing.T) {
	for name, c := range map[string]struct {
		given map[string]any
		want  int64
	}{
		"streamed":    {map[string]any{}, maxSinglePut},
		"signed":      {map[string]any{"endpoint": "http://127.0.0.1:1"}, 16 * mib},
		"large parts": {map[string]any{"multipart_threshold": "5MiB", "part_size": "8MiB"}, 8 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAdapter(t, with(c.given, map[string]any{"bucket": "b"}))
			if got := a.Describe().MinPartBytes; got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
