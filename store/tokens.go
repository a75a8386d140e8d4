package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/semaphore"

	"damsync/internal/secret"
)

// updateTimeout bounds how long one token update holds its row, and thereby how long other replicas wait for it.
const updateTimeout = 60 * time.Second

// saveTimeout bounds storing the result of an update.
const saveTimeout = 10 * time.Second

// frozenAfter is when the server takes the row from a replica that neither works nor ends, such as a suspended one.
const frozenAfter = updateTimeout + saveTimeout

// ErrUnreadableTokens is the error class of stored tokens that the key does not open: the key is another one, or the
// row was tampered with.
var ErrUnreadableTokens = errors.New("stored tokens cannot be opened: the key was changed, or the row was")

// TokenSet is the result of an OAuth token request. The zero value means that there are no tokens yet.
type TokenSet struct {
	Access  secret.String
	Refresh secret.String // empty for client credentials
	// Expires is the wall-clock time after which Access is refused, as computed by the process that received it.
	// Replicas whose clocks disagree refresh early or after a refusal; both are safe.
	Expires time.Time
}

// Sealer encrypts and authenticates. Open fails when associated differs from what the text was sealed with.
type Sealer interface {
	Seal(plaintext, associated []byte) []byte
	Open(sealed, associated []byte) ([]byte, error)
}

// Tokens keeps one named TokenSet, sealed, for all replicas. It is safe for concurrent use; a process should have one
// for each name.
type Tokens struct {
	store  *Store
	sealer Sealer
	name   string
	turn   *semaphore.Weighted // callers wait here without a connection of the pool
}

// Tokens returns the tokens called name, which sealer seals.
func (s *Store) Tokens(sealer Sealer, name string) *Tokens {
	return &Tokens{store: s, sealer: sealer, name: name, turn: semaphore.NewWeighted(1)}
}

// Update calls fn with the stored tokens, stores what fn returns and then returns it. One fn runs at a time among all
// replicas: a caller that had to wait gets what the one before stored, and fn should return that when it suffices. When
// fn fails, nothing is stored and its error is returned.
//
// Once fn runs, the end of the caller's ctx reaches neither fn nor the storing: a refresh token serves once, so an answer
// that is dropped would lock the organization out. fn's ctx ends after a minute at most.
func (t *Tokens) Update(ctx context.Context, fn func(ctx context.Context, stored TokenSet) (TokenSet, error)) (TokenSet, error) {
	var set TokenSet
	err := t.locked(ctx, func(tx pgx.Tx, sealed []byte) error {
		stored, err := t.open(sealed)
		if err != nil {
			return err
		}
		running, cancel := context.WithTimeout(context.WithoutCancel(ctx), updateTimeout)
		defer cancel()
		if set, err = fn(running, stored); err != nil || set == stored {
			return err
		}
		return t.save(ctx, tx, set)
	})
	if err != nil {
		return TokenSet{}, fmt.Errorf("update tokens: %w", err)
	}
	return set, nil
}

// Replace stores set in place of what is stored, readable or not: a new login.
func (t *Tokens) Replace(ctx context.Context, set TokenSet) error {
	err := t.locked(ctx, func(tx pgx.Tx, _ []byte) error { return t.save(ctx, tx, set) })
	if err != nil {
		return fmt.Errorf("replace tokens: %w", err)
	}
	return nil
}

// locked runs fn with the row locked, and commits even when ctx has ended meanwhile.
func (t *Tokens) locked(ctx context.Context, fn func(tx pgx.Tx, sealed []byte) error) error {
	if err := t.turn.Acquire(ctx, 1); err != nil {
		return err
	}
	defer t.turn.Release(1)
	tx, err := t.store.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer rollback(ctx, tx)
	sealed, err := t.lock(ctx, tx)
	if err != nil {
		return err
	}
	if err := fn(tx, sealed); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	return tx.Commit(ctx)
}

// rollback releases the row at once; after a commit it does nothing.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	_ = tx.Rollback(ctx) // the server rolls back by itself when the connection is broken
}

// lock creates the row if there is none, and waits for its lock.
func (t *Tokens) lock(ctx context.Context, tx pgx.Tx) ([]byte, error) {
	const limit = `SELECT set_config('idle_in_transaction_session_timeout', $1, true)`
	if _, err := tx.Exec(ctx, limit, fmt.Sprint(frozenAfter.Milliseconds())); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO damsync.token (name, sealed) VALUES ($1, '') ON CONFLICT DO NOTHING`, t.name); err != nil {
		return nil, err
	}
	var sealed []byte
	err := tx.QueryRow(ctx, `SELECT sealed FROM damsync.token WHERE name = $1 FOR UPDATE`, t.name).Scan(&sealed)
	return sealed, err
}

func (t *Tokens) save(ctx context.Context, tx pgx.Tx, set TokenSet) error {
	sealed, err := t.seal(set)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	_, err = tx.Exec(ctx, `UPDATE damsync.token SET sealed = $2, updated_at = clock_timestamp() WHERE name = $1`, t.name, sealed)
	return err
}

// tokenText is a TokenSet as it is sealed.
type tokenText struct {
	Access  string    `json:"access"`
	Refresh string    `json:"refresh"`
	Expires time.Time `json:"expires"`
}

func (t *Tokens) seal(set TokenSet) ([]byte, error) {
	text, err := json.Marshal(tokenText{set.Access.Reveal(), set.Refresh.Reveal(), set.Expires})
	if err != nil {
		return nil, fmt.Errorf("encode tokens: %w", err)
	}
	return t.sealer.Seal(text, t.associated()), nil
}

// open returns the zero TokenSet for an empty text.
func (t *Tokens) open(sealed []byte) (TokenSet, error) {
	if len(sealed) == 0 {
		return TokenSet{}, nil
	}
	text, err := t.sealer.Open(sealed, t.associated())
	if err != nil {
		return TokenSet{}, fmt.Errorf("%w: %w", ErrUnreadableTokens, err)
	}
	var set tokenText
	if err := json.Unmarshal(text, &set); err != nil {
		return TokenSet{}, ErrUnreadableTokens // the cause may quote the text
	}
	return TokenSet{Access: secret.New(set.Access), Refresh: secret.New(set.Refresh), Expires: set.Expires}, nil
}

// associated binds the sealed text to its row, so that it opens nowhere else.
func (t *Tokens) associated() []byte { return []byte("damsync.token/" + t.name) }
