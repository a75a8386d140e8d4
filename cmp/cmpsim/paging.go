package cmpsim

import (
	"fmt"
	"net/url"
	"strconv"
)

const (
	defaultPageSize = 10
	maxPageSize     = 100
)

// window is the slice of a list a request asks for.
type window struct{ offset, size int }

// paramError is a parameter the document does not allow.
type paramError struct{ name, problem string }

func (b *paramError) Error() string { return fmt.Sprintf("%s: %s", b.name, b.problem) }

func parseWindow(q url.Values) (window, error) {
	w := window{0, defaultPageSize}
	if q.Has("offset") {
		n, err := strconv.Atoi(q.Get("offset"))
		if err != nil || n < 0 {
			return w, &paramError{"offset", "must be an integer of at least 0"}
		}
		w.offset = n
	}
	if q.Has("page_size") {
		n, err := strconv.Atoi(q.Get("page_size"))
		if err != nil || n < 1 || n > maxPageSize {
			return w, &paramError{"page_size", "must be an integer from 1 to 100"}
		}
		w.size = n
	}
	return w, nil
}

// cut returns the part of a list of n entries that w asks for.
func (w window) cut(n int) (from, to int) {
	from = min(w.offset, n)
	return from, min(from+w.size, n)
}

type pagination struct {
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
}

// links makes the absolute URLs of the pages beside w in a list of n entries.
// They repeat the request's other parameters.
func (w window) links(base string, q url.Values, n int) pagination {
	at := func(offset int) *string {
		v := url.Values{}
		for k, vs := range q {
			v[k] = vs
		}
		v.Set("offset", strconv.Itoa(offset))
		v.Set("page_size", strconv.Itoa(w.size))
		u := base + "?" + v.Encode()
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

// page answers one page of a small list.
func page[T any](s *Simulator, c *call, all []T) {
	w, err := parseWindow(c.q)
	if err != nil {
		c.invalid(err)
		return
	}
	from, to := w.cut(len(all))
	base := s.Endpoints().APIURL + c.r.URL.Path[len("/v3"):]
	writeJSON(c.w, 200, map[string]any{
		"data": append([]T{}, all[from:to]...), "pagination": w.links(base, c.q, len(all)),
	})
}
