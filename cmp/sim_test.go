package cmp_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"damsync/cmp"
	"damsync/cmp/cmpsim"
	"damsync/cmp/cmpsim/simcheck"
	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/secret"
)

// ledger is a grant.Ledger in memory for ten requests a second, spaced as the durable
// one spaces them.
type ledger struct {
	mu     sync.Mutex
	slot   time.Time // of the next request
	paused time.Time
}

func (l *ledger) Take(context.Context, grant.Class) (grant.Decision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	switch {
	case now.Before(l.paused):
		return grant.Decision{Wait: l.paused.Sub(now)}, nil
	case now.Before(l.slot):
		return grant.Decision{Wait: l.slot.Sub(now)}, nil
	}
	l.slot = now.Add(108 * time.Millisecond)
	return grant.Decision{At: now}, nil
}

func (l *ledger) Pause(_ context.Context, d time.Duration, _ string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = time.Now().Add(d)
	return nil
}

func (l *ledger) Throttled(ctx context.Context, d time.Duration, reason string) (grant.Throttle, error) {
	return grant.Throttle{Share: 1}, l.Pause(ctx, d, reason)
}

// simulated is a client of a simulated CMP, on fake time.
type simulated struct {
	*cmp.Client
	sim *cmpsim.Simulator
}

// simulate runs test in a synctest bubble. checker, when there is one, validates every
// API request against the vendor's document.
func simulate(t *testing.T, o cmpsim.Options, checker *simcheck.Checker, test func(t *testing.T, s simulated)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := cmpsim.New(o)
		at, dial := sim.StartPipes()
		transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(120 * time.Millisecond) // dialing and the TLS handshake
			return dial(ctx, network, addr)
		}}
		defer func() {
			time.Sleep(time.Second) // net/http may still be dialing a spare connection
			transport.CloseIdleConnections()
			if err := sim.Close(); err != nil {
				t.Error(err)
			}
		}()
		var rt http.RoundTripper = transport
		if checker != nil {
			rt = checker.RoundTripper(rt, func(err error) { t.Error(err) })
		}
		login, err := cmp.NewOAuth(cmp.OAuthOptions{
			Grant: cmp.GrantClientCredentials, ClientID: at.ClientID, ClientSecret: secret.New(at.ClientSecret),
			TokenURL: at.TokenURL, Store: newMemoryStore(), Transport: transport,
		})
		if err != nil {
			t.Fatal(err)
		}
		client, err := cmp.New(cmp.Options{
			APIURL: at.APIURL, Tokens: login, Transport: rt,
			Grants: grant.NewDispatcher(&ledger{}), RequestsPerSecond: 10,
		})
		if err != nil {
			t.Fatal(err)
		}
		test(t, simulated{client, sim})
	})
}

// readAll pages through the whole library by offset. The library must not change.
func (s simulated) readAll(ctx context.Context) ([]cmp.Item, error) {
	var all []cmp.Item
	for {
		page, err := s.Assets(ctx, cmp.AssetQuery{Offset: len(all), PageSize: 100})
		if err != nil {
			return nil, err
		}
		if len(page.Bad) > 0 {
			return nil, page.Bad[0]
		}
		all = append(all, page.Items...)
		if !page.More {
			return all, nil
		}
	}
}

// Every call is validated against the vendor's document and compared with the
// simulator's data.
func TestReadsTheSimulatedLibrary(t *testing.T) {
	checker := simcheck.ForTest(t)
	for _, rootsOnly := range []bool{false, true} {
		o := cmpsim.Options{Seed: 3, Assets: 230, RequestsPerSecond: 10, Behavior: cmpsim.Behavior{RootFoldersOnly: rootsOnly}}
		simulate(t, o, checker, func(t *testing.T, s simulated) {
			items, err := s.readAll(t.Context())
			if err != nil || len(items) != 230 {
				t.Fatalf("%d assets, %v", len(items), err)
			}
			for _, item := range items[:25] {
				s.check(t, item)
			}
			folders, err := s.Folders(t.Context())
			if err != nil || len(folders) != len(s.sim.Folders()) {
				t.Errorf("%d folders of %d, %v", len(folders), len(s.sim.Folders()), err)
			}
			groups, err := s.LabelGroups(t.Context())
			if err != nil || len(groups) != len(s.sim.Labels()) {
				t.Errorf("%d label groups of %d, %v", len(groups), len(s.sim.Labels()), err)
			}
			if defs, err := s.FieldDefinitions(t.Context()); err != nil || len(defs) == 0 {
				t.Errorf("%d field definitions, %v", len(defs), err)
			}
			if err := s.sim.DeleteAsset(items[0].ID); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Asset(t.Context(), cmp.Ref{ID: items[0].ID, Type: items[0].Type, Self: items[0].Self}); !isClass(err, cmp.ErrNotFound) {
				t.Errorf("a deleted asset: %v", err)
			}
			if c := s.sim.Counters(); c.Leaks != 0 || c.Statuses[429] != 0 {
				t.Errorf("counters %+v", c)
			}
		})
	}
}

