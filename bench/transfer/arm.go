package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"damsync/bench/internal/benchkit"
	"damsync/dam/s3/s3test"
)

// arm is one of the programs compared.
type arm struct {
	name    string
	command func(ctx context.Context, source, store string) (*exec.Cmd, error)
	check   func(out []byte) error // of the command's output
}

// ours is the adapter with one kind of checksum.
func (c scenario) ours(checksum string, want []string) arm {
	return arm{
		name: "damsync " + checksum,
		command: func(ctx context.Context, source, store string) (*exec.Cmd, error) {
			adapter := map[string]any{
				"bucket": benchName, "region": s3test.Region, "endpoint": store, "path_style": true,
				"access_key_id": s3test.AccessKey, "secret_access_key": s3test.SecretKey,
				"checksum": checksum, "sign_payload": false, // as over TLS
			}
			return benchkit.Command(ctx, "push", pushJob{
				Options: adapter, Source: source, Files: c.files, Size: c.size, Workers: c.workers,
			})
		},
		check: func(out []byte) error {
			var r pushed
			if err := json.Unmarshal(out, &r); err != nil {
				return fmt.Errorf("read result of push: %w", err)
			}
			return r.check(want)
		},
	}
}

// rclone is the program compared with.
const rclone = "rclone"

// rclone runs with defaults and without the user's configuration.
func (c scenario) rclone() arm {
	return arm{
		name: rclone,
		command: func(ctx context.Context, source, store string) (*exec.Cmd, error) {
			cmd := exec.CommandContext(ctx, rclone, //nolint:gosec // our own arguments
				"copy", ":http:", ":s3:"+benchName, "--config", os.DevNull, "--http-url", source, "--transfers", strconv.Itoa(c.workers),
				"--s3-provider", "Other", "--s3-endpoint", store, "--s3-region", s3test.Region, "--s3-force-path-style")
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

// runOnce runs one arm between a new source and a new store.
func (c scenario) runOnce(ctx context.Context, a arm) (o outcome, err error) {
	var source string
	server, err := benchkit.StartService(ctx, "source", sourceJob{Files: c.files, Size: c.size, Wait: c.wait, Rate: c.rate}, &source)
	if err != nil {
		return o, err
	}
	defer func() {
		_, stopErr := server.Stop(nil)
		err = errors.Join(err, stopErr)
	}()
	if c.wait > 0 {
		return c.toSink(ctx, a, source)
	}
	err = onStage(ctx, func(s *stage) (err error) {
		o, err = c.toGateway(s, a, source)
		return err
	})
	return o, err
}

func (c scenario) toGateway(s *stage, a arm, source string) (outcome, error) {
	store := s3test.Start(s)
	bucket := store.Bucket(s, benchName)
	o, err := c.transfer(s.Context(), a, source, store.Endpoint)
	if err != nil {
		return outcome{}, err
	}
	store.Kill()
	o.storeCPU = store.Used().Seconds() / c.gigabytes()
	return o, c.checkDir(store.DataDir(bucket))
}

func (c scenario) toSink(ctx context.Context, a arm, source string) (outcome, error) {
	var store string
	server, err := benchkit.StartService(ctx, "sink", sinkJob{Wait: c.wait}, &store)
	if err != nil {
		return outcome{}, err
	}
	o, failure := c.transfer(ctx, a, source, store)
	var received sinkReport
	used, err := server.Stop(&received)
	if err = errors.Join(failure, err); err != nil {
		return outcome{}, err
	}
	o.storeCPU = used.Seconds() / c.gigabytes()
	o.requests = float64(received.Requests) / float64(c.files)
	complete := 0
	for _, size := range received.Sizes {
		if size == c.size {
			complete++
		}
	}
	return o, c.checkComplete(complete)
}

func (c scenario) transfer(ctx context.Context, a arm, source, store string) (outcome, error) {
	cmd, err := a.command(ctx, source, store)
	if err != nil {
		return outcome{}, err
	}
	used, out, err := benchkit.Measure(cmd)
	if err == nil {
		err = a.check(out)
	}
	return outcome{
		throughput: c.gigabytes() * 1000 / used.Wall.Seconds(), files: float64(c.files) / used.Wall.Seconds(),
		cpu: used.CPU.Seconds() / c.gigabytes(), resident: float64(used.Peak) / 1e6,
	}, err
}

// checkDir checks the gateway's directory, where every object is a file.
func (c scenario) checkDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read store: %w", err)
	}
	complete := 0
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() == c.size {
			complete++
		}
	}
	return c.checkComplete(complete)
}

func (c scenario) checkComplete(n int) error {
	if n != c.files {
		return fmt.Errorf("%d of %d files are complete at the store", n, c.files)
	}
	return nil
}
