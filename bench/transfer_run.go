package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"damsync/dam/s3/s3test"
)

// scenario is what is transferred, from where and to where.
type scenario struct {
	name    string
	files   int
	size    int64 // bytes of each file
	workers int
	wait    time.Duration // to the source's first byte, and to the store's answer
	rate    int64         // bytes a second of each stream from the source; 0 is no limit
	bounds  bounds
}

func (c scenario) gigabytes() float64 { return float64(c.size) * float64(c.files) / 1e9 }

// limit is how many files a second are possible at all; 0 where only the machine
// sets one.
func (c scenario) limit() float64 {
	if c.wait == 0 {
		return 0
	}
	each := 2 * c.wait.Seconds()
	if c.rate > 0 {
		each += float64(c.size) / float64(c.rate)
	}
	return float64(c.workers) / each
}

// arm is one of those compared.
type arm struct {
	name string
	// command does the work; its source and store are given.
	command func(s *stage, source, store string) (*exec.Cmd, error)
	// check judges what it said.
	check func(out []byte) error
}

// ours is the adapter with one kind of checksum.
func (c scenario) ours(checksum string, want []string) arm {
	return arm{
		name: "damsync " + checksum,
		command: func(s *stage, source, store string) (*exec.Cmd, error) {
			options := map[string]any{
				"bucket": benchName, "region": s3test.Region, "endpoint": store, "path_style": true,
				"access_key_id": s3test.AccessKey, "secret_access_key": s3test.SecretKey,
				"checksum": checksum, "sign_payload": false, // as over TLS
			}
			return childOf(s.Context(), "push", pushJob{
				Options: options, Source: source, Files: c.files, Size: c.size, Workers: c.workers,
			})
		},
		check: func(out []byte) error {
			var r pushResult
			if err := json.Unmarshal(out, &r); err != nil {
				return err
			}
			return r.check(want)
		},
	}
}

// rclone is the peer's program, and its name.
const rclone = "rclone"

// peer is rclone with nothing of the user's configuration.
func (c scenario) peer(more []string) arm {
	return arm{
		name: rclone,
		command: func(s *stage, source, store string) (*exec.Cmd, error) {
			args := append([]string{
				"copy", ":http:", ":s3:" + benchName, "--config", os.DevNull, "--http-url", source,
				"--transfers", strconv.Itoa(c.workers), // all else as it comes
				"--s3-provider", "Other", "--s3-endpoint", store, "--s3-region", s3test.Region, "--s3-force-path-style",
			}, more...)
			cmd := exec.CommandContext(s.Context(), rclone, args...) //nolint:gosec // what the user of this program asks for
			cmd.Env = append(withoutRclone(os.Environ()),
				"RCLONE_S3_ACCESS_KEY_ID="+s3test.AccessKey, "RCLONE_S3_SECRET_ACCESS_KEY="+s3test.SecretKey)
			return cmd, nil
		},
		check: func([]byte) error { return nil },
	}
}

func withoutRclone(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "RCLONE_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// run is one run of one arm between servers of its own.
func (c scenario) run(s *stage, a arm) (outcome, error) {
	source := startServer(s, "source", sourceJob{Files: c.files, Size: c.size, Wait: c.wait, Rate: c.rate})
	if c.wait > 0 {
		return c.toSink(s, a, source.url)
	}
	store := s3test.Start(s)
	bucket := store.Bucket(s, benchName)
	o, err := c.measure(s, a, source.url, store.Endpoint)
	if err != nil {
		return outcome{}, err
	}
	store.Kill()
	o.storeCPU = store.Used().Seconds() / c.gigabytes()
	return o, c.arrived(store.DataDir(bucket))
}

func (c scenario) toSink(s *stage, a arm, source string) (outcome, error) {
	store := startServer(s, "sink", sinkJob{Wait: c.wait})
	o, err := c.measure(s, a, source, store.url)
	if err != nil {
		return outcome{}, err
	}
	var came sinkResult
	if err := store.end(&came); err != nil {
		return outcome{}, err
	}
	whole := 0
	for _, size := range came.Sizes {
		if size == c.size {
			whole++
		}
	}
	if whole != c.files {
		return outcome{}, fmt.Errorf("%d of %d files arrived", whole, c.files)
	}
	used := store.cmd.ProcessState.UserTime() + store.cmd.ProcessState.SystemTime()
	o.storeCPU = used.Seconds() / c.gigabytes()
	o.requests = float64(came.Requests) / float64(c.files)
	return o, nil
}

func (c scenario) measure(s *stage, a arm, source, store string) (outcome, error) {
	cmd, err := a.command(s, source, store)
	if err != nil {
		return outcome{}, err
	}
	took, out, err := measured(cmd)
	if err == nil {
		err = a.check(out)
	}
	return outcome{
		throughput: c.gigabytes() * 1000 / took.Took.Seconds(), files: float64(c.files) / took.Took.Seconds(),
		cpu: took.CPU.Seconds() / c.gigabytes(), resident: float64(took.Peak) / 1e6,
	}, err
}

// arrived looks at the store's directory, where an object is a file.
func (c scenario) arrived(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	whole := 0
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() == c.size {
			whole++
		}
	}
	if whole != c.files {
		return fmt.Errorf("%d of %d files arrived", whole, c.files)
	}
	return nil
}
