package s3

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"damsync/dam"
	"damsync/dam/s3/s3test"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// The benchmarks run source, adapter and rclone as processes of their own, so
// that time and memory of each are its own. A role is given in the environment.
const (
	roleVariable = "DAMSYNC_S3_BENCH_ROLE"
	jobVariable  = "DAMSYNC_S3_BENCH_JOB"
)

type job struct {
	Options map[string]any
	Source  string // URL of a directory
	Files   int
	Size    int64
	Workers int
	Latency time.Duration // of the source's first byte, of the store's answer
}

// playRole is what the test binary does instead of tests when it was started by
// a benchmark.
func playRole() (played bool) {
	var j job
	role := os.Getenv(roleVariable)
	if role == "" {
		return false
	}
	if err := json.Unmarshal([]byte(os.Getenv(jobVariable)), &j); err != nil {
		panic(err)
	}
	switch role {
	case "source":
		serve(sourceHandler(j))
	case "slow":
		serve(slowHandler(j))
	case "push":
		if err := push(j); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	return true
}

// serve prints its address and serves until the other end of stdin is closed.
func serve(h http.Handler) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() { _ = http.Serve(l, h) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// sourceHandler serves files of one size, and an index of them for rclone.
func sourceHandler(j job) http.Handler {
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * i >> 7)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") {
			for i := range j.Files {
				fmt.Fprintf(w, "<a href=\"%06d.bin\">%06d.bin</a>\n", i, i)
			}
			return
		}
		time.Sleep(j.Latency) // what is measured, not waited for
		w.Header().Set("Content-Length", strconv.FormatInt(j.Size, 10))
		for left := j.Size; left > 0 && r.Method == http.MethodGet; {
			n, err := w.Write(block[:min(left, int64(len(block)))])
			if left -= int64(n); err != nil {
				return
			}
		}
	})
}

