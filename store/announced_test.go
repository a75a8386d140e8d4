package store

import (
	"testing"
	"time"

	"damsync/internal/library"
	"damsync/internal/pgtest"
	"damsync/internal/state"
)

// A change is announced when an event found it or came near it; one that the first reading of the library finds
// was never to be announced.
func TestAnnounced(t *testing.T) {
	pool := pgtest.Pool(t)
	s := New(pool, "a")
	old := func(a *library.Asset) { a.CreatedAt = time.Now().Add(-48 * time.Hour) }
	fresh := func(a *library.Asset) { a.CreatedAt = time.Now() }
	apply(t, s, second(1), nil, summary("told", old), summary("silent", old), summary("by event", old), summary("title alone", old))
	from := now(t, s)
	poll := func(rows ...library.Asset) {
		t.Helper()
		if _, err := s.ApplySummaries(t.Context(), polled(), now(t, s), rows, nil); err != nil {
			t.Fatal(err)
		}
	}
	announced := func() state.Announcement {
		t.Helper()
		a, err := s.Announced(t.Context(), from, now(t, s), time.Minute, time.Minute)
		must(t, err)
		return a
	}
	storeEvent(t, s, modifiedEvent("told"))
	poll(summary("told", old, modified(second(5))), summary("title alone", old, titled("another")))
	applyReading(t, s, state.Lookup{AssetID: "by event", Observation: state.Observation{Kind: state.KindWebhook}}, reading(summary("by event", old, modified(second(6))), now(t, s)), nil)
	if got := announced(); got != (state.Announcement{Announced: 2}) {
		t.Errorf("judged %+v, want two announced", got)
	}
	poll(summary("silent", old, modified(second(7))), summary("appeared", old))
	if got := announced(); got != (state.Announcement{Announced: 2, Unannounced: 1, Asset: "silent"}) {
		t.Errorf("judged %+v, want the silent one, too", got)
	}
	poll(summary("added", fresh))
	if got := announced(); got.Unannounced != 2 || got.Asset != "added" {
		t.Errorf("judged %+v, want the added one, too", got)
	}
}
