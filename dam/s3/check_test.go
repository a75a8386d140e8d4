package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/s3/s3test"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// needs returns what an error says is missing.
func needs(err error) []dam.Need {
	var all []dam.Need
	var walk func(error)
	walk = func(err error) {
		var denied *dam.Denied
		if joined, ok := err.(interface{ Unwrap() []error }); ok && !errors.As(err, new(*dam.Conflict)) {
			if d, is := err.(*dam.Denied); is {
				all = append(all, d.Need)
				return
			}
			for _, e := range joined.Unwrap() {
				walk(e)
			}
			return
		}
		if errors.As(err, &denied) {
			walk(errors.Unwrap(err))
		}
	}
	walk(err)
	return all
}

// Check names what is wrong with the configuration, and what to change.
func TestCheckNamesWhatIsWrong(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "here")
	for name, c := range map[string]struct {
		change map[string]any
		need   dam.Need
		advice string
	}{
		"wrong key":    {map[string]any{"access_key_id": "nobody"}, dam.NeedCredentials, "access_key_id"},
		"wrong secret": {map[string]any{"secret_access_key": "guess"}, dam.NeedCredentials, "secret_access_key"},
		"no bucket":    {map[string]any{"bucket": "nowhere"}, dam.NeedContainer, "create bucket nowhere"},
		"wrong region": {map[string]any{"region": "eu-north-1"}, dam.NeedRegion, "set region"},
		"no TLS":       {map[string]any{"endpoint": strings.Replace(server.Endpoint, "http:", "https:", 1)}, dam.NeedRegion, "http://"},
		"no S3 (404)":  {map[string]any{"endpoint": noS3(t, http.StatusNotFound)}, dam.NeedRegion, "no S3 server"},
		"no S3 (200)":  {map[string]any{"endpoint": noS3(t, http.StatusOK)}, dam.NeedRegion, "no S3 server"},
		"no secret file": {
			map[string]any{"secret_access_key": nil, "secret_access_key_file": "/nonexistent/secret"}, dam.NeedCredentials, "secret_access_key_file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			given := with(server.Options(bucket), c.change)
			for key, value := range given {
				if value == nil {
					delete(given, key)
				}
			}
			err := newAdapter(t, given).Check(t.Context(), false)
			if got := needs(err); len(got) != 1 || got[0] != c.need || !strings.Contains(fmt.Sprint(err), c.advice) {
				t.Errorf("needs %q, want %q with advice %q; error: %v", got, c.need, c.advice, err)
			}
			if dam.Classify(err) != dam.ClassAuth {
				t.Errorf("class %q", dam.Classify(err))
			}
			if strings.Contains(fmt.Sprint(err), s3test.SecretKey) {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
}

// noS3 starts a web server that does not speak S3.
func noS3(t *testing.T, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><head><meta charset=utf-8></head></html>") // a client that went away
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Check names every permission that a policy does not give.
func TestCheckNamesPermissions(t *testing.T) {
	server := s3test.Start(t)
	server.Account(t, "worker", "worker-secret")
	all := []string{"s3:ListBucket", "s3:GetBucketVersioning", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"}
	for i, c := range []struct {
		without []string
		want    []dam.Need
	}{
		{nil, nil},
		{[]string{"s3:PutObject"}, []dam.Need{dam.NeedWrite}},
		{[]string{"s3:ListBucket"}, []dam.Need{dam.NeedList}},
		{[]string{"s3:DeleteObject"}, []dam.Need{dam.NeedDelete}},
		{[]string{"s3:GetObject"}, []dam.Need{dam.NeedRead}},
		{[]string{"s3:GetObject", "s3:PutObject"}, []dam.Need{dam.NeedRead, dam.NeedWrite}},
		{[]string{"s3:ListBucket", "s3:PutObject"}, []dam.Need{dam.NeedList, dam.NeedWrite}},
	} {
		t.Run(fmt.Sprintf("without %v it needs %v", c.without, c.want), func(t *testing.T) {
			bucket := server.Bucket(t, fmt.Sprintf("bucket-%d", i))
			allow(t, server, bucket, "worker", all, c.without)
			a := newAdapter(t, with(server.Options(bucket), map[string]any{
				"access_key_id": "worker", "secret_access_key": "worker-secret",
			}))
			err := a.Check(t.Context(), false)
			if got := needs(err); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("needs %q, want %q; error: %v", got, c.want, err)
			}
		})
	}
}

// Tags need a permission of their own. Check distinguishes a server that rejects uploads with tags
// from one that rejects all uploads.
func TestCheckNamesPermissionToTag(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "tagged")
	refused := func(tagged bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost || tagged && r.Header.Get("X-Amz-Tagging") == "" {
				return true
			}
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
			return false
		}
	}
	for name, c := range map[string]struct {
		tags      []any
		interfere func(http.ResponseWriter, *http.Request) bool
		want      []dam.Need
	}{
		"names the permission to tag":   {[]any{"alt"}, refused(true), []dam.Need{dam.NeedTag}},
		"needs none without tags":       {nil, refused(true), nil},
		"names the permission to write": {[]any{"alt"}, refused(false), []dam.Need{dam.NeedWrite}},
		"succeeds with all permissions": {[]any{"alt"}, func(http.ResponseWriter, *http.Request) bool { return true }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			options := map[string]any{}
			if c.tags != nil {
				options["tags"] = c.tags
			}
			err := through(t, server, bucket, options, c.interfere).Check(t.Context(), false)
			if got := needs(err); fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("needs %q, want %q; error: %v", got, c.want, err)
			}
			if slices.Contains(c.want, dam.NeedTag) && !strings.Contains(fmt.Sprint(err), "s3:PutObjectTagging") {
				t.Errorf("no advice: %v", err)
			}
		})
	}
}

