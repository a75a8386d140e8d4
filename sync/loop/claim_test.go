package loop

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// empty has work that looks due and cannot be claimed.
type empty struct{ claims int }

func (e *empty) Claim(context.Context, int) ([]func(context.Context), error) {
	e.claims++
	return nil, nil
}

func (e *empty) Next(context.Context) (time.Duration, bool, error) { return 0, true, nil }

// Work that looks due and cannot be claimed does not make the pool spin.
func TestPoolDoesNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		work := &empty{}
		pool := Pool{Claimer: work, Workers: 4, Wakeup: NewWakeup(), SlowPoll: 30 * time.Second, Log: zerolog.Nop()}
		if err := pool.Run(ctx); err != nil || work.claims > 60 {
			t.Errorf("%d claims in a minute, %v", work.claims, err)
		}
	})
}

// queue is work that waits to be claimed.
type queue struct {
	mu      sync.Mutex
	waiting []func(context.Context)
	next    time.Duration // until further work is due; zero: there is none
	fail    error
	offered []int // how much each claim could take
}

func (q *queue) add(jobs ...func(context.Context)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, jobs...)
}

func (q *queue) Claim(_ context.Context, n int) ([]func(context.Context), error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.offered = append(q.offered, n)
	if q.fail != nil {
		return nil, q.fail
	}
	n = min(n, len(q.waiting))
	jobs := slices.Clone(q.waiting[:n])
	q.waiting = q.waiting[n:]
	return jobs, nil
}

func (q *queue) Next(context.Context) (time.Duration, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next, q.next > 0, nil
}

func (q *queue) claims() []int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.offered)
}

func newPool(q *queue, workers int) *Pool {
	return &Pool{Claimer: q, Workers: workers, Wakeup: NewWakeup(), SlowPoll: 30 * time.Second, Log: zerolog.Nop()}
}

// A pool claims no more than its idle workers can do at once.
func TestPoolClaimsForIdleWorkersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		var mu sync.Mutex
		running, most, done := 0, 0, 0
		for i := range 20 {
			q.add(func(context.Context) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Duration(i%3+1) * time.Second)
				mu.Lock()
				running--
				done++
				mu.Unlock()
			})
		}
		stop := start(t, newPool(&q, 4).Run)
		time.Sleep(time.Hour)
		stop()
		if most != 4 || done != 20 {
			t.Errorf("%d of 20 jobs done, at most %d at once", done, most)
		}
	})
}

// Run returns when its jobs have: they get the canceled context and end by it.
func TestPoolWaitsForItsJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		done := false
		q.add(func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Minute) // gives its work back
			done = true
		})
		stop := start(t, newPool(&q, 4).Run)
		synctest.Wait()
		stopping := time.Now()
		stop()
		if took := time.Since(stopping); !done || took != time.Minute {
			t.Errorf("it returned after %s, job done: %t", took, done)
		}
	})
}

func TestPoolLooksForWork(t *testing.T) {
	for name, test := range map[string]struct {
		arrange func(*queue, *Pool)
		within  time.Duration
	}{
		"at once after a wake-up": {func(_ *queue, p *Pool) { p.Wakeup.Signal() }, 0},
		"without a wake-up":       {func(*queue, *Pool) {}, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q queue
				p := newPool(&q, 2)
				defer start(t, p.Run)()
				synctest.Wait()
				came := time.Now()
				done := make(chan time.Duration, 1)
				q.add(func(context.Context) { done <- time.Since(came) })
				test.arrange(&q, p)
				if took := <-done; took != test.within {
					t.Errorf("it began after %s, want %s", took, test.within)
				}
			})
		})
	}
	t.Run("when the next piece is due", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := queue{next: 7 * time.Second}
			defer start(t, newPool(&q, 2).Run)()
			time.Sleep(7*time.Second - time.Nanosecond)
			synctest.Wait()
			before := len(q.claims())
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if after := len(q.claims()); before != 1 || after != 2 {
				t.Errorf("%d claims before it is due, %d after", before, after)
			}
		})
	})
	t.Run("after a job, whose work may be due again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var q queue
			done := make(chan time.Duration, 1)
			started := time.Now()
			q.add(func(context.Context) {
				time.Sleep(time.Second)
				q.add(func(context.Context) { done <- time.Since(started) })
			})
			defer start(t, newPool(&q, 2).Run)()
			if took := <-done; took != time.Second {
				t.Errorf("what the job gave back began after %s", took)
			}
		})
	})
	t.Run("less and less often while the database fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			q := queue{fail: errors.New("connection refused")}
			stop := start(t, newPool(&q, 2).Run)
			time.Sleep(10 * time.Minute)
			stop()
			// Five waits of a second, doubled, and then one of 15 to 30 seconds each.
			if n := len(q.claims()); n < 20 || n > 50 {
				t.Errorf("%d claims in ten minutes", n)
			}
		})
	})
}
