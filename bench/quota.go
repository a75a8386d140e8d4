package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	stdsync "sync"
	"time"

	"github.com/spf13/cobra"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/secret"
	"damsync/store"
)

const quotaPerSecond = 10

type quotaOptions struct {
	procs    int
	kills    int
	requests int64
	month    int64
}

func newQuota() *cobra.Command {
	o := quotaOptions{}
	cmd := &cobra.Command{
		Use:   "quota",
		Short: "Spend a budget with several processes that are killed, and months on a virtual clock",
		Long: `quota lets several processes spend one budget as fast as the ledger allows, kills them
with SIGKILL and starts others in their place; a receiver notes when each request
arrives. Then three replicas live two months on a virtual clock, with bulk work that
never has enough, a clock that is set back over the end of the month, and webhooks
every day.`,
		Example: "  go run ./bench quota --procs 3 --kill9 20",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s sheet
			err := withDatabase(cmd.Context(), func(ctx context.Context, d *database) error {
				return errors.Join(o.run(ctx, d, &s), o.months(ctx, d, &s))
			})
			if err != nil {
				return err
			}
			return s.report(cmd)
		},
	}
	cmd.Flags().IntVar(&o.procs, "procs", 3, "processes at a time")
	cmd.Flags().IntVar(&o.kills, "kill9", 20, "processes to be killed")
	cmd.Flags().Int64Var(&o.requests, "requests", 350, "the budget of the processes")
	cmd.Flags().Int64Var(&o.month, "month", 4000, "the budget of each month on the virtual clock")
	return cmd
}

// run has processes spend the budget and kills them on the way, evenly over its first half.
func (o *quotaOptions) run(ctx context.Context, d *database, s *sheet) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	r := newReceiver()
	defer r.close()
	crew := spenders{job: spendJob{Database: d.url, API: r.url(), PerSecond: quotaPerSecond, Budget: o.requests}}
	for range o.procs {
		if err := crew.start(ctx); err != nil {
			return err
		}
	}
	killed := 0
	for ; killed < o.kills; killed++ {
		if !r.await(ctx, o.requests*int64(killed+1)/int64(2*o.kills)) {
			break
		}
		if err := crew.replace(ctx); err != nil {
			return err
		}
	}
	if err := crew.wait(); err != nil {
		return err
	}
	var counted int64
	if err := d.pool.QueryRow(ctx, `SELECT coalesce(sum(used), 0)::bigint FROM damsync.quota_day`).Scan(&counted); err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	arrived := r.times()
	s.exactly(float64(o.kills), "processes killed", float64(killed), "")
	s.atMost(quotaPerSecond, "most arrivals in a sliding second", float64(mostWithin(arrived, time.Second)), "")
	s.atMost(float64(o.requests), "requests that arrived", float64(len(arrived)), "")
	s.exactly(float64(o.requests), "requests counted", float64(counted), "")
	// A kill loses the requests under way.
	s.seen("counted, and lost to a kill", float64(counted)-float64(len(arrived)), fmt.Sprintf("of %d kills with %d workers", o.kills, spendWorkers))
	if n := len(arrived); n > 1 {
		s.seen("pace in use, kills included", float64(n-1)/arrived[n-1].Sub(arrived[0]).Seconds(), "requests/s")
	}
	return nil
}

// spenders are the processes that spend.
type spenders struct {
	job     spendJob
	running []*exec.Cmd
}

func (c *spenders) start(ctx context.Context) error {
	cmd, err := childOf(ctx, "spend", c.job)
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

// replace kills one process and starts another.
func (c *spenders) replace(ctx context.Context) error {
	i := rand.IntN(len(c.running)) //nolint:gosec // anyone will do
	victim := c.running[i]
	c.running = append(c.running[:i], c.running[i+1:]...)
	if err := victim.Process.Kill(); err != nil {
		return fmt.Errorf("kill a process: %w", err)
	}
	_ = victim.Wait() // it says that it was killed
	return c.start(ctx)
}

// wait lets the others spend the rest.
func (c *spenders) wait() error {
	var errs []error
	for _, cmd := range c.running {
		errs = append(errs, cmd.Wait())
	}
	return errors.Join(errs...)
}

// spendWorkers is how many requests a process has in flight at most.
const spendWorkers = 3

type spendJob struct {
	Database, API string
	PerSecond     int
	Budget        int64
}

// playSpend sends requests of several classes until the quota defers each.
func playSpend(ctx context.Context, raw []byte, _ io.Reader, _ io.Writer) error {
	var job spendJob
	if err := json.Unmarshal(raw, &job); err != nil {
		return fmt.Errorf("read job: %w", err)
	}
	pool, err := store.Connect(ctx, job.Database)
	if err != nil {
		return err
	}
	defer pool.Close()
	ledger := store.New(pool, "spender").Ledger(store.LedgerConfig{PerSecond: job.PerSecond, PerMonth: job.Budget})
	client, err := cmp.New(cmp.Options{
		APIURL: job.API, Tokens: anyToken{}, Grants: grant.NewDispatcher(ledger), RequestsPerSecond: job.PerSecond,
	})
	if err != nil {
		return err
	}
	errs := make([]error, spendWorkers)
	var wg stdsync.WaitGroup
	for i, class := range []grant.Class{grant.Webhook, grant.Detail, grant.Sweep} {
		wg.Go(func() { errs[i] = spendAll(grant.WithClass(ctx, class), client) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func spendAll(ctx context.Context, client *cmp.Client) error {
	for {
		_, err := client.Assets(ctx, cmp.AssetQuery{PageSize: 100})
		if _, deferred := errors.AsType[*grant.Deferred](err); deferred {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// anyToken is a login that the receiver does not look at.
type anyToken struct{}

func (anyToken) Token(context.Context) (secret.String, error) { return secret.New("any"), nil }

func (anyToken) Renew(context.Context, secret.String) (secret.String, error) {
	return secret.New("any"), nil
}
