package benchkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// childArg is the first argument of a process that runs one part of a program. Parts are processes
// so that their time and memory can be measured apart, and so that they can be killed.
const childArg = "child"

// Part is the work of a child process; job is JSON.
type Part func(ctx context.Context, job []byte) error

// Parts are the parts of a program by name.
type Parts map[string]Part

// IsChild reports whether this process was started by Command.
func IsChild() bool { return len(os.Args) > 1 && os.Args[1] == childArg }

func (p Parts) run(ctx context.Context, args []string) error {
	if len(args) != 2 || p[args[0]] == nil {
		return fmt.Errorf("%s %q: want a part and its job", childArg, args)
	}
	return p[args[0]](ctx, []byte(args[1]))
}

// Task makes a part that does its job and prints the result as JSON.
func Task[J, R any](do func(context.Context, J) (R, error)) Part {
	return func(ctx context.Context, raw []byte) error {
		var job J
		if err := json.Unmarshal(raw, &job); err != nil {
			return fmt.Errorf("read job: %w", err)
		}
		result, err := do(ctx, job)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(result)
	}
}

// Service makes a part that prints its address as JSON, serves until its standard input ends, and
// prints the report that stop returns.
func Service[J, A, R any](start func(context.Context, J) (address A, stop func() (R, error), err error)) Part {
	return func(ctx context.Context, raw []byte) error {
		var job J
		if err := json.Unmarshal(raw, &job); err != nil {
			return fmt.Errorf("read job: %w", err)
		}
		address, stop, err := start(ctx, job)
		if err != nil {
			return err
		}
		out := json.NewEncoder(os.Stdout)
		err = out.Encode(address)
		if err == nil {
			_, err = io.Copy(io.Discard, os.Stdin)
		}
		report, failed := stop()
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		return out.Encode(report)
	}
}

// Command returns the command of a part, not started yet.
func Command(ctx context.Context, part string, job any) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode job: %w", err)
	}
	return exec.CommandContext(ctx, self, childArg, part, string(raw)), nil //nolint:gosec // this very binary
}

// RunTask runs a Task to its end and decodes its result.
func RunTask(ctx context.Context, part string, job, result any) (Usage, error) {
	cmd, err := Command(ctx, part, job)
	if err != nil {
		return Usage{}, err
	}
	used, out, err := Measure(cmd)
	if err != nil {
		return used, err
	}
	if err := json.Unmarshal(out, result); err != nil {
		return used, fmt.Errorf("read result of %s: %w", part, err)
	}
	return used, nil
}

// Server is a child process that runs a Service.
type Server struct {
	cmd *exec.Cmd
	in  io.Closer
	out *json.Decoder
}

// StartService starts a Service and waits for its address.
func StartService(ctx context.Context, part string, job, address any) (*Server, error) {
	cmd, err := Command(ctx, part, job)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", part, err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", part, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", part, err)
	}
	s := &Server{cmd: cmd, in: in, out: json.NewDecoder(out)}
	if err := s.out.Decode(address); err != nil {
		return nil, errors.Join(fmt.Errorf("read address of %s: %w", part, err), s.in.Close(), s.cmd.Wait())
	}
	return s, nil
}

// Stop ends the service, decodes its report unless that is nil, and returns the processor time used.
func (s *Server) Stop(report any) (time.Duration, error) {
	err := s.in.Close()
	if report != nil {
		err = errors.Join(err, s.out.Decode(report))
	}
	err = errors.Join(err, s.cmd.Wait())
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime(), err
}
