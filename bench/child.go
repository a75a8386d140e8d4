package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// childCommand is the first argument of a process that plays a part in a program.
// Parts run in processes of their own so that time and memory are theirs alone.
const childCommand = "child"

// part is what a child does with its job, in JSON.
type part func(ctx context.Context, job []byte, stdin io.Reader, stdout io.Writer) error

func newChild(parts map[string]part) *cobra.Command {
	return &cobra.Command{
		Use: childCommand + " PART JOB", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			play, ok := parts[args[0]]
			if !ok {
				return fmt.Errorf("no part is called %q", args[0])
			}
			return play(cmd.Context(), []byte(args[1]), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// childOf makes the command of a part, not started yet.
func childOf(ctx context.Context, part string, job any) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, self, childCommand, part, string(raw)), nil //nolint:gosec // this very binary
}

// server is a child that serves until its standard input ends.
type server struct {
	url  string
	cmd  *exec.Cmd
	in   io.Closer
	said *json.Decoder
}

// startServer waits until the part has said, as its first line of JSON, where it listens.
func startServer(s *stage, part string, job any) *server {
	cmd, err := childOf(s.Context(), part, job)
	if err != nil {
		s.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	c := &server{cmd: cmd, in: in, said: json.NewDecoder(out)}
	s.Cleanup(func() { _ = c.end(nil) })
	if err := c.said.Decode(&c.url); err != nil {
		s.Fatalf("start %s: %v", part, err)
	}
	return c
}

// end has the part finish and reads its last word. It may be called again.
func (c *server) end(lastWord any) error {
	if c.cmd.ProcessState != nil {
		return nil
	}
	err := c.in.Close()
	if lastWord != nil {
		err = errors.Join(err, c.said.Decode(lastWord))
	}
	return errors.Join(err, c.cmd.Wait())
}

// cost is what a process took.
type cost struct {
	Took time.Duration
	CPU  time.Duration
	Peak int64 // bytes resident
}

// measured runs a command to its end and gives its output.
func measured(cmd *exec.Cmd) (cost, []byte, error) {
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return cost{}, nil, err
	}
	ended := make(chan struct{})
	peak := make(chan int64)
	go func() { peak <- watchPeak(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	c := cost{Took: time.Since(begun)}
	close(ended)
	c.Peak = <-peak
	if err != nil {
		return c, nil, fmt.Errorf("%s: %w\n%s", cmd.Path, err, problems.Bytes())
	}
	c.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, out.Bytes(), nil
}

// watchPeak reads the high-water mark of a process's memory until it has ended. What
// getrusage says of a child would count this process, too, whose memory it was born in.
func watchPeak(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		peak = max(peak, peakOf(fmt.Sprintf("/proc/%d/status", pid)))
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
	}
}

// peakOf gives 0 where there is no such file.
func peakOf(status string) int64 {
	text, err := os.ReadFile(status)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if kib, found := strings.CutPrefix(line, "VmHWM:"); found {
			n, _ := strconv.ParseInt(strings.Fields(kib)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}
