package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
)

// host gives download URLs by number, of which some have expired.
type host struct {
	Library
	numbered int
	expired  map[string]bool
	without  map[string]bool // assets without a URL
	fail     error           // what a request for URLs ends with
	used     []string        // URLs
	classes  []grant.Class   // of the requests for URLs
}

func (h *host) FileURLs(ctx context.Context, ids []string) (map[string]library.DownloadURL, error) {
	h.classes = append(h.classes, grant.ClassOf(ctx))
	if h.fail != nil {
		return nil, h.fail
	}
	urls := map[string]library.DownloadURL{}
	for _, id := range ids {
		if !h.without[id] {
			h.numbered++
			urls[id] = library.NewDownloadURL(fmt.Sprint(id, h.numbered))
		}
	}
	return urls, nil
}

func (h *host) Download(_ context.Context, u library.DownloadURL, _ int64) (*cmp.Download, error) {
	h.used = append(h.used, u.Reveal())
	if h.expired[u.Reveal()] {
		return nil, cmp.ErrExpiredURL
	}
	return &cmp.Download{}, nil
}

func TestOpenUsesAURLThatWorks(t *testing.T) {
	for name, test := range map[string]struct {
		cached  string
		host    host
		used    []string
		fetched int
		want    error
	}{
		"the one at hand":                            {"cached", host{}, []string{"cached"}, 0, nil},
		"a fresh one when there is none at hand":     {"", host{}, []string{"a1"}, 1, nil},
		"a fresh one when that at hand has expired":  {"cached", host{expired: map[string]bool{"cached": true}}, []string{"cached", "a1"}, 1, nil},
		"one fresh one only":                         {"cached", host{expired: map[string]bool{"cached": true, "a1": true}}, []string{"cached", "a1"}, 1, cmp.ErrExpiredURL},
		"none, and says that the library gives none": {"", host{without: map[string]bool{"a": true}}, nil, 1, ErrNoURL},
		"none, and says why none could be requested": {"", host{fail: cmp.ErrServer}, nil, 1, cmp.ErrServer},
	} {
		t.Run(name, func(t *testing.T) {
			h := test.host
			s := New(&h, zerolog.Nop())
			s.URLs.Put("a", library.NewDownloadURL(test.cached))
			if _, err := s.Open(t.Context(), grant.Sweep, "a", 0); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if !slices.Equal(h.used, test.used) || len(h.classes) != test.fetched {
				t.Errorf("used %q after %d requests for URLs, want %q after %d", h.used, len(h.classes), test.used, test.fetched)
			}
		})
	}
}

// URLs of planned placements do not wait behind details of assets that are not planned yet.
func TestURLsAreAtLeastAsUrgentAsThePoll(t *testing.T) {
	for class, want := range map[grant.Class]grant.Class{
		grant.Webhook: grant.Webhook, grant.Manual: grant.Manual, grant.Incremental: grant.Incremental,
		grant.Detail: grant.Incremental, grant.Backfill: grant.Incremental, "": grant.Incremental,
	} {
		var h host
		if err := New(&h, zerolog.Nop()).FetchURLs(t.Context(), class, []string{"a"}); err != nil || h.classes[0] != want {
			t.Errorf("%q is requested by class %q, %v, want %q", class, h.classes[0], err, want)
		}
	}
}

func TestURLsEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewURLCache()
		c.Put("a", library.NewDownloadURL("u"))
		time.Sleep(urlAge)
		if !c.Has("a") {
			t.Error("it ended too early")
		}
		time.Sleep(time.Second)
		if c.Has("a") {
			t.Error("it is still used")
		}
	})
	t.Run("and do not fill the memory", func(t *testing.T) {
		c := NewURLCache()
		for i := range 3 * urlLimit {
			c.Put(fmt.Sprint(i), library.NewDownloadURL("u"))
		}
		if n := len(c.urls); n > urlLimit {
			t.Errorf("%d URLs are kept", n)
		}
		if !c.Has(fmt.Sprint(3*urlLimit - 1)) {
			t.Error("the newest is not kept")
		}
	})
}

func TestSourceRemembersItsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := New(&host{}, zerolog.New(&log))
		spent := &grant.Deferred{Class: grant.Sweep, Until: time.Now().Add(time.Hour), Reason: "spent"}
		for _, step := range []struct {
			what     string
			note     error
			failed   bool
			deferred bool
		}{
			{"nothing was read yet", nil, false, false},
			{"a failure", cmp.ErrServer, true, false},
			{"a canceled context says nothing", fmt.Errorf("read: %w", context.Canceled), true, false},
			{"a refusal by the quota is no failure", fmt.Errorf("read: %w", spent), true, true},
			{"a success ends the failure, and the refusal holds for its class", nil, false, true},
		} {
			s.Note(step.note)
			if _, deferred := s.Deferred(); (s.Failure() != nil) != step.failed || deferred != step.deferred {
				t.Errorf("%s: failure %+v, deferred %t", step.what, s.Failure(), deferred)
			}
		}
		for range 3 {
			s.NoteDeferred(&grant.Deferred{Class: spent.Class, Until: spent.Until, Reason: "spent"})
		}
		if n := strings.Count(log.String(), "quota defers work"); n != 1 {
			t.Errorf("one refusal is logged %d times", n)
		}
		time.Sleep(time.Hour)
		if _, deferred := s.Deferred(); deferred {
			t.Error("the refusal holds after its end")
		}
	})
}
