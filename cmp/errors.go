package cmp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode"
)

// The error classes, for errors.Is.
var (
	// ErrTemporary covers all failures that may pass when the same call is made again
	// later: ErrThrottled, ErrServer, ErrBadResponse, ErrExpiredURL, timeouts and dropped
	// connections.
	ErrTemporary error = &errorClass{text: "temporary failure"}
	// ErrNotFound is a 404 or 410 of the API itself, in JSON. One in HTML proves nothing
	// and is ErrBadResponse.
	ErrNotFound error = &errorClass{text: "not found"}
	// ErrBareNotFound is a 404 or 410 with an empty or plain body, which may come from a
	// proxy in front of the API. It proves nothing by itself.
	ErrBareNotFound error = &errorClass{text: "not found, without an answer of the API"}
	// ErrForbidden is a 403, an answer of the CMP's access control.
	ErrForbidden error = &errorClass{text: "forbidden"}
	// ErrAuth means that the login or the bearer was rejected.
	ErrAuth error = &errorClass{text: "not authorized"}
	// ErrBadRequest means that the API does not accept the request: 400, 422 and other 4xx.
	ErrBadRequest error = &errorClass{text: "bad request"}
	// ErrThrottled is a 429.
	ErrThrottled error = &errorClass{text: "throttled", temporary: true}
	// ErrServer is a 5xx.
	ErrServer error = &errorClass{text: "server error", temporary: true}
	// ErrBadResponse is a response that is no answer of the API: truncated, HTML, not JSON,
	// or without its required parts. Infer nothing from it.
	ErrBadResponse error = &errorClass{text: "bad response", temporary: true}
	// ErrExpiredURL means that the download host rejected the URL; a fresh one may work.
	ErrExpiredURL error = &errorClass{text: "download URL expired", temporary: true}
	// ErrForeignHost is a link to another host than the configured API host. It was not
	// followed, since the bearer goes to no other host.
	ErrForeignHost error = &errorClass{text: "link to a foreign host"}
)

type errorClass struct {
	text      string
	temporary bool
}

func (c *errorClass) Error() string { return c.text }

// Is makes the temporary classes match ErrTemporary.
func (c *errorClass) Is(target error) bool { return c.temporary && target == ErrTemporary }

// APIError is an answer that is not a success, from the API or from a proxy in front
// of it. errors.Is finds its class.
type APIError struct {
	Op      string // the operation, such as "list assets"
	Status  int    // HTTP status
	Message string // the API's own words, shortened; may be empty
	class   error
}

func (e *APIError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s: %v (status %d)", e.Op, e.class, e.Status)
	}
	return fmt.Sprintf("%s: %v (status %d): %s", e.Op, e.class, e.Status, e.Message)
}

// Unwrap returns the class.
func (e *APIError) Unwrap() error { return e.class }

// RowError is one row of a page that could not be read. The other rows are valid, but
// the page is not complete.
type RowError struct {
	Index  int    // position in the page, from 0
	ID     string // empty when the row has none
	Reason string
}

func (e RowError) Error() string {
	return fmt.Sprintf("row %d (id %q): %s", e.Index, e.ID, e.Reason)
}

// classify returns nil when the answer is the one that the call expects, and otherwise
// an error with its class.
func classify(one *call, resp *http.Response, body []byte) error {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && one.redirect:
		return nil
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		if err := one.accept(body); err != nil {
			return fmt.Errorf("%w: %w", ErrBadResponse, err)
		}
		return nil
	}
	return &APIError{Op: one.op, Status: resp.StatusCode, Message: message(body), class: classOf(resp.StatusCode, body)}
}

// classOf returns the class of a status that is not a success.
func classOf(status int, body []byte) error {
	switch {
	case status == http.StatusUnauthorized:
		return ErrAuth
	case status == http.StatusForbidden:
		return ErrForbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		return notFoundClass(body)
	case status == http.StatusTooManyRequests:
		return ErrThrottled
	case status == http.StatusRequestTimeout:
		return ErrTemporary
	case status >= 500:
		return ErrServer
	case status < 400:
		return ErrBadResponse // a redirect that the call did not expect
	default:
		return ErrBadRequest
	}
}

// notFoundClass returns the class of a 404 or 410. The API answers in JSON and a proxy
// with a page; an empty or plain body may come from either.
func notFoundClass(body []byte) error {
	body = bytes.TrimSpace(body)
	switch {
	case json.Valid(body) && isObject(body):
		return ErrNotFound
	case bytes.HasPrefix(body, []byte("<")), bytes.HasPrefix(body, []byte("{")):
		return ErrBadResponse
	default:
		return ErrBareNotFound
	}
}

// message extracts the API's own words from an error body: the documented message, or
// the keys seen elsewhere. It returns "" for other bodies: a page of HTML explains little
// and may contain anything.
func message(body []byte) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(body, &m) != nil {
		return ""
	}
	var parts []string
	for _, key := range []string{"error", "error_description", "message", "detail"} {
		var s string
		if json.Unmarshal(m[key], &s) == nil && s != "" {
			parts = append(parts, s)
		}
	}
	return printable(strings.Join(parts, ": "))
}

// printable makes text from outside fit for one line of an error.
func printable(s string) string {
	const limit = 300
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
	if runes := []rune(s); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return s
}
