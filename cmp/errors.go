package cmp

import (
	"fmt"
)

// The classes of error, for errors.Is. ErrTemporary is the umbrella over those
// that may pass when the same call is made again later.
var (
	// ErrTemporary: the call may succeed later. It covers ErrThrottled, ErrServer,
	// ErrBadResponse, ErrExpiredURL, time-outs and dropped connections.
	ErrTemporary error = &class{text: "temporary failure"}
	// ErrNotFound: the API itself said 404 or 410, in JSON. One in HTML proves nothing
	// and is ErrBadResponse.
	ErrNotFound error = &class{text: "not found"}
	// ErrBareNotFound: 404 or 410 with an empty or plain body, which something in front
	// of the API may have said as well. It proves nothing by itself.
	ErrBareNotFound error = &class{text: "not found, without a word of the API"}
	// ErrForbidden: 403, an answer of the CMP's access control.
	ErrForbidden error = &class{text: "forbidden"}
	// ErrAuth: the login or the bearer was refused.
	ErrAuth error = &class{text: "not authorized"}
	// ErrBadRequest: the API does not accept the request (400, 422 and other 4xx).
	ErrBadRequest error = &class{text: "bad request"}
	// ErrThrottled: 429.
	ErrThrottled error = &class{text: "throttled", temporary: true}
	// ErrServer: 5xx.
	ErrServer error = &class{text: "server error", temporary: true}
	// ErrBadResponse: what came back is not an answer of the API: cut, HTML, not
	// JSON, without the parts it must have. Nothing may be inferred from it.
	ErrBadResponse error = &class{text: "bad response", temporary: true}
	// ErrExpiredURL: the download host refused the URL; a fresh one may work.
	ErrExpiredURL error = &class{text: "download URL expired", temporary: true}
	// ErrForeignHost: a link leads away from the configured API host. It was not
	// followed, since the bearer goes to no other host.
	ErrForeignHost error = &class{text: "link to a foreign host"}
)

type class struct {
	text      string
	temporary bool
}

func (c *class) Error() string { return c.text }

// Is makes the retryable classes match the umbrella.
func (c *class) Is(target error) bool { return c.temporary && target == ErrTemporary }

// APIError is an answer of the API, or of something in front of it, that is not
// a success. errors.Is finds its class.
type APIError struct {
	Op      string // what was being done, such as "list assets"
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

// RowError is one row of a page that could not be read. The rest of the page
// stands, but the page is not complete.
type RowError struct {
	Index  int    // place in the page, from 0
	ID     string // empty when the row has none
	Reason string
}

func (e RowError) Error() string {
	return fmt.Sprintf("row %d (id %q): %s", e.Index, e.ID, e.Reason)
}
