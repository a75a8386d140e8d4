package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"damsync/internal/grant"

	"github.com/jackc/pgx/v5"
)

// maxSlots bounds the array of request times that every take reads and writes.
const maxSlots = 50

// LedgerConfig says what the organization may spend. Every process of one
// organization must use the same.
type LedgerConfig struct {
	PerSecond int   // requests in any sliding second
	PerMonth  int64 // requests in a month
	Reserved  int64 // of these, left to other integrations of the organization
	Rolling   bool  // a month is today and the 29 days before, not a calendar month; days are UTC
	// Budget divides what is not reserved among the classes.
	Budget grant.Budget
}

// limit is what the ledger may count in a month.
func (c LedgerConfig) limit() int64 { return max(c.PerMonth-c.Reserved, 0) }

// budgetArgs are the arguments of damsync.budget after the time, for class.
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

// Ledger is the durable grant.Ledger of one organization, shared by all
// processes on one database. It reads no clock but the database's, and a taken
// grant is committed before Take returns: it stays counted whatever happens to
// the taker. A Slot is the microsecond of Unix time that the grant stands for.
type Ledger struct {
	store  *Store
	cfg    LedgerConfig
	slots  int
	window time.Duration
}

// Ledger returns the ledger of the store's database under cfg.
func (s *Store) Ledger(cfg LedgerConfig) *Ledger {
	cfg.Budget = maps.Clone(cfg.Budget)
	slots, window := paceOf(cfg.PerSecond)
	return &Ledger{store: s, cfg: cfg, slots: slots, window: window}
}

// paceOf returns how many slots any sliding window may hold. The second and the
// grant.Margin after it are divided into as few windows as keep the slots of one
// under maxSlots, so that all of them together hold at most perSecond: no second
// sees more arrivals, even when some are late by up to that. Up to 50 a
// second that costs 7.4 % of the pace (9.26 of 10); above, rounding costs up to
// 4 % more.
func paceOf(perSecond int) (slots int, window time.Duration) {
	perSecond = max(perSecond, 1)
	windows := (perSecond + maxSlots - 1) / maxSlots
	return perSecond / windows, (time.Second + grant.Margin + time.Duration(windows) - 1) / time.Duration(windows)
}

// Take asks for permission to send one request of class now. An error means that
// nothing is known: do not send; a grant that was taken nonetheless stays counted.
func (l *Ledger) Take(ctx context.Context, class grant.Class) (grant.Decision, error) {
	const take = `SELECT slot, wait, deferred_until, coalesce(reason, '') FROM damsync.take_grant($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	var (
		slot, until *time.Time
		wait        *time.Duration
		reason      string
	)
	err := l.store.pool.QueryRow(ctx, take,
		append([]any{string(class), l.slots, l.window}, l.cfg.budgetArgs(class)...)...,
	).Scan(&slot, &wait, &until, &reason)
	switch {
	case err != nil:
		return grant.Decision{}, fmt.Errorf("take grant for %s: %w", class, err)
	case slot != nil:
		return grant.Decision{Slot: grant.Slot(slot.UnixMicro())}, nil
	case until != nil:
		return grant.Decision{Deferred: &grant.Deferred{Class: class, Until: until.UTC(), Reason: reason}}, nil
	case wait != nil:
		return grant.Decision{Wait: max(*wait, time.Microsecond)}, nil // zero would mean granted
	}
	return grant.Decision{}, fmt.Errorf("take grant for %s: the database decided nothing", class)
}

// Correct tells that the request of slot is sent late after it, so that later
// grants count it there, and returns the slot that it is then. A slot that has already left its window is counted
// again. (Above 50 requests a second a window is shorter than a second, so there
// a request later than its window may exceed the pace.)
func (l *Ledger) Correct(ctx context.Context, slot grant.Slot, late time.Duration) (grant.Slot, error) {
	// A corrected slot may equal another one: only one of them is moved.
	const correct = `
		UPDATE damsync.pace SET sent = coalesce(
			sent[:array_position(sent, $1::timestamptz) - 1] || sent[array_position(sent, $1::timestamptz) + 1:],
			sent) || ($1::timestamptz + $2::interval)`
	late = late.Truncate(time.Microsecond)
	if late <= 0 {
		return slot, nil
	}
	if _, err := l.store.pool.Exec(ctx, correct, time.UnixMicro(int64(slot)), late); err != nil {
		return slot, fmt.Errorf("correct grant: %w", err)
	}
	return slot + grant.Slot(late.Microseconds()), nil
}

// Pause lets no process take a grant for d, at most an hour. It never shortens
// another pause; one further ahead than an hour is left over from a clock that
// was set back and is replaced.
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

// PacePause is how long nobody takes a grant from now on, and why; the zero value when
// there is no pause.
type PacePause struct {
	Left   time.Duration
	Reason string
}

// PacePause reads the pause that is in force for all processes.
func (s *Store) PacePause(ctx context.Context) (PacePause, error) {
	var p PacePause
	err := s.pool.QueryRow(ctx, `
		SELECT paused_until - now, coalesce(pause_reason, '') FROM (SELECT *, clock_timestamp() AS now FROM damsync.pace) p
		WHERE paused_until > now AND paused_until <= now + interval '1 hour'`).Scan(&p.Left, &p.Reason)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return PacePause{}, fmt.Errorf("read the pause of grants: %w", err)
	}
	return p, nil
}

// Throttled pauses as Pause does, and lowers the pace of all processes: the API refused a
// request although the pace was kept. One refusal, which may be a request of ours that the network
// delayed, takes a tenth; another within a minute of it takes half. The pace is restored evenly, all
// of it within an hour. Refusals that arrive while a pause is in force were in flight
// together and lower it once.
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

// minShare bounds how far refusals lower the pace.
const minShare = 1.0 / 16
