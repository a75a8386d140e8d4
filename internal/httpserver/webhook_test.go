package httpserver

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/internal/secret"
)

func TestWebhookAnswers(t *testing.T) {
	right := []string{"Callback-Secret", callbackSecret}
	tests := map[string]struct {
		body    io.Reader
		header  []string
		status  int
		outcome Outcome
		stored  int
	}{
		"library event is stored":                      {strings.NewReader(library), right, 202, Stored, 1},
		"task event is stored and ignored":             {strings.NewReader(task), right, 202, Ignored, 1},
		"unknown event is stored and ignored":          {strings.NewReader(`{"event_name":"x","data":{"new":1},"more":[]}`), right, 202, Ignored, 1},
		"chunked body is stored":                       {chunked{strings.NewReader(library)}, right, 202, Stored, 1},
		"header name may have any case":                {strings.NewReader(library), []string{"cALLBACK-sECRET", callbackSecret}, 202, Stored, 1},
		"256 KiB are accepted":                         {strings.NewReader(sized(256 << 10)), right, 202, Stored, 1},
		"more than 256 KiB are rejected":               {strings.NewReader(sized(256<<10 + 1)), right, 413, TooLarge, 0},
		"256 KiB in chunks are accepted":               {chunked{strings.NewReader(sized(256 << 10))}, right, 202, Stored, 1},
		"more than 256 KiB in chunks are rejected":     {chunked{strings.NewReader(sized(256<<10 + 1))}, right, 413, TooLarge, 0},
		"missing secret is rejected":                   {strings.NewReader(library), nil, 401, Unauthorized, 0},
		"wrong secret is rejected":                     {strings.NewReader(library), []string{"Callback-Secret", callbackSecret + "x"}, 401, Unauthorized, 0},
		"prefix of the secret is rejected":             {strings.NewReader(library), []string{"Callback-Secret", callbackSecret[:5]}, 401, Unauthorized, 0},
		"empty secret is rejected":                     {strings.NewReader(library), []string{"Callback-Secret", ""}, 401, Unauthorized, 0},
		"repeated secret is rejected":                  {strings.NewReader(library), []string{"Callback-Secret", callbackSecret, "Callback-Secret", callbackSecret}, 401, Unauthorized, 0},
		"right and wrong secret are rejected":          {strings.NewReader(library), []string{"Callback-Secret", callbackSecret, "Callback-Secret", "x"}, 401, Unauthorized, 0},
		"repeated header in two spellings is rejected": {strings.NewReader(library), []string{"Callback-Secret", callbackSecret, "callback-secret", "x"}, 401, Unauthorized, 0},
		"secret is checked before the size":            {strings.NewReader(sized(1 << 20)), nil, 401, Unauthorized, 0},
		"secret is checked before the syntax":          {strings.NewReader("x"), nil, 401, Unauthorized, 0},
		"body without JSON is rejected":                {strings.NewReader("event=asset_added"), right, 400, Malformed, 0},
		"JSON array is stored and ignored":             {strings.NewReader("[1]"), right, 202, Ignored, 1},
		"JSON null is stored and ignored":              {strings.NewReader("null"), right, 202, Ignored, 1},
		"empty body is rejected":                       {strings.NewReader(""), right, 400, Malformed, 0},
		"trailing comma is rejected":                   {strings.NewReader(`{"event_name":"asset_added",}`), right, 400, Malformed, 0},
		"text after the JSON is rejected":              {strings.NewReader(library + "x"), right, 400, Malformed, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			resp := r.post(t, tt.body, tt.header...)
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if diff := gocmp.Diff(map[Outcome]int{tt.outcome: 1}, r.counts); diff != "" {
				t.Error(diff)
			}
			if len(r.events) != tt.stored {
				t.Errorf("stored %d events", len(r.events))
			}
			if log := r.log.String(); strings.Contains(log, "hunter2") || strings.Contains(log, "asset_added") || !strings.Contains(log, `"path":"/webhooks/cmp"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// TestEventIsStoredWhole also covers events about no library asset, which are
// stored without an asset id.
func TestEventIsStoredWhole(t *testing.T) {
	r := start(t, nil)
	const taskAsset = `{"event_name":"task_asset_modified","data":{"task":{"id":"t1"},"asset":{"id":"ta"}}}`
	for _, body := range []string{library, taskAsset, "[1]"} {
		r.post(t, strings.NewReader(body), "Callback-Secret", callbackSecret)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	want := []InboxEvent{{
		Name: "asset_added", AssetID: "a1", AssetType: "image", Self: "https://api.example/images/a1",
		SourceTask: "t1", Body: []byte(library),
	}, {Name: "task_asset_modified", Body: []byte(taskAsset)}, {Body: []byte("[1]")}}
	if diff := gocmp.Diff(want, r.events); diff != "" {
		t.Error(diff)
	}
}

func TestNoConfiguredSecretRejectsAll(t *testing.T) {
	r := start(t, func(o *Options) { o.WebhookSecret = secret.New("") })
	for _, header := range [][]string{nil, {"Callback-Secret", ""}, {"Callback-Secret", "x"}} {
		if resp := r.post(t, strings.NewReader(library), header...); resp.StatusCode != 401 {
			t.Errorf("%v: status %d", header, resp.StatusCode)
		}
	}
}

func TestEventThatCannotBeStored(t *testing.T) {
	tests := map[string]func(context.Context, InboxEvent) error{
		"store fails": func(context.Context, InboxEvent) error { return errors.New("database is gone") },
		"store times out": func(ctx context.Context, _ InboxEvent) error {
			<-ctx.Done()
			return ctx.Err()
		},
	}
	for name, store := range tests {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(o *Options) { o.Inbox, o.StoreTimeout = inbox(store), 20*time.Millisecond })
			resp := r.post(t, strings.NewReader(library), "Callback-Secret", callbackSecret)
			text, _ := io.ReadAll(resp.Body) // from memory
			if resp.StatusCode != 503 || strings.Contains(string(text), "database") {
				t.Errorf("status %d: %s", resp.StatusCode, text)
			}
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			if r.counts[StoreFailed] != 1 {
				t.Errorf("counts %v", r.counts)
			}
			if log := r.log.String(); !strings.Contains(log, `"asset_id":"a1"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestTooManyAtOnce(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := start(t, func(o *Options) {
		o.MaxConcurrent = 1
		o.Inbox = inbox(func(context.Context, InboxEvent) error {
			entered <- struct{}{}
			<-release
			return nil
		})
	})
	first := make(chan int)
	go func() { first <- r.post(t, strings.NewReader(library), "Callback-Secret", callbackSecret).StatusCode }()
	<-entered
	if resp := r.post(t, strings.NewReader(library), "Callback-Secret", callbackSecret); resp.StatusCode != 503 {
		t.Errorf("second: %d", resp.StatusCode)
	}
	if resp := r.post(t, strings.NewReader(library)); resp.StatusCode != 401 {
		t.Errorf("without the secret: %d", resp.StatusCode)
	}
	if status, _ := get(t, r.url+"/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	close(release)
	if status := <-first; status != 202 {
		t.Errorf("first: %d", status)
	}
}
