package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// maxLease bounds leases and pauses, and state.LongestWait bounds back-offs. Whatever ends later was written
// before the database's clock was set back; voidFuture ends it.
const maxLease = time.Hour

// AcquireLease makes this process the holder of the lease called name for ttl from now, at most an hour, and
// reports whether it is. The holder renews the lease by calling it again well before ttl is over. Other
// processes get false until the lease ends by the database's clock. On an error the lease must be taken as lost.
//
// When the lease changes hands, or its holder finds that the clock was set back since the last call, AcquireLease
// also ends every lease, pause and back-off that only the earlier clock explains.
func (s *Store) AcquireLease(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	// A lease that its holder renews in time ends at most ttl from now. A row in which it ends later was written
	// before the clock was set back.
	const acquire = `
		WITH before AS (SELECT FROM damsync.lease WHERE name = $1 AND holder = $2 AND until <= clock_timestamp() + $3::interval)
		INSERT INTO damsync.lease AS l (name, holder, until) VALUES ($1, $2, clock_timestamp() + $3::interval)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE l.holder = excluded.holder OR NOT ` + leaseLasts + `
		RETURNING EXISTS (SELECT FROM before)`
	acquired := false
	err := s.inTx(ctx, "acquire lease "+name, func(tx pgx.Tx) error {
		acquired = false
		var renewed bool
		err := tx.QueryRow(ctx, acquire, name, s.id, min(ttl, maxLease)).Scan(&renewed)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		acquired = err == nil
		if err != nil || renewed {
			return err
		}
		return voidFuture(ctx, tx)
	})
	return acquired && err == nil, err
}

// leaseLasts is the condition on a lease l that it is held. It bounds the lease itself: voidFuture cannot end the
// lease that its caller needs first.
const leaseLasts = `(l.until > clock_timestamp() AND l.until <= clock_timestamp() + interval '1 hour')`

// voidFuture ends leases and pauses longer than maxLease and back-offs longer than state.LongestWait, and moves
// what happened in the future to now. All of it was written before the database's clock was set back, and
// would otherwise wait until the clock comes round again.
func voidFuture(ctx context.Context, tx pgx.Tx) error {
	batch := &pgx.Batch{}
	for _, sql := range []string{
		`UPDATE damsync.placement SET lease_owner = NULL, lease_until = NULL WHERE lease_until > clock_timestamp() + $1::interval`,
		`UPDATE damsync.lookup SET lease_owner = NULL, lease_until = NULL WHERE lease_until > clock_timestamp() + $1::interval`,
		`UPDATE damsync.run SET lease_owner = NULL, lease_until = NULL WHERE lease_until > clock_timestamp() + $1::interval`,
		`UPDATE damsync.target SET paused_until = NULL WHERE paused_until > clock_timestamp() + $1::interval`,
	} {
		batch.Queue(sql, maxLease)
	}
	for _, sql := range []string{
		`UPDATE damsync.placement p SET next_attempt_at = clock_timestamp()
			WHERE damsync.is_dirty(p) AND guard = 'open' AND next_attempt_at > clock_timestamp() + $1::interval`,
		`UPDATE damsync.lookup l SET next_attempt_at = clock_timestamp()
			WHERE damsync.is_pending(l) AND next_attempt_at > clock_timestamp() + $1::interval`,
	} {
		batch.Queue(sql, state.LongestWait)
	}
	// A removal that was planned or released in the future would stay recent, and its wave would never be complete.
	batch.Queue(`UPDATE damsync.placement SET desired_at = clock_timestamp() WHERE guard = 'waiting' AND desired_at > clock_timestamp()`)
	batch.Queue(`UPDATE damsync.removal SET at = clock_timestamp() WHERE at > clock_timestamp()`)
	for _, topic := range []state.Topic{state.TopicLookup, state.TopicPlacement, state.TopicGuard} {
		batch.Queue(notifySQL, Channel, string(topic))
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("end what a clock that was set back left in the future: %w", err)
	}
	return nil
}

// ReleaseLease ends the lease called name if this process holds it, so that another process need not wait for
// its end.
func (s *Store) ReleaseLease(ctx context.Context, name string) error {
	const release = `DELETE FROM damsync.lease WHERE name = $1 AND holder = $2`
	if _, err := s.pool.Exec(ctx, release, name, s.id); err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}

// leaseHolder returns the process that holds the lease called name and until when, by the database's clock. The
// holder is empty when no process holds it.
func leaseHolder(ctx context.Context, q rowQuerier, name string) (holder string, until time.Time, err error) {
	const read = `SELECT holder, until FROM damsync.lease l WHERE name = $1 AND ` + leaseLasts
	err = q.QueryRow(ctx, read, name).Scan(&holder, &until)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", time.Time{}, nil
	case err != nil:
		return "", time.Time{}, fmt.Errorf("read lease %s: %w", name, err)
	}
	return holder, until.UTC(), nil
}
