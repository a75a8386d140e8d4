package benchkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process used.
type Usage struct {
	Wall time.Duration
	CPU  time.Duration
	Peak int64 // highest resident memory in bytes
}

// Measure runs a command to its end and returns its usage and standard output.
func Measure(cmd *exec.Cmd) (Usage, []byte, error) {
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return Usage{}, nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	ended := make(chan struct{})
	peak := make(chan int64)
	go func() { peak <- watchPeak(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	used := Usage{Wall: time.Since(began)}
	close(ended)
	used.Peak = <-peak
	if err != nil {
		return used, nil, fmt.Errorf("%s: %w\n%s", cmd.Path, err, stderr.Bytes())
	}
	used.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return used, out.Bytes(), nil
}

// watchPeak samples the high-water mark of a process's memory until it ends. The kernel's rusage of
// a child would include the memory of this process, from which the child was forked.
func watchPeak(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		peak = max(peak, residentPeak(pid))
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
	}
}

// residentPeak returns 0 when the system has no /proc or the process is gone.
func residentPeak(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
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

// MiB converts bytes to mebibytes.
func MiB(n int64) float64 { return float64(n) / (1 << 20) }

// Milliseconds converts a duration to milliseconds.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
