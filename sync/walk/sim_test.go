package walk

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"damsync/cmp"
	"damsync/cmp/cmpsim"
	"damsync/internal/grant"
	"damsync/internal/secret"
)

// churning is a real client of a simulated library that changes before each request.
type churning struct {
	*cmp.Client
	before func()
}

func (c churning) Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error) {
	c.before()
	return c.Client.Assets(ctx, q)
}

// memoryTokens keeps tokens for one process.
type memoryTokens struct {
	mu  sync.Mutex
	set cmp.TokenSet
}

func (m *memoryTokens) Update(ctx context.Context, fn func(context.Context, cmp.TokenSet) (cmp.TokenSet, error)) (cmp.TokenSet, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	set, err := fn(ctx, m.set)
	if err == nil {
		m.set = set
	}
	return set, err
}

// unlimited grants at once.
type unlimited struct{}

func (unlimited) Take(context.Context, grant.Class) error            { return nil }
func (unlimited) Pause(context.Context, time.Duration, string) error { return nil }
func (unlimited) Throttled(context.Context, time.Duration, string) (grant.Throttle, error) {
	return grant.Throttle{Share: 1}, nil
}

// unlimitedClient is a client without pace or quota.
func unlimitedClient(t *rapid.T, at cmpsim.Endpoints, transport http.RoundTripper) *cmp.Client {
	t.Helper()
	login, err := cmp.NewOAuth(cmp.OAuthOptions{
		Grant: cmp.GrantClientCredentials, ClientID: at.ClientID, ClientSecret: secret.New(at.ClientSecret),
		TokenURL: at.TokenURL, Store: &memoryTokens{}, Transport: transport,
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	client, err := cmp.New(cmp.Options{APIURL: at.APIURL, Tokens: login, Grants: unlimited{}, Transport: transport})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return client
}

// rapidly checks a property on few histories, because each costs a second. -rapid.checks changes the number.
func rapidly(t *testing.T, few int, property func(*rapid.T)) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if before := f.Value.String(); before == f.DefValue {
		if err := flag.Set(f.Name, strconv.Itoa(few)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(f.Name, before) }) // it was valid
	}
	rapid.Check(t, property)
}

// A walk over HTTP finds every untouched asset despite the simulator's filters, ties and paging, imports that share a
// second, edits, and single and bulk deletions.
func TestWalkOfASimulatedLibrary(t *testing.T) {
	rapidly(t, 8, func(rt *rapid.T) {
		var clock atomic.Int64
		clock.Store(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).Unix())
		sim := cmpsim.New(cmpsim.Options{
			Seed: rapid.Int64Range(1, 1000).Draw(rt, "seed"), Assets: rapid.IntRange(0, 1500).Draw(rt, "assets"),
			Behavior: cmpsim.Behavior{ExclusiveTimes: rapid.Bool().Draw(rt, "exclusive")},
			Now:      func() time.Time { return time.Unix(clock.Load(), 0) },
		})
		for range rapid.IntRange(0, 3).Draw(rt, "imports") {
			clock.Add(10)
			for n := range rapid.SampledFrom([]int{2, 99, 100, 400, 1200}).Draw(rt, "size") {
				if _, err := sim.AddAsset(cmpsim.NewAsset{Title: fmt.Sprint("import ", n)}); err != nil {
					rt.Fatal(err)
				}
			}
		}
		at, err := sim.Start(context.Background(), "127.0.0.1:0")
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = sim.Close() }()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		lib := churning{Client: unlimitedClient(rt, at, transport), before: func() {}}

		mirror := walkAll(rt, lib, nil)
		truth, err := sim.Assets(0, 0, false)
		if err != nil || len(mirror.seen) != len(truth) {
			rt.Fatalf("%d of %d assets found, %v", len(mirror.seen), len(truth), err)
		}
		rows := make([]cmp.Item, len(truth))
		for i, a := range truth {
			rows[i].ID, rows[i].ModifiedAt = a.ID, a.ModifiedAt
		}
		touched := map[string]bool{}
		lib.before = func() { churnSimulator(rt, sim, &clock, touched) }
		got := walkAll(rt, lib, rows)
		for _, id := range sim.AssetIDs() {
			if !touched[id] && !got.seen[id] {
				rt.Fatalf("%s is missed", id)
			}
		}
		for id := range got.suspects {
			if !touched[id] {
				rt.Fatalf("%s exists and was not touched, but is a suspect", id)
			}
		}
	})
}

func churnSimulator(rt *rapid.T, sim *cmpsim.Simulator, clock *atomic.Int64, touched map[string]bool) {
	clock.Add(1)
	ids := sim.AssetIDs()
	what := rapid.IntRange(0, 5).Draw(rt, "what")
	if what > 3 || len(ids) == 0 {
		return
	}
	i := rapid.IntRange(0, len(ids)-1).Draw(rt, "row")
	var err error
	switch what {
	case 0:
		var id string
		id, err = sim.AddAsset(cmpsim.NewAsset{Title: "new"})
		touched[id] = true
	case 1:
		touched[ids[i]] = true
		err = sim.EditTitle(ids[i], "edited")
	default:
		gone := ids[i:min(len(ids), i+rapid.SampledFrom([]int{1, 1, 40, 400}).Draw(rt, "bulk"))]
		for _, id := range gone {
			touched[id] = true
		}
		err = sim.BulkDelete(gone)
	}
	if err != nil {
		rt.Fatal(err)
	}
}
