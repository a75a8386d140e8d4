package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// flagUsage matches the name of a flag at the beginning of a line of help.
var flagUsage = regexp.MustCompile(`(?m)^ +(?:-\w, +)?--([\w-]+)`)

// The commands and flags are a fixed interface. A new one is added here, too.
func TestCommandsAndFlagsAreTheContract(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"serve": {"config"}, "resync": {"asset", "config", "dry-run", "full", "target", "yes"}, "plan": {"config", "json"},
		"status": {"config", "json"}, "quota": {"config", "json"}, "audit": {"config", "json"}, "check": {"config"},
		"verify": {"all", "config", "depth", "json", "repair", "target"}, "verify-target": {"config", "target"},
		"approve": {"config", "target"}, "retry": {"config", "target"}, "login": {"config", "listen"}, "migrate": {"config"},
		"demo": {"assets", "dir", "once"}, "simulate": {"assets", "listen", "seed"}, "version": nil,
	}
	got := map[string][]string{}
	for _, cmd := range newRoot(process{}).Commands() {
		var flags []string
		for _, m := range flagUsage.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
			flags = append(flags, m[1])
		}
		got[cmd.Name()] = flags
		if f := cmd.Flags().Lookup("config"); f != nil && f.DefValue != "config.yaml" {
			t.Errorf("%s --config is %q by default", cmd.Name(), f.DefValue)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("commands and flags (-want +got):\n%s", diff)
	}
}

func TestHelpShowsExamples(t *testing.T) {
	t.Parallel()
	for _, cmd := range newRoot(process{}).Commands() {
		name := cmd.Name()
		if name == "help" || name == "completion" || name == "version" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := damsync(t, name, "--help").wantCode(t, 0)
			if !strings.Contains(r.stdout, "Examples:\n  damsync "+name) {
				t.Errorf("no example in the help: %s", r)
			}
		})
	}
	damsync(t, "--help").wantCode(t, 0).wantText(t, "Exit codes: 0 done", "damsync demo", "serve", "simulate")
	damsync(t).wantCode(t, 0).wantText(t, "Available Commands")
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"frobnicate"}, `unknown command "frobnicate"; see damsync --help`},
		{[]string{"resnyc"}, "did you mean resync?"},
		{[]string{"resync", "--ful"}, "unknown flag: --ful; see damsync resync --help"},
		{[]string{"resync", "--asset"}, "flag needs an argument: --asset"},
		{[]string{"serve", "now"}, `damsync serve takes no argument "now"`},
		{[]string{"approve"}, "approve needs --target NAME"},
		{[]string{"simulate", "--assets=-1"}, "--assets must not be negative"},
		{[]string{"demo", "--assets=0"}, "--assets must be at least 1"},
		{[]string{"status"}, "config.yaml: cannot read the file"},
		{[]string{"serve", "--config", "elsewhere.yaml"}, "elsewhere.yaml: cannot read the file"},
	} {
		r := damsync(t, c.args...).wantCode(t, 2)
		if !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("%v: want %q on standard error, got %s", c.args, c.want, r)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := damsync(t, "version").wantCode(t, 0)
	if !strings.HasPrefix(r.stdout, "damsync ") || r.stderr != "" {
		t.Error(r)
	}
}

func TestSimulatePrintsOneLine(t *testing.T) {
	t.Parallel()
	s := simulate(t, 5)
	var printed map[string]string
	if err := json.Unmarshal([]byte(s.p.stdout.String()), &printed); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"api_url", "auth_url", "token_url", "client_id", "client_secret", "webhook_secret", "control_url"} {
		if printed[key] == "" {
			t.Errorf("no %s in %v", key, printed)
		}
	}
	if code := s.p.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM: %s", code, s.p.stderr)
	}
	r := damsync(t, "simulate", "--listen", "nowhere:x").wantCode(t, 1)
	if strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("not one line: %s", r)
	}
}

const badConfig = `cmp:
  api_url: http://cmp.example.com/v3
  client_id: ${NOT_THERE}
  client_secret: geheim
  request_per_second: 3
data_dir: ./data
data_dir: ./data2
schedule: {incremental: "every minute"}
targets:
  - name: one
    adapter: filesystem
    options: {rot: ./out}
    select: {when: 'asset.titel == "x"'}
    path: '{asset.folder'
  - name: one
    adapter: carrier-pigeon
`

