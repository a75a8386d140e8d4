package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// simulated is a simulated CMP in its own process, controlled through control_url.
type simulated struct {
	t *testing.T
	p *proc

	APIURL        string `json:"api_url"`
	AuthURL       string `json:"auth_url"`
	TokenURL      string `json:"token_url"`
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret"`
	WebhookSecret string `json:"webhook_secret"`
	ControlURL    string `json:"control_url"`
}

// M is a JSON object.
type M map[string]any

func simulate(t *testing.T, assets int) *simulated {
	t.Helper()
	s := &simulated{t: t}
	s.p = start(t, launch{args: []string{"simulate", "--listen", "127.0.0.1:0", "--assets", strconv.Itoa(assets), "--seed", "7"}})
	eventually(t, "simulate prints where it listens", func() error {
		line, _, ok := strings.Cut(s.p.stdout.String(), "\n")
		if !ok {
			return fmt.Errorf("no line yet; stderr: %s", s.p.stderr)
		}
		return json.Unmarshal([]byte(line), s)
	})
	s.post("/pace", M{"requests_per_second": 0}) // what does not test the pace need not wait for it
	return s
}

func (s *simulated) call(method, path string, body, into any) {
	s.t.Helper()
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.ControlURL+path, send)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("simulator: %s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		s.t.Fatalf("simulator: %s %s: %s %s %v", method, path, resp.Status, text, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("simulator: %s %s: %v in %s", method, path, err, text)
	}
}

func (s *simulated) post(path string, body any) {
	s.t.Helper()
	s.call(http.MethodPost, path, body, nil)
}

// edit edits the library and returns the id of the edited object.
func (s *simulated) edit(verb string, keys M) string {
	s.t.Helper()
	body := M{"verb": verb}
	for k, v := range keys {
		body[k] = v
	}
	var answer struct{ ID string }
	s.call(http.MethodPost, "/edit", body, &answer)
	return answer.ID
}

// add adds an approved image.
func (s *simulated) add(title, folder string) string {
	s.t.Helper()
	return s.edit("add_asset", M{"title": title, "folder": folder, "labels": approved()})
}

func approved() map[string][]string { return map[string][]string{"Status": {"Approved"}} }

func (s *simulated) fault(f M) { s.t.Helper(); s.post("/faults", f) }

func (s *simulated) noFaults() { s.t.Helper(); s.call(http.MethodDelete, "/faults", nil, nil) }

// truth is an asset as the library has it.
type truth struct {
	ID, Title, Type, Folder string
	Labels                  map[string][]string
	Archived                bool
	ExpiresAt               time.Time `json:"expires_at"`
	AltText                 string    `json:"alt_text"`
	SHA256                  string
	Size                    int64
	VersionID               string `json:"version_id"`
}

func (s *simulated) assets() []truth {
	s.t.Helper()
	var out []truth
	s.call(http.MethodGet, "/assets", nil, &out)
	return out
}

// wanted returns the assets that belong to the target of the tests.
func (s *simulated) wanted() map[string]truth {
	s.t.Helper()
	out := map[string]truth{}
	for _, a := range s.assets() {
		if a.belongs() {
			out[a.ID] = a
		}
	}
	return out
}

// belongs repeats the rule of the tests' target in Go.
func (a truth) belongs() bool {
	brand := a.Folder == "/Brand" || strings.HasPrefix(a.Folder, "/Brand/")
	status := false
	for _, v := range a.Labels["Status"] {
		status = status || v == "Approved"
	}
	expired := !a.ExpiresAt.IsZero() && !a.ExpiresAt.After(time.Now())
	return a.Type == "image" && brand && status && !a.Archived && !expired
}

// requests counts the requests whose path contains text.
func (s *simulated) requests(text string) int {
	s.t.Helper()
	var log []struct{ Path, Query string }
	s.call(http.MethodGet, "/requests", nil, &log)
	n := 0
	for _, r := range log {
		if strings.Contains(r.Path, text) {
			n++
		}
	}
	return n
}
