// Package s3test starts a real S3 server for tests: versitygw on a directory,
// on a free loopback port.
package s3test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The credentials of the server's root account.
const (
	AccessKey = "damsync-test"
	SecretKey = "damsync-test-secret"
	Region    = "us-east-1"
)

// TB has the methods of *testing.T and *testing.B that this package needs. It keeps package
// testing out of programs that start a server.
type TB interface {
	Helper()
	Context() context.Context
	TempDir() string
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(f func())
}

// Server is a running versitygw.
type Server struct {
	Endpoint string // http://127.0.0.1:port

	addr string
	dir  string

	mu     sync.Mutex
	cmd    *exec.Cmd
	used   time.Duration // by processes that ended
	output bytes.Buffer
	exited chan struct{}
}

// Start starts a server that ends with the test. args are global options of versitygw, such
// as --readonly.
func Start(t TB, args ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"data", "versions", "users"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &Server{dir: dir}
	t.Cleanup(func() { s.Kill() })
	err := s.tries(t, args, func() (err error) {
		s.addr, err = freeAddr()
		s.Endpoint = "http://" + s.addr
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Restart starts the server again after Kill, on the same port and data.
func (s *Server) Restart(t TB, args ...string) {
	t.Helper()
	if err := s.tries(t, args, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// startTries limits how often a server is started that ends at once, because another process
// may hold its port for a moment.
const startTries = 10

// tries starts the server until it stays. It calls choose before each start.
func (s *Server) tries(t TB, args []string, choose func() error) error {
	bin, err := binary(t.Context())
	if err != nil {
		return err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range startTries {
		if err := choose(); err != nil {
			return err
		}
		if err = s.start(bin, args); !errors.Is(err, errEnded) {
			return err
		}
		<-tick.C
	}
	return err
}

var errEnded = errors.New("versitygw ended right after its start")

func (s *Server) start(bin string, args []string) error {
	all := append([]string{
		"--quiet", "--port", s.addr, "--region", Region, "--health", "/health",
		"--iam-dir", filepath.Join(s.dir, "users"), "--iam-cache-disable",
	}, args...)
	all = append(all, "posix", "--versioning-dir", filepath.Join(s.dir, "versions"), filepath.Join(s.dir, "data"))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd = exec.CommandContext(context.Background(), bin, all...) //nolint:gosec // the binary just built
	s.cmd.Env = []string{"ROOT_ACCESS_KEY=" + AccessKey, "ROOT_SECRET_KEY=" + SecretKey, "HOME=" + s.dir}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
	if err := s.ready(); err != nil {
		return fmt.Errorf("versitygw at %s: %w\n%s", s.addr, err, s.output.String())
	}
	return nil
}

// Kill ends the server as kill -9 does. It may be called again.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.used += s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
	s.cmd = nil
}

// Used returns the processor time that the server took until it was killed.
func (s *Server) Used() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// ready polls the server's health until it answers.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if answers(ctx, client, s.Endpoint+"/health") {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return errEnded
		case <-ctx.Done():
			return errors.New("does not answer within 30 s")
		}
	}
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// The ports of servers are below those that systems choose for outgoing connections, which
// could take a port while its server is down.
const (
	lowestPort  = 15000
	highestPort = 32000
)

// freeAddr finds an address with a free port.
func freeAddr() (string, error) {
	var listen net.ListenConfig
	var err error
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort) //nolint:gosec // any will do
		var l net.Listener
		if l, err = listen.Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

// Client returns an S3 client of the root account, independent of damsync's own.
func (s *Server) Client() *s3.Client { return s.ClientAs(AccessKey, SecretKey) }

// ClientAs is Client for another account.
func (s *Server) ClientAs(accessKey, secretKey string) *s3.Client {
	return s3.New(s3.Options{
		Region: Region, BaseEndpoint: aws.String(s.Endpoint), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

// Bucket creates a bucket and returns its name.
func (s *Server) Bucket(t TB, name string) string {
	t.Helper()
	if _, err := s.Client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatal(err)
	}
	return name
}

// Account creates an account without permissions. The policy of a bucket can give it some.
func (s *Server) Account(t TB, accessKey, secretKey string) {
	t.Helper()
	bin, err := binary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), bin, "admin", "--access", AccessKey, "--secret", SecretKey, //nolint:gosec // as above
		"--endpoint-url", s.Endpoint, "create-user", "--access", accessKey, "--secret", secretKey, "--role", "user")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("create account: %v\n%s", err, out)
	}
}

// Options returns the options of the adapter for a bucket of this server.
func (s *Server) Options(bucket string) map[string]any {
	return map[string]any{
		"bucket": bucket, "region": Region, "endpoint": s.Endpoint, "path_style": true,
		"access_key_id": AccessKey, "secret_access_key": SecretKey,
	}
}

// DataDir returns the directory in which the server keeps the objects of a bucket as files.
func (s *Server) DataDir(bucket string) string { return filepath.Join(s.dir, "data", bucket) }
