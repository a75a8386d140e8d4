package store

import (
	"bytes"
	"encoding/json"
	"strings"

	"damsync/internal/library"
)

// cleanText makes s storable. PostgreSQL's text accepts neither NUL nor invalid UTF-8, and one odd title must not
// stop a page.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func cleanAsset(a library.Asset) library.Asset {
	for _, s := range []*string{&a.ID, &a.Type, &a.Title, &a.MIMEType, &a.FileExtension, &a.FolderID, &a.FileLocation, &a.OwnerOrganizationID, &a.Self} {
		*s = cleanText(*s)
	}
	a.Labels = cleanLabels(a.Labels)
	return a
}

// cleanLabels returns a copy and leaves the caller's slices alone.
func cleanLabels(in []library.Label) []library.Label {
	out := make([]library.Label, len(in))
	for i, l := range in {
		values := make([]library.Named, len(l.Values))
		for j, v := range l.Values {
			values[j] = cleanNamed(v)
		}
		out[i] = library.Label{Group: cleanNamed(l.Group), Values: values}
	}
	return out
}

func cleanNamed(n library.Named) library.Named {
	return library.Named{ID: cleanText(n.ID), Name: cleanText(n.Name)}
}

// cleanJSON makes raw storable as jsonb, which rejects escaped NULs and lone surrogates that JSON allows. Text
// without such escapes stays as it is.
func cleanJSON(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "null"
	}
	if !hasOddEscape(raw) {
		return cleanText(string(raw))
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "null"
	}
	text, err := json.Marshal(cleanValue(value)) // decoding turned lone surrogates into U+FFFD
	if err != nil {
		return "null"
	}
	return string(text)
}

// hasOddEscape reports whether raw escapes NUL or a surrogate, lone or paired.
func hasOddEscape(raw []byte) bool {
	for {
		i := bytes.Index(raw, []byte(`\u`))
		if i < 0 {
			return false
		}
		raw = raw[i+2:]
		if bytes.HasPrefix(raw, []byte("0000")) || bytes.HasPrefix(raw, []byte("d")) || bytes.HasPrefix(raw, []byte("D")) {
			return true
		}
	}
}

func cleanValue(value any) any {
	switch v := value.(type) {
	case string:
		return cleanText(v)
	case []any:
		for i := range v {
			v[i] = cleanValue(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[cleanText(key)] = cleanValue(item)
		}
		return out
	}
	return value
}
