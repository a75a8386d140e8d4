package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/store"
	"damsync/sync"
	"damsync/sync/plan"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func newMirror() *cobra.Command {
	assets := quantity(100_000)
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Mirror a library through the real client and store",
		Long: `mirror sweeps a simulated library without limits into an empty mirror, and once more when
nothing has changed; a rule selects by summary, so that planning is part of it. The
simulator and the daemon's part run in processes of their own; they and PostgreSQL share
the machine's cores. The API at its best gives 1,000 assets a second.`,
		Example: "  go run ./bench mirror -n 1e5",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			if err := withDatabase(cmd.Context(), func(ctx context.Context, d *database) error { return mirror(ctx, d, int(assets), &s) }); err != nil {
				return err
			}
			return s.report(cmd)
		},
	}
	cmd.Flags().VarP(&assets, "assets", "n", "assets of the library")
	return cmd
}

// apiPace is what the API gives at its best: ten pages of a hundred a second.
const apiPace = 1000.0

// mirrorJob is a library to be mirrored.
type mirrorJob struct {
	Database string
	Library  cmpsim.Endpoints
	Assets   int
}

// mirrorPass is what one sweep took of the daemon's part.
type mirrorPass struct {
	Took, CPU time.Duration
	Requests  int64
	Changed   int64
}

func mirror(ctx context.Context, d *database, assets int, s *sheet) error {
	var passes [2]mirrorPass
	var c cost
	err := withSimulator(ctx, assets, func(at cmpsim.Endpoints) error {
		cmd, err := childOf(ctx, "mirror", mirrorJob{Database: d.url, Library: at, Assets: assets})
		if err != nil {
			return err
		}
		var said []byte
		if c, said, err = measured(cmd); err != nil {
			return err
		}
		return json.Unmarshal(said, &passes)
	})
	if err != nil {
		return err
	}
	first, again := passes[0], passes[1]
	rate := func(p mirrorPass) float64 { return float64(assets) / p.Took.Seconds() }
	mirrored, err := d.store.CountAssets(ctx)
	if err != nil {
		return err
	}
	s.exactly(float64(assets), "assets mirrored", float64(mirrored), "")
	s.exactly(0, "assets changed by the second pass", float64(again.Changed), "")
	s.seen("first pass", rate(first), "assets/s")
	s.atLeast(10, "first pass / the API's pace", rate(first)/apiPace, "")
	s.seen("unchanged pass", rate(again), "assets/s")
	s.seen("requests / (N/97)", float64(first.Requests)/(float64(assets)/97), "")
	s.seen("processor time, first pass", float64(first.CPU.Microseconds())/float64(assets), "µs/asset")
	s.seen("processor time, unchanged pass", float64(again.CPU.Microseconds())/float64(assets), "µs/asset")
	s.atMost(40, "memory resident at its peak", mebibytes(c.Peak), "MiB")
	return nil
}

// withSimulator serves a library from another process while do runs.
func withSimulator(ctx context.Context, assets int, do func(cmpsim.Endpoints) error) (err error) {
	cmd, err := childOf(ctx, "library", assets)
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start simulator: %w", err)
	}
	defer func() { err = errors.Join(err, in.Close(), cmd.Wait()) }()
	var at cmpsim.Endpoints
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&at); err != nil {
		return fmt.Errorf("read where the simulator listens: %w", err)
	}
	return do(at)
}

// playLibrary is the part of the simulator: it says where it listens, and serves until standard
// input ends.
func playLibrary(ctx context.Context, job []byte, stdin io.Reader, stdout io.Writer) error {
	var assets int
	if err := json.Unmarshal(job, &assets); err != nil {
		return err
	}
	sim := cmpsim.New(cmpsim.Options{Seed: 1, Assets: assets})
	at, err := sim.Start(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(at); err != nil {
		return errors.Join(err, sim.Close())
	}
	_, err = io.Copy(io.Discard, stdin)
	return errors.Join(err, sim.Close())
}

// playMirror is the part of the daemon.
func playMirror(ctx context.Context, raw []byte, _ io.Reader, stdout io.Writer) error {
	var job mirrorJob
	if err := json.Unmarshal(raw, &job); err != nil {
		return err
	}
	pool, err := store.Connect(ctx, job.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	client, err := unlimitedClient(job.Library)
	if err != nil {
		return err
	}
	rule, problems := plan.Compile(plan.Spec{
		Name: "none", Select: plan.Select{Folders: []string{"/Brand/**"}, Expired: plan.ExpiredIgnore, When: `asset.title == "no such title"`},
	})
	if len(problems) > 0 {
		return fmt.Errorf("compile rule: %v", problems)
	}
	engine := sync.New(sync.Options{
		Library: client, Store: store.New(pool, "bench"), Instance: "bench", Targets: []sync.Target{{Rule: rule}}, Log: zerolog.Nop(),
	})
	if err := engine.RefreshReferences(ctx, grant.Manual); err != nil {
		return err
	}
	var passes [2]mirrorPass
	for i := range passes {
		if passes[i], err = sweepOnce(ctx, engine); err != nil {
			return err
		}
	}
	return json.NewEncoder(stdout).Encode(passes)
}

func sweepOnce(ctx context.Context, engine *sync.Engine) (mirrorPass, error) {
	begun, spent := time.Now(), processorTime()
	p, err := engine.Sweep(ctx, sync.SweepOptions{Class: grant.Backfill})
	return mirrorPass{Took: time.Since(begun), CPU: processorTime() - spent, Requests: p.Requests, Changed: p.Changed}, err
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // not on Unix
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
