package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"time"

	"damsync/bench/internal/benchkit"
)

// perSecond is the pace of the API.
const perSecond = 10

// processes are children that spend one budget and are killed on the way.
type processes struct {
	count, kills int
	budget       int64
}

// outcome is what became of a budget.
type outcome struct {
	arrivals []time.Time // in order
	killed   int
	counted  int64 // by the ledger
}

// spend has the children spend the budget and kills some, evenly over its first half.
func (p *processes) spend(ctx context.Context) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	err = benchkit.WithDatabase(ctx, func(ctx context.Context, d *benchkit.Database) error {
		r := newReceiver()
		defer r.server.Close()
		c := children{job: spendJob{Database: d.URL, API: r.server.URL, Budget: p.budget}}
		for range p.count {
			if err := c.start(ctx); err != nil {
				return err
			}
		}
		for ; o.killed < p.kills && r.wait(ctx, p.budget*int64(o.killed+1)/int64(2*p.kills)); o.killed++ {
			if err := c.replace(ctx); err != nil {
				return err
			}
		}
		if err := c.wait(); err != nil {
			return err
		}
		o.arrivals = r.sorted()
		err := d.Pool.QueryRow(ctx, `SELECT coalesce(sum(used), 0)::bigint FROM damsync.quota_day`).Scan(&o.counted)
		if err != nil {
			return fmt.Errorf("read ledger: %w", err)
		}
		return nil
	})
	return o, err
}

func (p *processes) judge(s *benchkit.Sheet, o outcome) {
	arrived := len(o.arrivals)
	s.Exactly(float64(p.kills), "processes killed", float64(o.killed), "")
	s.AtMost(perSecond, "most arrivals in a sliding second", float64(mostWithin(o.arrivals, time.Second)), "")
	s.AtMost(float64(p.budget), "requests that arrived", float64(arrived), "")
	s.Exactly(float64(p.budget), "requests counted", float64(o.counted), "")
	// A kill loses the requests under way.
	s.Info("counted, but lost", float64(o.counted)-float64(arrived), fmt.Sprintf("in %d kills with %d workers", p.kills, spendWorkers))
	if arrived > 1 {
		s.Info("pace, kills included", float64(arrived-1)/o.arrivals[arrived-1].Sub(o.arrivals[0]).Seconds(), "requests/s")
	}
}

// mostWithin returns how many of the sorted times fall into the fullest sliding window.
func mostWithin(at []time.Time, window time.Duration) int {
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// children are the running processes.
type children struct {
	job     spendJob
	running []*exec.Cmd
}

func (c *children) start(ctx context.Context) error {
	cmd, err := benchkit.Command(ctx, "spend", c.job)
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a process: %w", err)
	}
	c.running = append(c.running, cmd)
	return nil
}

// replace kills a random process and starts another.
func (c *children) replace(ctx context.Context) error {
	i := rand.IntN(len(c.running)) //nolint:gosec // not a secret
	victim := c.running[i]
	c.running = append(c.running[:i], c.running[i+1:]...)
	if err := victim.Process.Kill(); err != nil {
		return fmt.Errorf("kill a process: %w", err)
	}
	_ = victim.Wait() // reports the kill
	return c.start(ctx)
}

// wait waits until the processes have spent the rest.
func (c *children) wait() error {
	var errs []error
	for _, cmd := range c.running {
		errs = append(errs, cmd.Wait())
	}
	return errors.Join(errs...)
}