// allow lets an account do all actions that are not in without.
func allow(t *testing.T, server *s3test.Server, bucket, account string, all, without []string) {
	t.Helper()
	var actions []string
	for _, action := range all {
		if !strings.Contains(fmt.Sprint(without), action) {
			actions = append(actions, fmt.Sprintf("%q", action))
		}
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[%q]},
		"Action":[%s],"Resource":["arn:aws:s3:::%s","arn:aws:s3:::%s/*"]}]}`, account, strings.Join(actions, ","), bucket, bucket)
	if _, err := server.Client().PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
}

// Check notices an emptied bucket, and leaves nothing in a new one.
func TestCheckOfAnEmptyBucket(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket(t, "empty")
	a := newAdapter(t, with(server.Options(bucket), map[string]any{"prefix": "a/b", "tags": []any{"alt"}}))
	if err := a.Check(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := a.Check(t.Context(), true); dam.Classify(err) != dam.ClassUnavailable || !strings.Contains(err.Error(), "emptied") {
		t.Errorf("a populated target found empty: %v", err)
	}
	out, err := server.Client().ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &bucket})
	if err != nil || len(out.Versions)+len(out.DeleteMarkers) != 0 {
		t.Errorf("check left %d versions, %d delete markers; error: %v", len(out.Versions), len(out.DeleteMarkers), err)
	}
	uploads, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil || len(uploads.Uploads) != 0 {
		t.Errorf("check left uploads: %v, %v", uploads.Uploads, err)
	}
}

func TestCheckWithoutAServer(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!doctype html><html>It works!</html>"))
	}))
	defer page.Close()
	for name, c := range map[string]struct {
		endpoint string
		class    dam.Class
	}{
		"a closed port is unavailable":      {gone.URL, dam.ClassUnavailable},
		"a page that is no S3 is temporary": {page.URL, dam.ClassTemporary},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAdapter(t, map[string]any{
				"bucket": "b", "endpoint": c.endpoint, "path_style": true, "access_key_id": "a", "secret_access_key": "s",
			})
			if err := a.Check(t.Context(), false); dam.Classify(err) != c.class {
				t.Errorf("class %q, want %q; error: %v", dam.Classify(err), c.class, err)
			}
		})
	}
}
