package cmp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// stable returns raw, a JSON value, in a form that is the same for every reading of an
// unchanged asset and holds no download token. Keys are sorted; numbers keep their
// text. The strings at the paths in volatile ("key" or "key.key") become "", URLs lose
// query and fragment, and tokens inside longer texts are removed. Text that people
// write, such as titles and descriptions, keeps its URLs: there a query is content.
func stable(raw []byte, volatile ...string) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	for _, path := range volatile {
		blank(v, strings.Split(path, "."))
	}
	out, err := json.Marshal(scrub(v, ""))
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return out, nil
}

// blank empties the strings at path below v. Like encoding/json, it ignores the case of
// keys.
func blank(v any, path []string) {
	object, ok := v.(map[string]any)
	if !ok {
		return
	}
	for key, member := range object {
		if !strings.EqualFold(key, path[0]) {
			continue
		}
		if len(path) > 1 {
			blank(member, path[1:])
		} else if _, ok := member.(string); ok {
			object[key] = ""
		}
	}
}

// scrub removes the tokens from v, the value of key.
func scrub(v any, key string) any {
	switch v := v.(type) {
	case map[string]any:
		for k, member := range v {
			v[k] = scrub(member, k)
		}
	case []any:
		for i, element := range v {
			v[i] = scrub(element, key)
		}
	case string:
		if isURL(v) && !isProse(key) {
			return redactQuery(v)
		}
		return withoutTokens(v)
	}
	return v
}

// isProse reports whether people write the values of key.
func isProse(key string) bool {
	switch key {
	case "title", "name", "description", "alt_text", "attribution_text", "caption", "file_location":
		return true
	}
	return false
}

func isURL(s string) bool {
	head := strings.ToLower(s[:min(len(s), len("https://"))])
	return head == "https://" || strings.HasPrefix(head, "http://")
}

// withoutTokens empties every token=… in a text.
func withoutTokens(s string) string {
	const mark = "token="
	if !strings.Contains(s, mark) {
		return s
	}
	var out strings.Builder
	for {
		i := strings.Index(s, mark)
		if i < 0 {
			break
		}
		i += len(mark)
		out.WriteString(s[:i])
		s = strings.TrimLeftFunc(s[i:], func(r rune) bool { return !strings.ContainsRune("&\"'<> \t\r\n\\)", r) })
	}
	out.WriteString(s)
	return out.String()
}
