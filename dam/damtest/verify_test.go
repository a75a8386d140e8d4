package damtest_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/damtest"
	"damsync/dam/damtest/memory"
)

// A live target has no hooks.
func TestVerifyWithoutHooksCleansUp(t *testing.T) {
	store := memory.NewStore()
	var passed, skipped int
	ok := damtest.Verify(t.Context(), func(context.Context) (damtest.Target, error) {
		if paths, _ := store.Paths(t.Context()); len(paths) != 0 {
			t.Errorf("left by the previous case: %q", paths)
		}
		target := store.Target()
		bare := damtest.Target{Name: target.Name, Open: target.Open, Clean: true}
		return bare, nil
	}, func(r damtest.Result) {
		switch r.Outcome {
		case damtest.Passed:
			passed++
		case damtest.Skipped:
			skipped++
			if len(r.Messages) == 0 {
				t.Errorf("%s was skipped without a reason", r.Case)
			}
		default:
			t.Errorf("%s: %q", r.Case, r.Messages)
		}
	})
	if paths, _ := store.Paths(t.Context()); len(paths) != 0 || !ok {
		t.Errorf("passed %v, left %q", ok, paths)
	}
	if passed < skipped {
		t.Errorf("%d cases passed without hooks, %d were skipped", passed, skipped)
	}
}

func TestVerifyReportsATargetThatCannotBeMade(t *testing.T) {
	reported := 0
	ok := damtest.Verify(t.Context(), func(context.Context) (damtest.Target, error) {
		return damtest.Target{}, errors.New("no bucket")
	}, func(r damtest.Result) {
		reported++
		if r.Outcome != damtest.Failed || len(r.Messages) != 1 {
			t.Errorf("%+v", r)
		}
	})
	if ok || reported == 0 {
		t.Errorf("passed %v with %d results", ok, reported)
	}
}

func TestVerifySurvivesPanics(t *testing.T) {
	ok := damtest.Verify(t.Context(), func(context.Context) (damtest.Target, error) {
		return damtest.Target{Name: "x", Open: func(string) (dam.Adapter, error) { panic("a nil map") }}, nil
	}, func(r damtest.Result) {
		if r.Outcome != damtest.Failed {
			t.Errorf("%s %s", r.Case, r.Outcome)
		}
	})
	if ok {
		t.Error("passed")
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reported := 0
	ok := damtest.Verify(ctx, func(context.Context) (damtest.Target, error) {
		return memory.NewStore().Target(), nil
	}, func(damtest.Result) {
		if reported++; reported == 3 {
			cancel()
		}
	})
	if ok || reported != 3 {
		t.Errorf("passed %v with %d results", ok, reported)
	}
}

// A target that resumes only after gigabytes is not tested for it.
func TestLargePartsAreSkipped(t *testing.T) {
	for name, r := range verify(t, func(target *damtest.Target, store *memory.Store) {
		target.Open = func(instance string) (dam.Adapter, error) {
			b := correct(store, instance)
			b.describe = func(c dam.Capabilities) dam.Capabilities {
				c.MinPartBytes = 5 << 30
				return c
			}
			return b, nil
		}
	}) {
		resumes := strings.HasPrefix(name, "resume/")
		if resumes != (r.Outcome == damtest.Skipped) || resumes && !strings.Contains(r.Messages[0], "5368709120") {
			t.Errorf("%s %s: %q", name, r.Outcome, r.Messages)
		}
	}
}
