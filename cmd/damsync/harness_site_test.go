package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"damsync/internal/pgtest"
)

// site is an installation: a configuration, a database, a target and a library.
type site struct {
	t      *testing.T
	sim    *simulated
	dir    string
	root   string // of the target
	listen string
	conf   settings
}

// settings are the parts of a configuration that tests vary, in YAML unless noted.
type settings struct {
	database     string // URL; "private" for one under data_dir
	apiURL       string
	tokenURL     string
	clientSecret string
	grant        string
	cmp          string // more keys of cmp
	schedule     string
	log          string
	target       string // the rest of the target
	targets      string // instead of the one target
	env          []string
}

const defaultTarget = `
    select:
      types: [image]
      folders: ["/Brand/**"]
      labels: {Status: [Approved]}
    path: '{asset.folder}/{asset.id}-{asset.file_name}'
    metadata: {title: asset.title, alt: asset.alt_text}
`

// noLimit allows a small library to lose every asset.
const noLimit = "    removal_limit: {count: 1000, percent: 100}\n"

// newSite returns an installation with its own simulated library.
func newSite(t *testing.T, assets int, conf settings) *site {
	t.Helper()
	s := &site{t: t, sim: simulate(t, assets), dir: tempDir(t), listen: ownAddress(t), conf: conf}
	s.root = filepath.Join(s.dir, "out")
	if s.conf.database == "" {
		s.conf.database = pgtest.EmptyURL(t)
	}
	if s.conf.database == "private" {
		s.conf.database = ""
		t.Cleanup(s.endPrivate)
	}
	s.configure(func(*settings) {})
	return s
}

// endPrivate stops the private server by joining it and leaving as the last process.
func (s *site) endPrivate() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := within(ctx, patience, func() error {
		r := finish(s.start("migrate"))
		if r.code != 0 {
			return errors.New(r.String())
		}
		return nil
	})
	if err != nil {
		s.t.Errorf("stop the private PostgreSQL: %v", err)
	}
}

func (s *site) file() string { return filepath.Join(s.dir, "config.yaml") }

// or returns the first text that is not empty.
func or(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// configure changes the settings and writes the configuration.
func (s *site) configure(change func(*settings)) {
	s.t.Helper()
	change(&s.conf)
	c := s.conf
	targets := c.targets
	if targets == "" {
		targets = fmt.Sprintf("\n  - name: brand\n    adapter: filesystem\n    options: {root: %q}%s", s.root, or(c.target, defaultTarget+noLimit))
	}
	writeFile(s.t, s.file(), fmt.Sprintf(`
cmp:
  api_url: %s
  auth_url: %s
  token_url: %s
  grant: %s
  client_id: %s
  client_secret: %q
  %s
database: {url: %q}
data_dir: %q
http: {listen: %q}
webhook: {secret: %q}
schedule: %s
log: %s
targets: %s
`, or(c.apiURL, s.sim.APIURL), s.sim.AuthURL, or(c.tokenURL, s.sim.TokenURL), or(c.grant, "client_credentials"), s.sim.ClientID,
		or(c.clientSecret, s.sim.ClientSecret), or(c.cmp, "requests_per_second: 500"), c.database, filepath.Join(s.dir, "data"), s.listen,
		s.sim.WebhookSecret, or(c.schedule, `{incremental: "@every 1s", sweep: ""}`), or(c.log, "{level: info, format: json}"), targets))
}

func (s *site) start(args ...string) *proc {
	s.t.Helper()
	return start(s.t, launch{args: append(args, "--config", s.file()), dir: s.dir, env: s.conf.env})
}

// run runs a command to its end.
func (s *site) run(args ...string) result { s.t.Helper(); return finish(s.start(args...)) }

// serve starts a daemon that is ready.
func (s *site) serve() *proc {
	s.t.Helper()
	p := s.start("serve")
	s.ready(p)
	return p
}

func (s *site) ready(p *proc) {
	s.t.Helper()
	eventually(s.t, "the daemon is ready", func() error {
		if !p.running() {
			s.t.Fatalf("serve has ended: %s", p.stderr)
		}
		code, body, err := s.get("/readyz")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("%d %s %w", code, body, err)
		}
		return nil
	})
}

func (s *site) get(path string) (int, string, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://"+s.listen+path, nil)
	if err != nil {
		return 0, "", err
	}
	return do(req)
}

