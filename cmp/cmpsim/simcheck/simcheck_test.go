package simcheck_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"damsync/cmp/cmpsim/simcheck"
)

// The checker must report what the real API refuses.
func TestRequestsAgainstTheDocument(t *testing.T) {
	c := simcheck.ForTest(t)
	for _, tc := range []struct {
		method, path, body string
		ok                 bool
	}{
		{"GET", "/v3/assets?page_size=100&type=image&type=video&modified_at__to=2026-01-01T00:00:00Z", "", true},
		{"GET", `/v3/assets?label=%7B%22group%22%3A%22a%22%2C%22values%22%3A%5B%22b%22%5D%7D`, "", true},
		{"GET", "/v3/assets?page_size=101", "", false},
		{"GET", "/v3/assets?offset=-1", "", false},
		{"GET", "/v3/assets?type=hologram", "", false},
		{"GET", "/v3/assets?modified_at__to=yesterday", "", false},
		{"GET", "/v3/assets?sort=title", "", false},
		{"GET", "/v3/assets/0123", "", false},
		{"GET", "/v3/images/0123", "", true},
		{"POST", "/v3/file-urls", `{"guids":["a"]}`, true},
		{"POST", "/v3/file-urls", `{"guids":[]}`, false},
		{"POST", "/v3/file-urls", `{"file_guids":["a"]}`, false},
		{"PATCH", "/v3/images/0123", `{"title":""}`, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), tc.method, tc.path, strings.NewReader(tc.body))
		if tc.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if err := c.Request(r); (err == nil) != tc.ok {
			t.Errorf("%s %s %s: %v", tc.method, tc.path, tc.body, err)
		}
	}
}

func TestResponsesAgainstTheDocument(t *testing.T) {
	c := simcheck.ForTest(t)
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v3/folders", nil)
	json := http.Header{"Content-Type": {"application/json"}}
	for body, ok := range map[string]bool{
		`{"data":[],"pagination":{"next":null,"previous":null}}`:                 true,
		`{"data":[],"pagination":{"next":null}}`:                                 false,
		`{"data":[],"pagination":{"next":null,"previous":null},"total_count":0}`: false,
		`{"data":[{"id":"x"}],"pagination":{"next":null,"previous":null}}`:       false,
		`<html></html>`: false,
	} {
		if err := c.Response(t.Context(), r, 200, json, []byte(body)); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := c.Response(t.Context(), r, 429, http.Header{"Content-Type": {"text/html"}}, []byte("slow down")); err != nil {
		t.Errorf("an undeclared status was validated: %v", err)
	}
}

// A client gets the same answers with and without the checker.
func TestRoundTripperPassesTrafficOn(t *testing.T) {
	c := simcheck.ForTest(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 16)
		n, _ := r.Body.Read(body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"urls":{},"got":"` + string(body[:n]) + `"}`))
	}))
	defer srv.Close()
	var problems []error
	client := &http.Client{Transport: c.RoundTripper(srv.Client().Transport, func(err error) { problems = append(problems, err) })}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/v3/file-urls", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got [64]byte
	n, _ := resp.Body.Read(got[:])
	if string(got[:n]) != `{"urls":{},"got":"{}"}` {
		t.Errorf("answer %q", got[:n])
	}
	if len(problems) != 2 {
		t.Errorf("%d problems, want one with the request and one with the answer: %v", len(problems), problems)
	}
}
