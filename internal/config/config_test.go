package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"damsync/internal/secret"
	"damsync/sync/plan"
)

const minimal = "cmp: {client_id: id, client_secret: geheim}\n"

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

// known accepts any options.
var known = Adapters{"filesystem": nil, "s3": nil}

func parse(t *testing.T, document string, env ...string) *Config {
	t.Helper()
	c, err := Parse("config.yaml", []byte(document), environment(env...), known)
	if err != nil {
		t.Fatalf("parse:\n%s\n%v", document, err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	got := parse(t, minimal)
	want := &Config{
		CMP: CMP{
			APIURL:   "https://api.cmp.optimizely.com/v3",
			AuthURL:  "https://accounts.cmp.optimizely.com/o/oauth2/v1/auth",
			TokenURL: "https://accounts.cmp.optimizely.com/o/oauth2/v1/token",
			Grant:    "client_credentials", ClientID: "id", ClientSecret: secret.New("geheim"),
			RequestsPerSecond: 10, RequestsPerMonth: 200000, Month: "calendar",
		},
		DataDir:  "./data",
		HTTP:     HTTP{Listen: "127.0.0.1:8080"},
		Webhook:  Webhook{Path: "/webhooks/cmp"},
		Schedule: Schedule{Incremental: "@every 5m", Audit: "@hourly", Verify: "0 4 * * 6"},
		Log:      Log{Level: "info", Format: "json"},
	}
	if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(secret.String{}), cmpopts.IgnoreUnexported(Target{})); diff != "" {
		t.Error(diff)
	}
}

func TestReservedRequests(t *testing.T) {
	const head = "cmp:\n  client_id: a\n  client_secret: b\n  requests_per_month: 100\n  requests_reserved: "
	if c := parse(t, head+"99\n"); c.CMP.RequestsReserved != 99 {
		t.Errorf("%d reserved", c.CMP.RequestsReserved)
	}
	_, err := Parse("config.yaml", []byte(head+"100\n"), environment(), known)
	if err == nil || !strings.Contains(err.Error(), "cmp.requests_reserved: must be between 0 and 99") {
		t.Errorf("damsync is left no request: %v", err)
	}
}

func TestTarget(t *testing.T) {
	c := parse(t, minimal+`
targets:
  - name: a
    adapter: filesystem
    options: {root: "${ROOT}/x", deep: [{n: 3}]}
    select:
      types: [image, video]
      folders: ["/Brand/**"]
      labels: {Status: Approved, Audience: [A, B]}
      expired: ignore
    metadata:
      zulu: asset.title
      alpha: asset.id
    removal_limit: {percent: 2.5}
    on_foreign: adopt-if-same-bytes
    requests_per_second: 0.5
  - {name: b, adapter: s3}
`, "ROOT", "/srv")
	got := c.Targets[0]
	want := plan.Spec{
		Name: "a",
		Select: plan.Select{
			Types: []string{"image", "video"}, Folders: []string{"/Brand/**"},
			Labels:  map[string][]string{"Status": {"Approved"}, "Audience": {"A", "B"}},
			Expired: "ignore",
		},
		Metadata:     []plan.MetadataRule{{Key: "zulu", Expr: "asset.title"}, {Key: "alpha", Expr: "asset.id"}},
		Path:         plan.DefaultPath,
		OnRemove:     plan.RemoveArchive,
		RemovalLimit: plan.RemovalLimit{Count: 100, Percent: 2.5},
	}
	if diff := gocmp.Diff(want, got.Spec); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff(map[string]any{"root": "/srv/x", "deep": []any{map[string]any{"n": 3}}}, got.Options); diff != "" {
		t.Error(diff)
	}
	if got.OnForeign != ForeignAdopt || got.RequestsPerSecond != 0.5 {
		t.Errorf("on_foreign %q, requests_per_second %v", got.OnForeign, got.RequestsPerSecond)
	}
	if b := c.Targets[1]; b.OnForeign != ForeignFail || b.OnDrift != DriftReport || b.RequestsPerSecond != 0 {
		t.Errorf("defaults: on_foreign %q, on_drift %q, requests_per_second %v", b.OnForeign, b.OnDrift, b.RequestsPerSecond)
	}
	if got.Rules == nil {
		t.Error("rules were not compiled")
	}
}

// Problems that an adapter finds in its options are listed with all others, one a line.
func TestProblemsOfOptionsAreReportedWithOthers(t *testing.T) {
	check := func(t Target) (string, error) {
		return "", fmt.Errorf("target %s: %w", t.Spec.Name, errors.Join(errors.New("no root"), fmt.Errorf("%d options", len(t.Options))))
	}
	_, err := Parse("config.yaml", []byte(`cmp: {client_id: a, client_secret: b}
targets:
  - name: one
    adapter: filesystem
    options: {a: 1, b: 2}
  - name: two
    adapter: filesystem
    on_remove: destroy
`), nil, Adapters{"filesystem": check})
	want := `config.yaml:5:14: targets[0].options: no root
config.yaml:5:14: targets[0].options: 2 options
config.yaml:6:5: targets[1]: no root
config.yaml:6:5: targets[1]: 0 options
config.yaml:8:16: targets[1].on_remove: must be one of delete, archive, keep`
	if diff := gocmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

// All mistakes in a file are reported at once.
func TestEveryProblemIsReported(t *testing.T) {
	_, err := Parse("config.yaml", []byte(`cmp:
  client_id: ${CMP_CLIENT_ID}
  client_secert: x
  grant: password
  requests_per_second: fast
htp: {}
targets:
  - name: Brand
    adapter: s4
    on_remove: destroy
`), nil, known)
	want := `config.yaml:2:3: cmp.client_secret: is required (or client_secret_file)
config.yaml:2:14: cmp.client_id: environment variable CMP_CLIENT_ID is not set
config.yaml:3:3: cmp.client_secert: unknown key, did you mean "client_secret"?
config.yaml:4:10: cmp.grant: must be one of client_credentials, authorization_code
config.yaml:5:24: cmp.requests_per_second: must be a whole number, is text
config.yaml:6:1: htp: unknown key, did you mean "http"?
config.yaml:8:11: targets[0].name: must be 1 to 63 of a-z, 0-9, - and _, not starting with - or _
config.yaml:9:14: targets[0].adapter: must be one of filesystem, s3
config.yaml:10:16: targets[0].on_remove: must be one of delete, archive, keep`
	if err == nil {
		t.Fatal("accepted")
	}
	if diff := gocmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	var problems Problems
	if !errors.As(fmt.Errorf("load: %w", err), &problems) || len(problems) != 9 {
		t.Errorf("not Problems: %T", err)
	}
}

// Each document is the minimal one, in line 1, followed by the bad lines from line 2 on.
func TestProblems(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxSecretSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	target := "targets:\n  - name: a\n    adapter: filesystem\n    "
	tests := map[string]struct{ bad, want string }{
		"duplicate section":     {"log: {}\nlog: {}", "3:1: log: duplicate key, first used in line 2"},
		"duplicate key":         {"log:\n  level: info\n  level: warn", "4:3: log.level: duplicate key, first used in line 3"},
		"duplicate in labels":   {target + "select: {labels: {S: A, S: B}}", "5:29: targets[0].select.labels.S: duplicate key, first used in line 5"},
		"duplicate in metadata": {target + "metadata: {t: asset.id, t: asset.id}", "5:29: targets[0].metadata.t: duplicate key, first used in line 5"},
		"duplicate in options":  {target + "options: {root: a, root: b}", "5:24: targets[0].options.root: duplicate key, first used in line 5"},
		"unlike any key":        {"http: {zzzzzz: 1}", "2:8: http.zzzzzz: unknown key, want one of listen"},
		"merge key":             {"log: {<<: {level: info}}", "2:7: log.<<: unknown key, want one of format, level"},
		"number for text":       {"data_dir: 12", "2:11: data_dir: must be text, is a number: put it in quotes"},
		"date for text":         {"data_dir: 2026-01-01", "2:11: data_dir: must be text, is a date: put it in quotes"},
		"nothing for text":      {"data_dir:", "2:10: data_dir: must be text, is empty"},
		"list for text":         {"data_dir: [a]", "2:11: data_dir: must be text, is a list"},
		"text for mapping":      {"log: info", "2:6: log: must be a mapping, is text"},
		"mapping for list":      {"targets: {a: b}", "2:10: targets: must be a list, is a mapping"},
		"empty target":          {"targets:\n  -", "3:4: targets[0]: must be a mapping, is empty"},
		"composite key":         {"? [a]\n: b", "2:3: a key must be a word"},
		"unset variable":        {"data_dir: a/${NOWHERE}", "2:11: data_dir: environment variable NOWHERE is not set"},
		"malformed variable":    {"data_dir: ${a-b}", "2:11: data_dir: malformed variable: want ${NAME}, or $$ for a dollar"},
		"empty data_dir":        {"data_dir: ''", "2:11: data_dir: must not be empty"},
		"database":              {"database: {url: 'mysql://u:hunter2@h/d'}", "2:17: database.url: must be a postgres:// URL, or empty for a private PostgreSQL"},
		"secret twice":          {"webhook:\n  secret: a\n  secret_file: b", "4:16: webhook.secret_file: use either secret or secret_file, not both"},
		"secret file missing":   {"webhook: {secret_file: " + dir + "/none}", "2:24: webhook.secret_file: cannot read the file: no such file or directory"},
		"secret file big":       {"webhook: {secret_file: " + big + "}", "2:24: webhook.secret_file: cannot read the file: larger than 65536 bytes"},
		"secret file directory": {"webhook: {secret_file: " + dir + "}", "2:24: webhook.secret_file: cannot read the file: not a regular file"},
		"webhook path":          {"webhook: {path: hook}", "2:17: webhook.path: must start with /"},
		"webhook path taken":    {"webhook: {path: /metrics}", "2:17: webhook.path: is reserved: damsync itself answers /healthz, /readyz and /metrics"},
		"webhook path climbs":   {"webhook: {path: /a/../b}", "2:17: webhook.path: must be segments of letters, digits and . _ ~ -, like /webhooks/cmp"},
		"listen":                {"http: {listen: localhost}", "2:16: http.listen: must be host:port"},
		"listen port":           {"http: {listen: 'localhost:70000'}", "2:16: http.listen: must end with a port between 0 and 65535"},
		"cron":                  {"schedule: {audit: hourly}", `2:19: schedule.audit: must be a cron specification like "*/5 * * * *", "@hourly" or "@every 5m", or empty for off`},
		"cron zone alone":       {"schedule: {audit: TZ=UTC}", `2:19: schedule.audit: must be a cron specification like "*/5 * * * *", "@hourly" or "@every 5m", or empty for off`},
		"cron never":            {"schedule: {audit: '0 0 30 2 *'}", "2:19: schedule.audit: names a date that never comes"},
		"cron backwards":        {"schedule: {audit: '@every -1h'}", "2:19: schedule.audit: must be at least @every 1s"},
		"backfill order":        {"schedule: {backfill_order: ['/Brand/[']}", `2:29: schedule.backfill_order[0]: must be a pattern of folders like "/Brand/**"`},
		"log level":             {"log: {level: loud}", "2:14: log.level: must be one of trace, debug, info, warn, error"},
		"name taken":            {target + "on_remove: keep\n  - name: a\n    adapter: filesystem", "6:11: targets[1].name: is already the name of the target in line 3"},
		"asset type":            {target + "select: {types: [image, pdf]}", "5:29: targets[0].select.types[1]: must be one of article, image, video, raw_file, structured_content"},
		"types emptied":         {target + "select: {types: []}", "5:21: targets[0].select.types: must not be empty: leave the key out to select all"},
		"folders emptied":       {target + "select:\n      folders:\n      when: 'true'", "6:15: targets[0].select.folders: must not be empty: leave the key out to select all"},
		"labels emptied":        {target + "select: {labels: {}}", "5:22: targets[0].select.labels: must not be empty: leave the key out to select all"},
		"label without values":  {target + "select: {labels: {Status: []}}", "5:31: targets[0].select.labels.Status: must name at least one value"},
		"label number":          {target + "select: {labels: {Year: 2026}}", "5:29: targets[0].select.labels.Year: must be a list, is a number"},
		"label list number":     {target + "select: {labels: {Year: [2026]}}", "5:30: targets[0].select.labels.Year[0]: must be text, is a number: put it in quotes"},
		"expired":               {target + "select: {expired: include}", "5:23: targets[0].select.expired: must be one of exclude, ignore"},
		"limit":                 {target + "removal_limit: {count: -1}", "5:28: targets[0].removal_limit.count: must be between 1 and 1000000000"},
		"limit percent":         {target + "removal_limit: {percent: 101}", "5:30: targets[0].removal_limit.percent: must be between 0.001 and 100"},
		"limit not a number":    {target + "removal_limit: {percent: .nan}", "5:30: targets[0].removal_limit.percent: must be between 0.001 and 100"},
		"limit fraction":        {target + "removal_limit: {count: 1.5}", "5:28: targets[0].removal_limit.count: must be a whole number, is a number"},
		"on foreign":            {target + "on_foreign: adopt", "5:17: targets[0].on_foreign: must be one of fail, adopt-if-same-bytes"},
		"target's pace":         {target + "requests_per_second: 0", "5:26: targets[0].requests_per_second: must be between 0.1 and 1e+06"},
		"limit huge":            {target + "removal_limit: {count: 99999999999999999999}", "5:28: targets[0].removal_limit.count: must be a whole number, is a number"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("c", []byte(minimal+tt.bad), nil, known)
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := gocmp.Diff("c:"+tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCMPProblems(t *testing.T) {
	tests := []struct{ key, bad, want string }{
		{"api_url", "api.example.com", "must be an absolute https URL"},
		{"api_url", "ftp://api.example.com", "must be an absolute https URL"},
		{"api_url", "https://", "must be an absolute https URL"},
		{"api_url", "https://:443/v3", "must be an absolute https URL"},
		{"api_url", "https://user:pw@api.example.com", "must not contain a user name or password"},
		{"api_url", "https://api.example.com/v3?x=1", "must not contain a query or fragment"},
		{"token_url", "http://accounts.example.com/token", "must be https: http would send secrets unencrypted, and is for loopback hosts only"},
		{"auth_url", "http://127.0.0.1.example.com/auth", "must be https: http would send secrets unencrypted, and is for loopback hosts only"},
		{"month", "lunar", "must be one of calendar, rolling"},
		{"requests_per_second", "0", "must be between 1 and 1000000"},
		{"requests_per_second", "1000001", "must be between 1 and 1000000"},
		{"requests_per_second", `"10"`, "must be a whole number, is text"},
		{"requests_per_second", "${WORD}", "must be a whole number once expanded"},
		{"requests_per_month", "0", "must be between 1 and 1000000000000"},
	}
	for _, tt := range tests {
		t.Run(tt.key+" "+tt.bad, func(t *testing.T) {
			document := "cmp:\n  client_id: id\n  client_secret: s\n  " + tt.key + ": " + tt.bad
			_, err := Parse("c", []byte(document), environment("WORD", "many"), known)
			want := fmt.Sprintf("c:4:%d: cmp.%s: %s", len(tt.key)+5, tt.key, tt.want)
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	for _, good := range []string{"http://127.0.0.1:80/v3", "http://[::1]:8080", "http://localhost/v3", "https://api.example.com/v3/"} {
		c := parse(t, "cmp: {client_id: a, client_secret: b, api_url: '"+good+"'}")
		if c.CMP.APIURL != strings.TrimRight(good, "/") {
			t.Errorf("%s became %s", good, c.CMP.APIURL)
		}
	}
}

func TestSyntax(t *testing.T) {
	tests := map[string]struct{ bad, want string }{
		"not yaml":      {"cmp:\n  a: [", "c:2: "},
		"tab":           {"cmp:\n\tclient_id: a", "c:2: found character that cannot start any token"},
		"two documents": {minimal + "---\n" + minimal, "c:2:1: only one YAML document is allowed in the file"},
		"anchor":        {"cmp: *none", "c: unknown anchor 'none' referenced"},
		"a list":        {"- a", "c:1:1: "},
		"empty":         {"", "c:1:1: cmp.client_id: is required\n"},
		"only comments": {"# nothing\n", "c:1:1: cmp.client_id: is required\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("c", []byte(tt.bad), nil, known)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestAliases(t *testing.T) {
	c := parse(t, minimal+`
targets:
  - {name: a, adapter: filesystem, select: &brand {folders: [/Brand]}}
  - {name: b, adapter: filesystem, select: *brand}
`)
	if diff := gocmp.Diff(c.Targets[0].Spec.Select, c.Targets[1].Spec.Select); diff != "" {
		t.Error(diff)
	}
	bomb := minimal + "targets:\n  - name: a\n    adapter: filesystem\n    options:\n      l0: &l0 [x, x]\n"
	for i := range 40 {
		bomb += fmt.Sprintf("      l%d: &l%d [*l%d, *l%d]\n", i+1, i+1, i, i)
	}
	for _, document := range []string{bomb, minimal + "targets: [{name: a, adapter: filesystem, options: &o {self: *o}}]"} {
		_, err := Parse("c", []byte(document), nil, known)
		if err == nil || !strings.Contains(err.Error(), "the document is too large or too deep once aliases are followed") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %.300v", err)
		}
	}
}

func TestExpansion(t *testing.T) {
	c := parse(t, `
cmp:
  client_id: a$$b$c${ID}$
  client_secret: '${SECRET}'
  requests_per_second: ${RPS}
  requests_per_month: "${MONTH}000"
data_dir: "${HOSTILE}"
`, "ID", "7$$", "SECRET", "s: [", "RPS", "5", "MONTH", "12", "HOSTILE", "x\nlog: {level: debug}")
	got := []any{c.CMP.ClientID, c.CMP.ClientSecret.Reveal(), c.CMP.RequestsPerSecond, c.CMP.RequestsPerMonth, c.DataDir, c.Log.Level}
	if diff := gocmp.Diff([]any{"a$b$c7$$$", "s: [", 5, 12000, "x\nlog: {level: debug}", "info"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSecretFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c := parse(t, fmt.Sprintf(`
cmp: {client_id: a, client_secret_file: %s}
webhook: {secret_file: "${DIR}/webhook"}
database: {url_file: %s}
`, write("client", "one\n"), write("db", "postgres://u:p@h/d\r\n")), "DIR", filepath.Dir(write("webhook", "two\n\n")))
	got := []string{c.CMP.ClientSecret.Reveal(), c.Webhook.Secret.Reveal(), c.Database.URL.Reveal()}
	if diff := gocmp.Diff([]string{"one", "two\n", "postgres://u:p@h/d"}, got); diff != "" {
		t.Error(diff)
	}
	_, err := Parse("c", []byte("cmp: {client_id: a, client_secret_file: "+write("empty", "\n")+"}"), nil, known)
	if err == nil || !strings.Contains(err.Error(), "cmp.client_secret_file: must not be empty") {
		t.Error(err)
	}
}

func TestLoadMissing(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil, known)
	var problems Problems
	if !errors.As(err, &problems) || !strings.Contains(err.Error(), "no such file") {
		t.Error(err)
	}
}

var exampleEnv = environment("CMP_CLIENT_ID", "id", "CMP_CLIENT_SECRET", "geheim", "CMP_WEBHOOK_SECRET", "leise")

func TestExampleLoads(t *testing.T) {
	c, err := Load("../../config.example.yaml", exampleEnv, known)
	if err != nil {
		t.Fatal(err)
	}
	// Outside targets and secrets the example shows the defaults.
	want := parse(t, "cmp: {client_id: id, client_secret: geheim}\nwebhook: {secret: leise}")
	ignore := cmpopts.IgnoreFields(Config{}, "Targets")
	if diff := gocmp.Diff(want, c, gocmp.AllowUnexported(secret.String{}), ignore); diff != "" {
		t.Error(diff)
	}
	if len(c.Targets) != 1 {
		t.Errorf("%d targets", len(c.Targets))
	}
}

// A commented-out key of the example has no space after its #.
func TestExampleNamesEveryKey(t *testing.T) {
	data, err := os.ReadFile("../../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile(`(?m)^(\s*)#(\w+:)`).ReplaceAll(data, []byte("$1$2"))
	d := newDecoder("example", whole, exampleEnv)
	root, _ := d.document()
	d.config(root, defaults())
	if len(d.keys) < 40 {
		t.Fatalf("only %d known keys", len(d.keys))
	}
	for _, key := range d.keys {
		if _, ok := d.places[key]; !ok {
			t.Errorf("config.example.yaml does not name %s", key)
		}
	}
	if slices.ContainsFunc(d.problems, func(p Problem) bool { return strings.Contains(p.Message, "unknown") }) {
		t.Error(d.problems)
	}
}