// check compares one asset on all levels with the simulator's data.
func (s simulated) check(t *testing.T, item cmp.Item) {
	t.Helper()
	truth, err := s.sim.Asset(item.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []cmp.Ref{{ID: item.ID, Type: item.Type, Self: item.Self}, {ID: item.ID, Type: item.Type}, {ID: item.ID}} {
		d, err := s.Asset(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if d.Asset.Digest() != item.Digest() {
			t.Errorf("%+v: row and detail differ", ref)
		}
		hasFile, size := truth.Size > 0, truth.Size // articles have no description
		if !hasFile {
			size = library.UnknownSize
		}
		if d.Detail.Size != size || hasFile && d.Detail.Description != truth.Description ||
			d.Detail.VersionID != truth.VersionID && truth.Type != library.TypeStructuredContent {
			t.Errorf("%+v: detail has size %d, description %q, version %q", ref, d.Detail.Size, d.Detail.Description, d.Detail.VersionID)
		}
	}
	fields, err := s.Fields(t.Context(), item.ID)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range truth.Fields {
		if got := shownValues(fields, name); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("field %s is %v, want %v", name, got, want)
		}
	}
	if truth.Size == 0 {
		return
	}
	urls, err := s.FileURLs(t.Context(), []string{item.ID, "ffffffffffffffffffffffffffffffff"})
	if err != nil || len(urls) != 1 {
		t.Fatalf("URLs %v, %v", urls, err)
	}
	for _, u := range []library.DownloadURL{item.URL, urls[item.ID]} {
		body := s.bytes(t, u)
		if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != truth.SHA256 {
			t.Errorf("%s: %d bytes that are not the asset's", item.Title, len(body))
		}
	}
}

// shownValues returns a field's values as people see them: choices by name.
func shownValues(f library.Fields, name string) []string {
	for _, v := range f.Values {
		if v.Name == name && len(v.Names) > 0 {
			return v.Names
		}
		if v.Name == name {
			return v.Values
		}
	}
	return nil
}

func (s simulated) bytes(t *testing.T, u library.DownloadURL) []byte {
	t.Helper()
	d, err := s.Download(t.Context(), u, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Body.Close()
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, d.Body); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// The simulator answers the eleventh arrival in a sliding second with 429. With many
// callers, slow dials and tokens that expire, no request is, and nine tenths of the pace
// are used.
func TestPaceAtTheServer(t *testing.T) {
	o := cmpsim.Options{Seed: 4, Assets: 3000, RequestsPerSecond: 10, TokenLifetime: 50 * time.Second}
	simulate(t, o, nil, func(t *testing.T, s simulated) {
		start := time.Now()
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				for i := range 75 {
					if _, err := s.Assets(t.Context(), cmp.AssetQuery{Offset: (w + i) % 30 * 100, PageSize: 10}); err != nil {
						t.Error(err)
					}
					if i == 40 && w == 0 {
						s.sim.RevokeAccessTokens()
					}
				}
			})
		}
		wg.Wait()
		n := s.sim.Counters().Total
		if pace := s.sim.PaceCounters(); pace.Refused != 0 || pace.PeakPerSecond > 10 {
			t.Errorf("pace %+v", pace)
		}
		if rate := float64(n) / time.Since(start).Seconds(); rate < 9 {
			t.Errorf("%d requests at %.2f/s", n, rate)
		}
	})
}

// Under any fault, the library is read completely or an error is returned.
func TestReadsThroughFaults(t *testing.T) {
	o := cmpsim.Options{Seed: 5, Assets: 1500, RequestsPerSecond: 10}
	simulate(t, o, nil, func(t *testing.T, s simulated) {
		for _, f := range []cmpsim.Fault{
			{Kind: cmpsim.FaultStatus, Status: 503, Body: "html", Probability: 0.1},
			{Kind: cmpsim.FaultStatus, Status: 429, RetryAfter: "2", Probability: 0.05},
			{Kind: cmpsim.FaultStatus, Status: 404, Body: "html", Probability: 0.05},
			{Kind: cmpsim.FaultHTML, Probability: 0.05},
			{Kind: cmpsim.FaultCutChunked, Probability: 0.05},
			{Kind: cmpsim.FaultCut, Probability: 0.05},
			{Kind: cmpsim.FaultDrop, Probability: 0.05},
			{Kind: cmpsim.FaultSlow, DelayMillis: 40_000, Probability: 0.05},
		} {
			if _, err := s.sim.AddFault(f); err != nil {
				t.Fatal(err)
			}
		}
		complete := 0
		for range 10 {
			items, err := s.readAll(t.Context())
			switch {
			case err == nil && len(items) == 1500:
				complete++
			case err == nil:
				t.Errorf("%d of 1500 assets and no error", len(items))
			case !isClass(err, cmp.ErrTemporary):
				t.Errorf("class of %v", err)
			}
		}
		if complete < 5 {
			t.Errorf("the library was read completely %d times of 10", complete)
		}
	})
}
