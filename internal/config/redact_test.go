package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"
)

func TestSecretsNeverShow(t *testing.T) {
	c := parse(t, `
cmp: {client_id: id, client_secret: hunter2}
webhook: {secret: "${W}"}
database: {url: "postgres://u:hunter2@h/d"}
targets:
  - name: a
    adapter: filesystem
    options:
      root: /srv
      key_from: ${W}
      secret_access_key: hunter2
      nested: [{password: hunter2}]
`, "W", "hunter2")
	asYAML, err := yaml.Marshal(c.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Debug().Interface("config", c.Redacted()).Msg("configuration")
	for _, dump := range []string{string(asYAML), string(asJSON), log.String(), fmt.Sprintf("%v %+v", c.Redacted(), c.CMP)} {
		if strings.Contains(dump, "hunter2") {
			t.Errorf("secret shown:\n%s", dump)
		}
		if !strings.Contains(dump, "[secret]") || !strings.Contains(dump, "id") {
			t.Errorf("not a dump:\n%s", dump)
		}
	}
	if !strings.Contains(string(asYAML), "key_from: ${W}") {
		t.Errorf("option lost its reference:\n%s", asYAML)
	}
}

func TestDumpHasEveryKey(t *testing.T) {
	document := []byte(minimal + "targets: [{name: a, adapter: filesystem}]")
	d := newDecoder("c", document, nil)
	root, _ := d.document()
	c := defaults()
	d.config(root, c)
	for _, path := range d.keys {
		var at any = c.Redacted()
		for key := range strings.FieldsFuncSeq(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
			if list, ok := at.([]any); ok {
				at = list[0]
				continue
			}
			inner, ok := at.(map[string]any)[key]
			if !ok && !strings.HasSuffix(key, "_file") {
				t.Errorf("dump lacks %s", path)
			}
			at = inner
		}
	}
}

// Problems never show the contents of variables or secret files.
func TestProblemsShowNoValues(t *testing.T) {
	_, err := Parse("c", []byte(`
cmp: {client_id: id, client_secret: s, api_url: "https://${S}", grant: "${S}", requests_per_second: "${S}", month: "${S}"}
database: {url: "${S}"}
http: {listen: "${S}"}
webhook: {path: "${S}", secret_file: "${S}"}
schedule: {sweep: "${S}"}
log: {level: "${S}"}
targets: [{name: "${S}", adapter: "${S}", on_remove: "${S}"}]
`), environment("S", "hunter2 %zz:"), known)
	if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Count(err.Error(), "\n") < 10 {
		t.Errorf("got %v", err)
	}
}
