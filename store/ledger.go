package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
)

// LedgerConfig is what the organization may spend. Every process of one organization
// must use the same.
type LedgerConfig struct {
	PerSecond int   // requests in any sliding second
	PerMonth  int64 // requests in a month
	Reserved  int64 // of these, left to other integrations of the organization
	Rolling   bool  // a month is today and the 29 days before, not a calendar month; days are UTC
	// Budget divides what is not reserved among the classes.
	Budget grant.Budget
}

// The pace leaves a margin. For 10 requests a second, slots are 108 ms apart, so the first
// and the eleventh are granted at least 1060 ms apart: 1080 ms less the tolerance. At
// most 10 then reach the API in any second, as long as each does within 60 ms of its
// grant. 9.26 requests a second go out.
const (
	paceMargin    = 80 * time.Millisecond
	paceTolerance = 20 * time.Millisecond // how early a request may be granted before its slot
)

// spacing returns the time between the slots of two requests.
func (c LedgerConfig) spacing() time.Duration {
	return (time.Second + paceMargin) / time.Duration(max(c.PerSecond, 1))
}

// limit returns how many requests the ledger may count in a month.
func (c LedgerConfig) limit() int64 { return max(c.PerMonth-c.Reserved, 0) }

// budgetArgs returns the arguments of damsync.budget after the time, for class.
func (c LedgerConfig) budgetArgs(class grant.Class) []any {
	share := c.Budget[class]
	return []any{c.limit(), share.Floor, share.Days, classNames(share.With), int64(grant.LeastDay), c.Rolling}
}

func classNames(classes []grant.Class) []string {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = string(c)
	}
	return names
}

var _ grant.Ledger = (*Ledger)(nil)

// Ledger is the durable grant.Ledger of one organization, shared by all processes on
// one database. It reads no clock but the database's. A grant is committed before Take
// returns and stays counted whatever happens to the process that took it.
type Ledger struct {
	store *Store
	cfg   LedgerConfig
}

// Ledger returns the ledger of the store's database under cfg.
func (s *Store) Ledger(cfg LedgerConfig) *Ledger {
	cfg.Budget = maps.Clone(cfg.Budget)
	return &Ledger{store: s, cfg: cfg}
}

// Take asks for permission to send one request of class now. After an error nothing
// is known: do not send. If the grant was committed nevertheless, it stays counted.
func (l *Ledger) Take(ctx context.Context, class grant.Class) (grant.Decision, error) {
	const take = `SELECT granted_at, wait, deferred_until, coalesce(reason, '') FROM damsync.take_grant($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	var (
		at, until *time.Time
		wait      *time.Duration
		reason    string
	)
	err := l.store.pool.QueryRow(ctx, take,
		append([]any{string(class), l.cfg.spacing(), paceTolerance}, l.cfg.budgetArgs(class)...)...,
	).Scan(&at, &wait, &until, &reason)
	switch {
	case err != nil:
		return grant.Decision{}, fmt.Errorf("take grant for %s: %w", class, err)
	case at != nil:
		return grant.Decision{At: at.UTC()}, nil
	case until != nil:
		return grant.Decision{Deferred: &grant.Deferred{Class: class, Until: until.UTC(), Reason: reason}}, nil
	case wait != nil:
		return grant.Decision{Wait: max(*wait, time.Microsecond)}, nil // zero would mean granted
	}
	return grant.Decision{}, fmt.Errorf("take grant for %s: take_grant returned no decision", class)
}

// Pause stops the grants of all processes for d, at most an hour. It never shortens
// another pause, but replaces one that ends more than an hour ahead: that one was
// written before the clock was set back.
func (l *Ledger) Pause(ctx context.Context, d time.Duration, reason string) error {
	const pause = `
		UPDATE damsync.pace SET paused_until = n.until, pause_reason = $2
		FROM (SELECT clock_timestamp() + least($1::interval, interval '1 hour') AS until) n
		WHERE paused_until IS NULL OR paused_until < n.until OR paused_until > clock_timestamp() + interval '1 hour'`
	if _, err := l.store.pool.Exec(ctx, pause, d, cleanText(reason)); err != nil {
		return fmt.Errorf("pause grants: %w", err)
	}
	return nil
}

// PacePause is the time left of a pause of all grants and the reason for it. It is zero
// when there is no pause.
type PacePause struct {
	Left   time.Duration
	Reason string
}

// PacePause returns the pause in force for all processes.
func (s *Store) PacePause(ctx context.Context) (PacePause, error) {
	var p PacePause
	err := s.pool.QueryRow(ctx, `
		SELECT paused_until - now, coalesce(pause_reason, '') FROM (SELECT *, clock_timestamp() AS now FROM damsync.pace) p
		WHERE paused_until > now AND paused_until <= now + interval '1 hour'`).Scan(&p.Left, &p.Reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return PacePause{}, fmt.Errorf("read pause of grants: %w", err)
	}
	return p, nil
}

// Throttled pauses as Pause does, and lowers the pace of all processes. One throttled
// request, which the network may have delayed, takes a tenth of the pace; another within
// a minute takes half. The pace recovers linearly within an hour. Requests throttled
// while a pause is in force were in flight together and lower the pace once.
func (l *Ledger) Throttled(ctx context.Context, d time.Duration, reason string) (grant.Throttle, error) {
	const lower = `
		WITH was AS (
			SELECT now, coalesce(paused_until > now AND paused_until <= now + interval '1 hour', false) AS paused,
				damsync.pace_share(share, throttled_at, now)
					* CASE WHEN throttled_at BETWEEN now - interval '1 minute' AND now THEN 0.5 ELSE 0.9 END AS lowered
			FROM (SELECT *, clock_timestamp() AS now FROM damsync.pace FOR UPDATE) p
		)
		UPDATE damsync.pace p SET throttled = p.throttled + 1,
			throttled_at = CASE WHEN was.paused THEN p.throttled_at ELSE was.now END,
			share = CASE WHEN was.paused THEN p.share ELSE greatest(was.lowered, $1) END
		FROM was
		RETURNING damsync.pace_share(p.share, p.throttled_at, was.now), NOT was.paused`
	var t grant.Throttle
	if err := l.store.pool.QueryRow(ctx, lower, minShare).Scan(&t.Share, &t.Lowered); err != nil {
		return t, fmt.Errorf("lower the pace: %w", err)
	}
	return t, l.Pause(ctx, d, reason)
}

// minShare bounds how far throttled requests lower the pace.
const minShare = 1.0 / 16
