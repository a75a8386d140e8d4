package backlog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/state"
	"damsync/sync/source"
)

// A class that the quota refuses does not end the wait for more urgent work, which is still done.
func TestDeferralConcernsWhatIsLeft(t *testing.T) {
	for _, c := range []struct {
		left    state.Backlog
		asset   string
		refused grant.Class
		want    bool
	}{
		{state.Backlog{Lookups: 3, Urgent: grant.Manual}, "", grant.Detail, false},
		{state.Backlog{Lookups: 3, Urgent: grant.Detail}, "", grant.Detail, true},
		{state.Backlog{Lookups: 3, Urgent: grant.Backfill}, "", grant.Detail, true},
		{state.Backlog{Lookups: 1, Urgent: grant.Manual}, "x", grant.Manual, true},
		{state.Backlog{Placements: 2}, "", grant.Detail, true},
		{state.Backlog{Placements: 1}, "x", grant.Detail, false},
		{state.Backlog{Placements: 1}, "x", grant.Webhook, true},
	} {
		if got := concerns(Options{AssetID: c.asset}, c.left, c.refused); got != c.want {
			t.Errorf("%+v of %q, %s refused: %t", c.left, c.asset, c.refused, got)
		}
	}
}

// counts is a store whose backlog is a function of the time and the scope.
type counts struct {
	started time.Time
	left    func(after time.Duration, scope state.BacklogScope) state.Backlog
}

func (c counts) Now(context.Context) (time.Time, error) { return time.Now(), nil }

func (c counts) Backlog(_ context.Context, scope state.BacklogScope) (state.Backlog, error) {
	return c.left(time.Since(c.started), scope), nil
}

// until is a backlog of lookups or placements that ends after a time.
func until(end time.Duration, b state.Backlog) func(time.Duration, state.BacklogScope) state.Backlog {
	return func(after time.Duration, _ state.BacklogScope) state.Backlog {
		if after >= end {
			return state.Backlog{}
		}
		return b
	}
}

func TestWait(t *testing.T) {
	reading := state.Backlog{Lookups: 3, Urgent: grant.Manual}
	spent := &grant.Deferred{Class: grant.Manual, Until: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, test := range map[string]struct {
		left func(time.Duration, state.BacklogScope) state.Backlog
		note error // how the library answers every second
		took time.Duration
		want error
	}{
		"returns at once when nothing is left":           {until(0, reading), nil, 0, nil},
		"returns when everything is read":                {until(5*time.Second, reading), nil, 5 * time.Second, nil},
		"returns when everything is pushed":              {until(5*time.Second, state.Backlog{Placements: 2}), nil, 5 * time.Second, nil},
		"returns when the removal guard has answered":    {until(5*time.Second, state.Backlog{Waiting: 2}), nil, 5 * time.Second, nil},
		"does not wait for a person":                     {until(time.Hour, state.Backlog{Held: 2, Failed: 3, LookupsFailed: 1}), nil, 0, nil},
		"ends when the quota defers it":                  {until(time.Hour, reading), spent, 0, spent},
		"ends when the login is refused":                 {until(time.Hour, reading), cmp.ErrAuth, 0, cmp.ErrAuth},
		"is patient with a library that answers nothing": {until(time.Hour, reading), cmp.ErrServer, patience, cmp.ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := source.New(nil, zerolog.Nop())
				w := Waiter{Store: counts{time.Now(), test.left}, Source: src}
				for range 10 {
					if test.note != nil {
						src.Note(test.note)
						src.Breaker.Note(grant.Manual, test.note)
					}
				}
				started := time.Now()
				_, err := w.Wait(t.Context(), Options{Progress: func(state.Backlog) {}})
				if !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if took := time.Since(started); took < test.took || took > test.took+time.Second {
					t.Errorf("it took %s, want %s", took, test.took)
				}
			})
		})
	}
}

// Work that others request and plan meanwhile is not waited for, but what the requested lookups plan is.
func TestWaitIsForWhatWasRequestedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		read := started.Add(10 * time.Second) // when the requested lookups are done; each second before plans something
		w := Waiter{Source: source.New(nil, zerolog.Nop()), Store: counts{started, func(after time.Duration, scope state.BacklogScope) state.Backlog {
			if scope.Requested.After(started) {
				t.Errorf("lookups requested up to %s are waited for", scope.Requested.Sub(started))
			}
			if scope.Planned.After(read.Add(time.Second)) {
				t.Errorf("placements planned up to %s are waited for", scope.Planned.Sub(started))
			}
			b := state.Backlog{Urgent: grant.Manual}
			if time.Now().Before(read) {
				b.Lookups = 1
			}
			if after < 20*time.Second && scope.Planned.After(started.Add(9*time.Second)) {
				b.Placements = 1 // the last one
			}
			return b
		}}}
		if _, err := w.Wait(t.Context(), Options{Progress: func(state.Backlog) {}}); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took != 20*time.Second {
			t.Errorf("it took %s, want until the last placement is done", took)
		}
	})
}

// A wait ends with its context, and says why.
func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	w := Waiter{Source: source.New(nil, zerolog.Nop()), Store: counts{time.Now(), until(time.Hour, state.Backlog{Placements: 1})}}
	why := errors.New("interrupted")
	_, err := w.Wait(ctx, Options{Progress: func(state.Backlog) { cancel(why) }})
	if !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}
