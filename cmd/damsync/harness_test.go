package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience limits how long a test waits for something that should happen soon. Tests run in parallel on small
// machines, also with the race detector.
const patience = 2 * time.Minute

// eventually waits until probe returns no error.
func eventually(t *testing.T, what string, probe func() error) {
	t.Helper()
	if err := within(t.Context(), patience, probe); err != nil {
		t.Fatalf("%s: not within %s: %v", what, patience, err)
	}
}

func within(ctx context.Context, d time.Duration, probe func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// tempDir returns a temporary directory with a path short enough for sockets. If root runs the test, the user
// of PostgreSQL may enter it.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "damsync-cmd-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's directory: %v", err)
		}
	})
	return dir
}

var lastHost atomic.Uint32

// ownAddress returns a loopback address that no other test listens on, so that a restarted daemon finds its
// port free.
func ownAddress(t *testing.T) string {
	t.Helper()
	n := lastHost.Add(1)
	host := fmt.Sprintf("127.%d.%d.%d", 2+os.Getpid()%250, n>>8, n&255)
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatalf("take a loopback address: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}

// output collects what a process prints.
type output struct {
	mu  chan struct{}
	buf bytes.Buffer
}

func newOutput() *output { return &output{mu: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu <- struct{}{}
	defer func() { <-o.mu }()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu <- struct{}{}
	defer func() { <-o.mu }()
	return o.buf.String()
}

// proc is a running damsync.
type proc struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan struct{}
	name           string
}

// launch says how to start a damsync.
type launch struct {
	args []string
	dir  string
	env  []string // added to the test's
	bin  string   // instead of the test binary
	cred *syscall.Credential
}

// start starts damsync. It is killed at the end of the test if it still runs.
func start(t *testing.T, l launch) *proc {
	t.Helper()
	bin := l.bin
	if bin == "" {
		var err error
		if bin, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	p := &proc{t: t, stdout: newOutput(), stderr: newOutput(), done: make(chan struct{}), name: strings.Join(l.args, " ")}
	p.cmd = exec.Command(bin, l.args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = l.dir, p.stdout, p.stderr
	p.cmd.Env = append(cleanEnv(), append(l.env, asProgram+"=1")...)
	// The process ends with a test that panics.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.cred, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start damsync %s: %v", p.name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the process state has the exit code
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("damsync %s printed:\n%s", p.name, tail(p.stderr.String(), 6000))
		}
	})
	return p
}

func tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}

// cleanEnv returns the environment without the variables that affect damsync.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DAMSYNC_KEY=") && !strings.HasPrefix(kv, "CMP_") {
			env = append(env, kv)
		}
	}
	return env
}

// kill sends SIGKILL and waits for the end.
func (p *proc) kill() {
	if !p.running() {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *proc) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait returns the exit code.
func (p *proc) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(5 * patience):
		_ = p.cmd.Process.Signal(syscall.SIGQUIT) // shows where it hangs
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			p.kill()
		}
		p.t.Fatalf("damsync %s does not end:\n%s\n%s", p.name, p.stdout, p.stderr)
		return -1
	}
}

// stop sends SIGTERM, as a service manager does, and returns the exit code.
func (p *proc) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("stop damsync %s: %v", p.name, err)
	}
	return p.wait()
}

// result is the outcome of a damsync that has ended.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

// all returns everything that was printed.
func (r result) all() string { return r.stdout + r.stderr }

// damsync runs a command and waits for its end.
func damsync(t *testing.T, args ...string) result {
	t.Helper()
	return finish(start(t, launch{args: args, dir: t.TempDir()}))
}

func finish(p *proc) result {
	p.t.Helper()
	began := time.Now()
	code := p.wait()
	if took := time.Since(began); took > 15*time.Second {
		p.t.Logf("damsync %s took %s:\n%s", p.name, took, p.stderr)
	}
	return result{code: code, stdout: p.stdout.String(), stderr: p.stderr.String()}
}

// wantCode fails the test if the command ended with another exit code.
func (r result) wantCode(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("want exit code %d, got %s", code, r)
	}
	return r
}

// wantText fails the test if a text was not printed.
func (r result) wantText(t *testing.T, texts ...string) result {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.all(), text) {
			t.Errorf("%q is not in what was printed, %s", text, r)
		}
	}
	return r
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
