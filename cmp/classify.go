package cmp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode"
)

// judge says what one attempt's answer is: nil for the answer wanted, else an error
// with its class.
func judge(one *call, resp *http.Response, body []byte) error {
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

// classOf is the class of a status that is not a success.
func classOf(status int, body []byte) error {
	switch {
	case status == http.StatusUnauthorized:
		return ErrAuth
	case status == http.StatusForbidden:
		return ErrForbidden
	case status == http.StatusNotFound, status == http.StatusGone:
		return absence(body)
	case status == http.StatusTooManyRequests:
		return ErrThrottled
	case status == http.StatusRequestTimeout:
		return ErrTemporary
	case status >= 500:
		return ErrServer
	case status < 400:
		return ErrBadResponse // a redirect we did not ask for
	default:
		return ErrBadRequest
	}
}

// absence is the class of a 404 or 410: the API answers in JSON, a proxy with a page,
// and an empty or plain body may be of either.
func absence(body []byte) error {
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

// message takes the API's own words out of an error body: message, as documented,
// or the keys seen elsewhere. Other bodies give nothing: a page of HTML
// explains little and may hold anything.
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
	return shown(strings.Join(parts, ": "))
}

// shown makes text from outside fit for one line of an error.
func shown(s string) string {
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