func do(req *http.Request) (int, string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// webhook posts a body to the receiver and returns the status code.
func (s *site) webhook(secret, body string) (int, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.listen+"/webhooks/cmp", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	if secret != "" {
		req.Header.Set("Callback-Secret", secret)
	}
	code, _, err := do(req)
	return code, err
}

// registerWebhook makes the library report edits to the daemon.
func (s *site) registerWebhook() {
	s.t.Helper()
	s.sim.post("/webhooks", M{"url": "http://" + s.listen + "/webhooks/cmp"})
}

// sidecar is the JSON file beside a file.
type sidecar struct {
	AssetID    string         `json:"asset_id"`
	Target     string         `json:"target"`
	Version    string         `json:"version"`
	SHA256     string         `json:"sha256"`
	Size       int64          `json:"size"`
	Generation int64          `json:"generation"`
	Metadata   map[string]any `json:"metadata"`

	path string // of the file, below the root
}

// files returns what the target holds, by asset id. A file without its sidecar, or the reverse, is an error.
func (s *site) files() (map[string]sidecar, error) { return filesIn(s.root) }

func filesIn(root string) (map[string]sidecar, error) {
	out, found := map[string]sidecar{}, map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case path != root && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case !strings.HasSuffix(path, ".damsync.json"):
			found[path] = true
			return nil
		}
		return readSidecar(root, path, out)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	for _, sc := range out {
		delete(found, filepath.Join(root, sc.path))
	}
	for path := range found {
		err = errors.Join(err, fmt.Errorf("%s has no sidecar", path))
	}
	return out, err
}

func readSidecar(root, path string, out map[string]sidecar) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var sc sidecar
	if err := json.Unmarshal(text, &sc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	file := strings.TrimSuffix(path, ".damsync.json")
	body, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != sc.SHA256 || int64(len(body)) != sc.Size {
		return fmt.Errorf("%s is not what its sidecar says", file)
	}
	if other, twice := out[sc.AssetID]; twice {
		return fmt.Errorf("asset %s is there twice: %s and %s", sc.AssetID, other.path, file)
	}
	if sc.path, err = filepath.Rel(root, file); err != nil {
		return err
	}
	out[sc.AssetID] = sc
	return nil
}

// differs compares the files with the library.
func (s *site) differs() error {
	have, err := s.files()
	if err != nil {
		return err
	}
	want := s.sim.wanted()
	for id, w := range want {
		h, ok := have[id]
		switch {
		case !ok:
			return fmt.Errorf("%q (%s) is not there; %d of %d are", w.Title, id, len(have), len(want))
		case h.SHA256 != w.SHA256:
			return fmt.Errorf("%s has the bytes of another version", h.path)
		case filepath.Dir(h.path) != strings.TrimPrefix(w.Folder, "/"):
			return fmt.Errorf("%s does not lie in %s", h.path, w.Folder)
		case h.Metadata["title"] != w.Title:
			return fmt.Errorf("%s has the title %q instead of %q", h.path, h.Metadata["title"], w.Title)
		}
		delete(have, id)
	}
	for _, h := range have {
		return fmt.Errorf("%s should not be there", h.path)
	}
	return nil
}

// equal waits until the files equal the library.
func (s *site) equal() {
	s.t.Helper()
	eventually(s.t, "the files equal the library", s.differs)
}

// status returns the output of damsync status --json.
type status struct {
	Mirror  struct{ Assets, Folders int }
	Targets []struct {
		Name                                      string
		Desired, Pending, Failed, Held, Conflicts int
		InSync                                    int `json:"in_sync"`
		Problem                                   string
	}
	Quota struct {
		Limit, Used int
		ByClass     map[string]int `json:"by_class"`
		ResetsAt    time.Time      `json:"resets_at"`
	}
	Observations map[string]struct {
		LastAttempt *time.Time `json:"last_attempt"`
		LastSuccess *time.Time `json:"last_success"`
	}
	Inbox struct{ Pending int }
}

func (s *site) status() status {
	s.t.Helper()
	r := s.run("status", "--json").wantCode(s.t, 0)
	var st status
	if err := json.Unmarshal([]byte(r.stdout), &st); err != nil {
		s.t.Fatalf("status --json: %v in %s", err, r.stdout)
	}
	return st
}
