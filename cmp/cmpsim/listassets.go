package cmpsim

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (c *call) invalid(err error) {
	var bad *paramError
	if errors.As(err, &bad) {
		writeInvalid(c.w, bad.name, bad.problem)
		return
	}
	writeError(c.w, http.StatusBadRequest, err.Error())
}

// listAssets pages over the live list, newest modified first. Nothing holds the
// list still between two pages.
func (s *Simulator) listAssets(c *call) {
	w, err := parseWindow(c.q)
	if err != nil {
		c.invalid(err)
		return
	}
	body, err := s.renderList(c.q, w)
	if err != nil {
		c.invalid(err)
		return
	}
	writeRaw(c.w, http.StatusOK, body)
}

func (s *Simulator) renderList(q url.Values, w window) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	f, err := s.lib.parseFilter(q, s.behavior.ExclusiveTimes)
	if err != nil {
		return nil, err
	}
	total, rows := s.lib.find(f, w)
	b := append(make([]byte, 0, len(rows)*1400+600), `{"data":[`...)
	row := s.rowWriter()
	for i, a := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = row.append(b, a)
	}
	b = append(b, `],"pagination":`...)
	links, err := json.Marshal(w.links(s.urls.APIURL+"/assets", q, total))
	if err != nil {
		return nil, err
	}
	b = append(append(b, links...), `,"total_count":`...)
	b = append(b, itoa(int64(total))...)
	return append(b, '}'), nil
}

// rowWriter renders list rows by hand: a page of 100 costs some hundred
// microseconds, so that the simulator is never what a measurement measures.
type rowWriter struct {
	s       *Simulator
	expires int64
	paths   map[*folder][]byte
	labels  map[*pick][]byte
}

func (s *Simulator) rowWriter() *rowWriter {
	return &rowWriter{
		s: s, expires: s.opts.Now().Add(downloadLifetime).Unix(),
		paths: map[*folder][]byte{}, labels: map[*pick][]byte{},
	}
}

func (rw *rowWriter) append(b []byte, a *asset) []byte {
	s, about := rw.s, a.kind.about()
	b = append(b, `{"id":`...)
	b = appendString(b, a.id)
	b = append(b, `,"title":`...)
	b = appendString(b, a.title)
	b = append(b, `,"type":"`...)
	b = append(b, about.name...)
	b = append(b, `","mime_type":"`...)
	b = append(b, a.format.mime...)
	b = append(b, `","file_extension":`...)
	b = appendNullable(b, a.format.ext)
	b = append(b, `,"created_at":"`...)
	b = time.Unix(a.created, 0).UTC().AppendFormat(b, time.RFC3339)
	b = append(b, `","modified_at":"`...)
	b = time.Unix(a.modified, 0).UTC().AppendFormat(b, time.RFC3339)
	b = append(b, `","folder_id":`...)
	b = appendNullable(b, folderID(a.folder))
	b = append(b, `,"file_location":`...)
	b = append(b, rw.path(a.folder)...)
	b = append(b, `,"is_archived":`...)
	b = appendBool(b, a.archived)
	b = append(b, `,"content":{"type":"`...)
	b = append(b, about.contentType...)
	b = append(b, `","value":`...)
	b = appendString(b, s.contentValue(a, rw.expires))
	b = append(b, `},"labels":`...)
	b = append(b, rw.labelText(a.labels)...)
	b = append(b, `,"links":{"self":"`...)
	b = append(b, s.selfURL(a)...)
	b = append(b, `"},"owner_organization_id":"`...)
	b = append(b, s.lib.ownerOrg...)
	b = append(b, `","thumbnail_url":`...)
	b = appendNullable(b, s.thumbnailURL(a))
	return append(b, '}')
}

func folderID(f *folder) string {
	if f == nil {
		return ""
	}
	return f.id
}

func (rw *rowWriter) path(f *folder) []byte {
	p, ok := rw.paths[f]
	if !ok {
		p = appendString(nil, f.path())
		rw.paths[f] = p
	}
	return p
}

// labelText renders labels once for all assets that share the same slice.
func (rw *rowWriter) labelText(picks []pick) []byte {
	if len(picks) == 0 {
		return []byte("[]")
	}
	t, ok := rw.labels[&picks[0]]
	if !ok {
		t, _ = json.Marshal(labelsJSON(picks)) // strings only
		rw.labels[&picks[0]] = t
	}
	return t
}

func appendNullable(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

// appendString quotes s as JSON.
func appendString(b []byte, s string) []byte {
	plain := strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f || c == '"' || c == '\\' }) < 0
	if plain {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	q, _ := json.Marshal(s) // a string always has a form
	return append(b, q...)
}
