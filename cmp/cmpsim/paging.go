package cmpsim

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The documented page sizes (facts.md 4.1).
const (
	defaultPageSize = 10
	maxPageSize     = 100
)

// window is the part of a list that a request asks for.
type window struct{ offset, size int }

func parseWindow(query url.Values) (window, error) {
	w := window{0, defaultPageSize}
	if query.Has("offset") {
		n, err := strconv.Atoi(query.Get("offset"))
		if err != nil || n < 0 {
			return w, &paramError{"offset", "must be an integer of at least 0"}
		}
		w.offset = n
	}
	if query.Has("page_size") {
		n, err := strconv.Atoi(query.Get("page_size"))
		if err != nil || n < 1 || n > maxPageSize {
			return w, &paramError{"page_size", "must be an integer from 1 to 100"}
		}
		w.size = n
	}
	return w, nil
}

// cut returns the bounds of the window in a list of n entries.
func (w window) cut(n int) (from, to int) {
	from = min(w.offset, n)
	return from, min(from+w.size, n)
}

type pagination struct {
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
}

// links returns the absolute URLs of the neighboring pages in a list of n entries. They repeat the
// request's other parameters.
func (w window) links(base string, query url.Values, n int) pagination {
	at := func(offset int) *string {
		q := maps.Clone(query)
		q.Set("offset", strconv.Itoa(offset))
		q.Set("page_size", strconv.Itoa(w.size))
		u := base + "?" + q.Encode()
		return &u
	}
	var p pagination
	if w.offset+w.size < n {
		p.Next = at(w.offset + w.size)
	}
	if w.offset > 0 {
		p.Previous = at(max(w.offset-w.size, 0))
	}
	return p
}

// page is one page of a list.
type page[T any] struct {
	Data       []T        `json:"data"`
	Pagination pagination `json:"pagination"`
	TotalCount *int       `json:"total_count,omitempty"` // GET /assets only (facts.md 4.1)
}

// pageOf returns the page of all that a request asks for.
func pageOf[T any](c *call, api string, all []T) (reply, error) {
	w, err := parseWindow(c.query)
	if err != nil {
		return reply{}, err
	}
	from, to := w.cut(len(all))
	base := api + strings.TrimPrefix(c.r.URL.Path, "/v3")
	out := page[T]{Data: append([]T{}, all[from:to]...), Pagination: w.links(base, c.query, len(all))}
	return reply{status: http.StatusOK, body: out}, nil
}
