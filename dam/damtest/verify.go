package damtest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Outcome is how a case ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is the result of one case.
type Result struct {
	Case     string // group/case
	Outcome  Outcome
	Messages []string // failures, or the reason for a skip
	Took     time.Duration
}

// Verify runs the cases outside go test, passes each result to report, and reports
// whether none failed. It calls newTarget for each case. newTarget has to return an
// empty place, such as a new prefix or, with Target.Clean, the same one again; its
// error fails the case. When ctx ends, the current case fails and no other starts.
func Verify(ctx context.Context, newTarget func(context.Context) (Target, error), report func(Result)) bool {
	root := &check{ctx: ctx, report: report}
	Run(root, func(c *check) Target {
		target, err := newTarget(c.ctx)
		if err != nil {
			c.Fatalf("make target: %v", err)
		}
		return target
	})
	return !root.Failed()
}

// check is a Runner outside go test.
type check struct {
	ctx    context.Context //nolint:containedctx // as testing.T has it
	name   string
	report func(Result)

	mu       sync.Mutex
	outcome  Outcome
	messages []string
	cleanups []func()
	parent   bool // has run sub-tests
}

func (c *check) Context() context.Context { return c.ctx }
func (c *check) Helper()                  {}
func (c *check) Logf(string, ...any)      {}

func (c *check) Errorf(format string, args ...any) { c.end(Failed, fmt.Sprintf(format, args...)) }

func (c *check) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	runtime.Goexit()
}

func (c *check) Skipf(format string, args ...any) {
	c.end(Skipped, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

func (c *check) end(o Outcome, message string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcome != Failed {
		c.outcome = o
	}
	if message != "" {
		c.messages = append(c.messages, message)
	}
}

func (c *check) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outcome == Failed
}

func (c *check) Cleanup(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleanups = append(c.cleanups, f)
}

// Run implements Runner.
func (c *check) Run(name string, f func(*check)) bool {
	c.parent = true
	if c.ctx.Err() != nil {
		c.end(Failed, c.ctx.Err().Error())
		return false
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	sub := &check{ctx: ctx, name: name, report: c.report, outcome: Passed}
	if c.name != "" {
		sub.name = c.name + "/" + name
	}
	start := time.Now()
	sub.separately(func() { f(sub) })
	for _, cleanup := range slices.Backward(sub.cleanups) {
		sub.separately(cleanup)
	}
	if !sub.parent {
		c.report(Result{Case: sub.name, Outcome: sub.outcome, Messages: sub.messages, Took: time.Since(start)})
	}
	if sub.Failed() {
		c.end(Failed, "")
	}
	return !sub.Failed()
}

// separately runs f in a goroutine of its own, which f may end, and waits for it. A
// panic of an adapter fails only its case.
func (c *check) separately(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				c.Errorf("panic: %v", p)
			}
		}()
		f()
	}()
	<-done
}