// slowHandler answers as the store does, later.
func slowHandler(j job) http.Handler {
	store, err := url.Parse(j.Source)
	if err != nil {
		panic(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = store.Scheme, store.Host
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(*http.Response) error { time.Sleep(j.Latency); return nil },
		Transport:      &http.Transport{MaxIdleConnsPerHost: 128, ExpectContinueTimeout: time.Second},
	}
	return proxy
}

// result is what a push process says of itself.
type result struct {
	Requests int64
}

// push places every file of the source.
func push(j job) error {
	a, err := New(j.Options, "bench", "bench")
	if err != nil {
		return err
	}
	var requests atomic.Int64
	a.intercept = func(next s3.HTTPClient) s3.HTTPClient {
		return doer(func(r *http.Request) (*http.Response, error) { requests.Add(1); return next.Do(r) })
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128, DisableCompression: true}}
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(j.Workers)
	for i := range j.Files {
		g.Go(func() error {
			name := fmt.Sprintf("%06d.bin", i)
			_, err := a.Put(ctx, dam.Object{
				Mark: dam.Mark{
					Instance: "bench", Target: "bench", AssetID: name, Version: "1", Size: j.Size, Generation: 1,
				},
				Path: name, Title: name, MIMEType: "application/x-bench", Metadata: dam.Metadata{"alt": "a picture"},
				Open: dam.Opener(j.Size, "", func(ctx context.Context, _ int64) (io.ReadCloser, error) {
					return get(ctx, client, j.Source+name)
				}),
			}, dam.Remote{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result{requests.Load()})
}

func get(ctx context.Context, client *http.Client, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}

// start starts a process in a role; out is its standard output.
func start(b *testing.B, role string, j job) (cmd *exec.Cmd, out *bufio.Reader) {
	b.Helper()
	raw, err := json.Marshal(j)
	if err != nil {
		b.Fatal(err)
	}
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, jobVariable+"="+string(raw))
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if role != "push" {
		stdin, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return cmd, bufio.NewReader(stdout)
}

// startServer gives the URL of a serving process.
func startServer(b *testing.B, role string, j job) string {
	b.Helper()
	_, out := start(b, role, j)
	addr, err := out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr) + "/"
}

type scenario struct {
	name    string
	files   int
	size    int64
	workers int
	latency time.Duration
}

// BenchmarkTransfer moves files from an HTTP server to versitygw, with the
// adapter and, when it is in the PATH, with rclone. The server runs on the same
// cores, so what it spends on checksums counts.
func BenchmarkTransfer(b *testing.B) {
	for _, s := range []scenario{
		{"large", 4, 500_000_000, 2, 0},
		{"small", 2000, 1_000_000, 8, 0},
		{"small, 64 workers", 2000, 1_000_000, 64, 0},
		{"small, 50 ms away", 1000, 1_000_000, 16, 50 * time.Millisecond},
	} {
		b.Run(s.name, func(b *testing.B) {
			for _, checksum := range []string{checksumCRC32C, checksumSHA256} {
				b.Run("damsync, "+checksum, func(b *testing.B) { s.measure(b, checksum, s.damsync) })
			}
			b.Run("rclone", func(b *testing.B) {
				if _, err := exec.LookPath("rclone"); err != nil {
					b.Skip("no rclone in the PATH to compare with")
				}
				s.measure(b, "", s.rclone)
			})
		})
	}
}

func (s scenario) measure(b *testing.B, checksum string, run func(*testing.B, job) *exec.Cmd) {
	for range b.N {
		server := s3test.Start(b)
		bucket := server.Bucket(b, "bench")
		j := job{Files: s.files, Size: s.size, Workers: s.workers, Latency: s.latency}
		store := server.Endpoint
		if s.latency > 0 {
			store = strings.TrimSuffix(startServer(b, "slow", job{Source: server.Endpoint, Latency: s.latency}), "/")
		}
		j.Source = startServer(b, "source", j)
		j.Options = with(server.Options(bucket), map[string]any{"endpoint": store, "sign_payload": false, "checksum": checksum})
		b.ResetTimer()
		begun := time.Now()
		cmd := run(b, j)
		took := time.Since(begun).Seconds()
		b.StopTimer()
		s.report(b, cmd, took)
		server.Kill()
		b.ReportMetric(server.Used().Seconds()*1e9/float64(s.size)/float64(s.files), "server-cpu-s/GB")
		if err := os.RemoveAll(server.DataDir(bucket)); err != nil {
			b.Fatal(err)
		}
	}
}

func (s scenario) report(b *testing.B, cmd *exec.Cmd, took float64) {
	b.Helper()
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatal("no resource usage of the process")
	}
	gigabytes := float64(s.size) * float64(s.files) / 1e9
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	b.ReportMetric(gigabytes*1000/took, "MB/s")
	b.ReportMetric(float64(s.files)/took, "files/s")
	b.ReportMetric(cpu.Seconds()/gigabytes, "cpu-s/GB")
	b.ReportMetric(float64(usage.Maxrss)/1024, "MB-resident")
	b.ReportMetric(0, "ns/op")
}

func (s scenario) damsync(b *testing.B, j job) *exec.Cmd {
	cmd, out := start(b, "push", j)
	var r result
	err := json.NewDecoder(out).Decode(&r)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(r.Requests)/float64(s.files), "requests/file")
	return cmd
}

func (s scenario) rclone(b *testing.B, j job) *exec.Cmd {
	cmd := exec.Command("rclone", "copy", ":http:", ":s3:"+j.Options["bucket"].(string),
		"--config", os.DevNull, "--http-url", j.Source, "--transfers", strconv.Itoa(s.workers), "--checkers", strconv.Itoa(s.workers),
		"--s3-provider", "Other", "--s3-endpoint", j.Options["endpoint"].(string), "--s3-region", s3test.Region,
		"--s3-access-key-id", s3test.AccessKey, "--s3-secret-access-key", s3test.SecretKey, "--s3-force-path-style")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("rclone: %v\n%s", err, out)
	}
	return cmd
}