// Every command rejects a bad configuration, lists each problem with its position, and touches
// nothing.
func TestBadConfigurationTouchesNothing(t *testing.T) {
	t.Parallel()
	for _, command := range newRoot(process{}).Commands() {
		if command.Flags().Lookup("config") == nil {
			continue
		}
		t.Run(command.Name(), func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			file := filepath.Join(dir, "damsync.yaml")
			writeFile(t, file, badConfig)
			args := []string{command.Name(), "--config", file}
			if command.Name() == "approve" {
				args = append(args, "--target", "one")
			}
			r := finish(start(t, launch{dir: dir, args: args})).wantCode(t, 2)
			for _, want := range []string{
				":2:12: cmp.api_url", ":3:14: cmp.client_id: environment variable NOT_THERE is not set", ":5:3: cmp.request_per_second: unknown key, did you mean",
				":7:1: data_dir", ":8:25: schedule.incremental", ":12:14: targets[0].options: unknown option rot", "asset has no property titel",
				"targets[0].path: this brace is never closed", ":15:11: targets[1].name: is already the name of the target in line 10", "targets[1].adapter: must be one of",
			} {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("%q is not in %s", want, r)
				}
			}
			if strings.Contains(r.all(), "geheim") {
				t.Errorf("the client secret is printed: %s", r)
			}
			for line := range strings.Lines(r.stderr) {
				if !strings.HasPrefix(line, file+":") {
					t.Errorf("a problem without its position: %s", line)
				}
			}
			onlyThere(t, dir, "damsync.yaml")
		})
	}
}

// A bad adapter option is found before the private database is created.
func TestBadOptionTouchesNothing(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeFile(t, filepath.Join(dir, "config.yaml"), `cmp: {client_id: a, client_secret: b}
targets:
  - name: one
    adapter: filesystem
`)
	finish(start(t, launch{dir: dir, args: []string{"serve"}})).wantCode(t, 2).wantText(t, "config.yaml:3:5: targets[0]: option root is missing")
	onlyThere(t, dir, "config.yaml")
}

// Two targets at one place would each treat the objects of the other as foreign. The configuration
// is rejected, whichever way the place is written.
func TestTwoTargetsInOnePlace(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ first, second, want string }{
		"directory": {
			"filesystem, options: {root: out/images}", "filesystem, options: {root: ./out/x/../images/}", "config.yaml:4:47: targets[1].options: lead to the same place as those in line 3",
		},
		"bucket": {
			"s3, options: {bucket: b, prefix: a, endpoint: 'http://h:1'}", "s3, options: {bucket: b, prefix: /a/, endpoint: 'http://H:1/', path_style: true}",
			"config.yaml:4:39: targets[1].options: lead to the same place as those in line 3",
		},
		"another prefix":   {"s3, options: {bucket: b, prefix: a}", "s3, options: {bucket: b, prefix: a/b}", ""},
		"another endpoint": {"s3, options: {bucket: b}", "s3, options: {bucket: b, endpoint: 'http://h'}", ""},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "config.yaml")
		writeFile(t, file, "cmp: {client_id: a, client_secret: b}\ntargets:\n  - {name: one, adapter: "+c.first+"}\n  - {name: two, adapter: "+c.second+"}\n")
		_, err := loadConfig(file, os.LookupEnv)
		if got := fmt.Sprint(err); (err == nil) != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The error names the database, but not its password.
func TestUnreachableDatabaseIsNamed(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	writeFile(t, filepath.Join(dir, "config.yaml"), `cmp: {client_id: a, client_secret: b}
database: {url: "postgres://damsync:geheim@127.0.0.1:1/damsync"}
data_dir: ./data
`)
	for _, command := range []string{"check", "serve", "resync", "status"} {
		r := finish(start(t, launch{dir: dir, args: []string{command}})).wantCode(t, 1).wantText(t, "open database", "127.0.0.1:1", "connection refused")
		if strings.Contains(r.all(), "geheim") {
			t.Errorf("the password is printed: %s", r)
		}
		if command == "check" {
			r.wantText(t, "ok    configuration", "FAIL  database and schema")
		}
	}
	onlyThere(t, dir, "config.yaml")
}

func onlyThere(t *testing.T, dir string, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != want {
			t.Errorf("%s was created", e.Name())
		}
	}
}
