package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// maxLease bounds a lease, also that of a lookup and of a run. One that ends later was written before the
// database's clock was set back, and is void.
const maxLease = time.Hour

// AcquireLease makes this process the holder of the lease called name for ttl
// from now, at most an hour, and reports whether it is. The holder renews by
// calling it again well before ttl is over; the others get false until the lease
// has ended, on the database's clock. On an error the lease must be taken as lost.
func (s *Store) AcquireLease(ctx context.Context, name string, ttl time.Duration) (bool, error) {
	const acquire = `
		INSERT INTO damsync.lease AS l (name, holder, until) VALUES ($1, $2, clock_timestamp() + $3::interval)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
		WHERE l.holder = excluded.holder OR l.until <= clock_timestamp() OR l.until > clock_timestamp() + $4::interval`
	tag, err := s.pool.Exec(ctx, acquire, name, s.id, min(ttl, maxLease), maxLease)
	if err != nil {
		return false, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	return tag.RowsAffected() == 1, nil
}

// ReleaseLease ends the lease called name if this process holds it, so that
// another need not wait for its end.
func (s *Store) ReleaseLease(ctx context.Context, name string) error {
	const release = `DELETE FROM damsync.lease WHERE name = $1 AND holder = $2`
	if _, err := s.pool.Exec(ctx, release, name, s.id); err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}

// rowQuerier is what a pool and a transaction have in common here.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// leaseHolder returns who holds the lease called name and until when, on the
// database's clock. The holder is empty when nobody does.
func leaseHolder(ctx context.Context, q rowQuerier, name string) (holder string, until time.Time, err error) {
	const read = `SELECT holder, until FROM damsync.lease
		WHERE name = $1 AND until > clock_timestamp() AND until <= clock_timestamp() + $2::interval`
	err = q.QueryRow(ctx, read, name, maxLease).Scan(&holder, &until)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", time.Time{}, nil
	case err != nil:
		return "", time.Time{}, fmt.Errorf("read lease %s: %w", name, err)
	}
	return holder, until.UTC(), nil
}
