package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"damsync/internal/pgtest"
	"damsync/internal/secret"
)

func testSealer(t *testing.T, digit string) *secret.Sealer {
	t.Helper()
	key, err := secret.ParseKey(strings.Repeat(digit, 2*secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := secret.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

func testTokens(t *testing.T, pool *pgxpool.Pool, name string) *Tokens {
	t.Helper()
	return New(pool, "a").Tokens(testSealer(t, "a"), name)
}

var someTokens = TokenSet{
	Access: secret.New("access-4711"), Refresh: secret.New("refresh-4712"), Expires: time.Unix(1_800_000_000, 0).UTC(),
}

// Load reads without the lock what a replica would find: the stored tokens, the zero TokenSet when there are none, or
// ErrUnreadableTokens.
func (t *Tokens) Load(ctx context.Context) (TokenSet, error) {
	var sealed []byte
	err := t.store.pool.QueryRow(ctx, `SELECT sealed FROM damsync.token WHERE name = $1`, t.name).Scan(&sealed)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return TokenSet{}, fmt.Errorf("load tokens: %w", err)
	}
	return t.open(sealed)
}

func load(t *testing.T, tokens *Tokens) TokenSet {
	t.Helper()
	set, err := tokens.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func replace(t *testing.T, tokens *Tokens, set TokenSet) {
	t.Helper()
	if err := tokens.Replace(t.Context(), set); err != nil {
		t.Fatal(err)
	}
}

// A refresh token serves once: of many callers in two replicas only one refreshes.
func TestTokensAreRefreshedOnce(t *testing.T) {
	url := pgtest.URL(t)
	var refreshed atomic.Int32
	refresh := func(_ context.Context, stored TokenSet) (TokenSet, error) {
		if !stored.Access.IsZero() {
			return stored, nil
		}
		refreshed.Add(1)
		return someTokens, nil
	}
	var wg sync.WaitGroup
	for range 2 {
		pool, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		tokens := testTokens(t, pool, "cmp")
		for range 4 {
			wg.Go(func() {
				if set, err := tokens.Update(t.Context(), refresh); err != nil || set != someTokens {
					t.Errorf("got %v, %v", set, err)
				}
			})
		}
	}
	wg.Wait()
	if n := refreshed.Load(); n != 1 {
		t.Errorf("refreshed %d times", n)
	}
}

func TestTokensFailedUpdateStoresNothing(t *testing.T) {
	pool := pgtest.Pool(t)
	tokens := testTokens(t, pool, "cmp")
	failure := errors.New("server said no")
	_, err := tokens.Update(t.Context(), func(context.Context, TokenSet) (TokenSet, error) { return someTokens, failure })
	if !errors.Is(err, failure) {
		t.Errorf("the failure is lost: %v", err)
	}
	if set := load(t, tokens); set != (TokenSet{}) {
		t.Errorf("stored %v", set)
	}
	replace(t, tokens, someTokens) // the row is free again
	if set := load(t, tokens); set != someTokens {
		t.Errorf("the next one stored %v", set)
	}
}

// A caller that ends while the answer is under way must not lose the only valid refresh token.
func TestTokensAreStoredAlthoughTheCallerGaveUp(t *testing.T) {
	tokens := testTokens(t, pgtest.Pool(t), "cmp")
	ctx, giveUp := context.WithCancel(t.Context())
	set, err := tokens.Update(ctx, func(ctx context.Context, _ TokenSet) (TokenSet, error) {
		giveUp()
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("fn may run for ever")
		}
		return someTokens, ctx.Err()
	})
	if err != nil || set != someTokens {
		t.Fatalf("got %v, %v", set, err)
	}
	if set := load(t, tokens); set != someTokens {
		t.Errorf("stored %v", set)
	}
}

// A caller that waits for another replica's refresh can give up.
func TestTokensWaitEndsWithTheCaller(t *testing.T) {
	pool := pgtest.Pool(t)
	tokens := testTokens(t, pool, "cmp")
	_, err := tokens.Update(t.Context(), func(ctx context.Context, _ TokenSet) (TokenSet, error) {
		waiting, giveUp := context.WithTimeout(ctx, 50*time.Millisecond)
		defer giveUp()
		_, err := testTokens(t, pool, "cmp").Update(waiting, func(context.Context, TokenSet) (TokenSet, error) {
			t.Error("two run at once")
			return TokenSet{}, nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		return someTokens, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Callers that wait for a refresh leave the pool's connections to others, and to the refresh itself.
func TestTokensWaitWithoutAConnection(t *testing.T) {
	cfg, err := pgxpool.ParseConfig(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	tokens := testTokens(t, pool, "cmp")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := tokens.Update(ctx, func(ctx context.Context, _ TokenSet) (TokenSet, error) {
				return someTokens, pool.Ping(ctx)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Promise 8: the stored text does not show the tokens and opens only with the same key and in its own row.
func TestTokensAtRest(t *testing.T) {
	pool := pgtest.Pool(t)
	a, b := testTokens(t, pool, "a"), testTokens(t, pool, "b")
	replace(t, a, someTokens)
	replace(t, b, TokenSet{Access: secret.New("other")})

	sealed := query[[]byte](t, pool, `SELECT sealed FROM damsync.token WHERE name = 'a'`)
	for _, text := range []secret.String{someTokens.Access, someTokens.Refresh} {
		if bytes.Contains(sealed, []byte(text.Reveal())) {
			t.Error("the database shows a token")
		}
	}
	wrongKey := New(pool, "a").Tokens(testSealer(t, "b"), "a")
	if _, err := wrongKey.Load(t.Context()); !errors.Is(err, ErrUnreadableTokens) || !errors.Is(err, secret.ErrWrongKey) {
		t.Errorf("with another key: %v", err)
	}
	exec(t, pool, `UPDATE damsync.token t SET sealed = o.sealed FROM damsync.token o WHERE o.name <> t.name`)
	for _, tokens := range []*Tokens{a, b} {
		if _, err := tokens.Load(t.Context()); !errors.Is(err, ErrUnreadableTokens) {
			t.Errorf("in another row: %v", err)
		}
	}
}

// Unreadable tokens are not overwritten by a refresh; a new login replaces them.
func TestTokensUnreadable(t *testing.T) {
	pool := pgtest.Pool(t)
	tokens := testTokens(t, pool, "cmp")
	exec(t, pool, `INSERT INTO damsync.token (name, sealed) VALUES ('cmp', 'junk')`)
	_, err := tokens.Update(t.Context(), func(context.Context, TokenSet) (TokenSet, error) {
		t.Error("fn was given tokens that cannot be read")
		return someTokens, nil
	})
	if !errors.Is(err, ErrUnreadableTokens) {
		t.Errorf("got %v", err)
	}
	replace(t, tokens, someTokens)
	if set := load(t, tokens); set != someTokens {
		t.Errorf("stored %v", set)
	}
}
