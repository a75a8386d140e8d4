package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// dueSQL reads up to $2 due placements of target $1 for each urgency in $3, each urgency in the order of its index,
// however many wait. A target that does not run, or is paused, has none. The time comes from a list of values, since
// PostgreSQL does not search an index by a volatile function.
const dueSQL = `
	FROM unnest(CASE WHEN NOT EXISTS (SELECT FROM damsync.target
		WHERE name = $1 AND (problem <> '' OR paused_until > clock_timestamp())) THEN $3::smallint[] END) AS u (urgency)
	CROSS JOIN (VALUES (clock_timestamp())) AS clock (now)
	CROSS JOIN LATERAL (
		SELECT * FROM damsync.placement p
		WHERE target = $1 AND urgency = u.urgency AND damsync.is_dirty(p) AND guard = 'open'
			AND next_attempt_at <= clock.now AND (lease_until IS NULL OR lease_until <= clock.now)
		ORDER BY next_attempt_at LIMIT $2`

// ClaimPlacements leases up to n due placements of target, most urgent first, for at most an hour, and commits the
// intent to work on them. A paused target gives none. Several replicas may claim at once; each placement goes to one.
func (s *Store) ClaimPlacements(ctx context.Context, target string, n int, lease time.Duration) ([]state.Work, error) {
	rows, err := s.pool.Query(ctx, `
		WITH due AS (
			SELECT d.target, d.asset_id, d.intent_generation, d.intent_path`+dueSQL+` FOR UPDATE SKIP LOCKED) d
			ORDER BY d.urgency, d.next_attempt_at LIMIT $2
		), claimed AS (
			UPDATE damsync.placement p SET lease_owner = $4 || '#' || p.desired_generation || '#' || p.attempts + 1, lease_until = clock_timestamp() + $5::interval, attempts = attempts + 1,
				intent_generation = p.desired_generation, intent_path = p.desired_path
			FROM due WHERE p.target = due.target AND p.asset_id = due.asset_id
			RETURNING p.*, due.intent_generation IS NOT NULL AS was_open, due.intent_path AS open_path
		)
		SELECT c.target, c.asset_id, coalesce(a.type, ''), coalesce(a.title, ''), coalesce(a.mime_type, ''), coalesce(a.modified_at, c.desired_at),
			coalesce((SELECT d.size FROM damsync.asset_detail d WHERE d.asset_id = c.asset_id AND d.of_modified_at = a.modified_at), -1),
			c.desired_present, c.desired_path, c.desired_version, c.desired_metadata, c.desired_metadata_hash, c.desired_generation, c.desired_at,
			c.applied_state, c.applied_path, c.applied_version, c.applied_metadata_hash, c.applied_generation, c.sha256, c.size, c.remote_ref, c.remote_token, c.remote_hash,
			c.upload_session, c.upload_version, c.upload_etag, c.was_open, c.open_path, c.attempts, c.urgency
		FROM claimed c LEFT JOIN damsync.asset a ON a.id = c.asset_id ORDER BY c.urgency, c.desired_generation`,
		target, n, urgencies(nil), s.id, min(lease, maxLease))
	if err != nil {
		return nil, fmt.Errorf("claim placements: %w", err)
	}
	work, err := pgx.CollectRows(rows, scanWork)
	if err != nil {
		return nil, fmt.Errorf("claim placements: %w", err)
	}
	return work, nil
}

// leaseOf names the claim and not just this process: once the lease has ended, this process may claim the placement
// again while its first worker still runs.
func (s *Store) leaseOf(w state.Work) string {
	return fmt.Sprintf("%s#%d#%d", s.id, w.Generation, w.Attempts)
}

func scanWork(row pgx.CollectableRow) (state.Work, error) {
	var w state.Work
	var desired, applied []byte
	var urgency int
	d, a := &w.Desired, &w.Applied
	err := row.Scan(&w.Target, &w.AssetID, &w.Type, &w.Title, &w.MIMEType, &w.ModifiedAt, &w.ExpectedSize,
		&d.Present, &d.Path, &d.Version, &d.Metadata, &desired, &w.Generation, &w.DesiredAt,
		&a.State, &a.Path, &a.Version, &applied, &a.Generation, &a.SHA256, &a.Size, &a.Ref, &a.Token, &a.Hash,
		&w.Upload.Session, &w.Upload.Version, &w.Upload.ETag, &w.IntentWasOpen, &w.IntentPath, &w.Attempts, &urgency)
	w.Class = classOf(urgency)
	d.MetadataHash, a.MetadataHash = hashFrom(desired), hashFrom(applied)
	return w, err
}

func hashFrom(b []byte) library.Hash {
	var h library.Hash
	copy(h[:], b)
	return h
}

// NextPlacement returns how long it is until the next placement of target becomes due, and whether there is any. A
// target with a problem has none.
func (s *Store) NextPlacement(ctx context.Context, target string) (time.Duration, bool, error) {
	const dirty = `damsync.placement p WHERE target = $1 AND damsync.is_dirty(p) AND guard = 'open'`
	return s.nextDue(ctx, `
		SELECT CASE WHEN due.at IS NOT NULL AND coalesce(t.problem, '') = ''
			THEN greatest(due.at, t.paused_until) - clock_timestamp() END
		FROM (SELECT least(
			(SELECT next_attempt_at FROM `+dirty+` AND lease_until IS NULL ORDER BY next_attempt_at LIMIT 1),
			(SELECT min(greatest(next_attempt_at, lease_until)) FROM `+dirty+` AND lease_until IS NOT NULL)) AS at) due
		LEFT JOIN damsync.target t ON t.name = $1`, target)
}

// UpcomingPuts returns up to n assets whose bytes target will need next: due, unclaimed, and not there in the desired
// version. It reads a few times n placements of each urgency and no more.
func (s *Store) UpcomingPuts(ctx context.Context, target string, n int) ([]string, error) {
	ids, err := columnOf(ctx, s.pool, `SELECT d.asset_id`+dueSQL+`) d
		WHERE d.desired_present AND (d.applied_state <> 'present' OR d.applied_version <> d.desired_version)
		ORDER BY d.urgency, d.next_attempt_at LIMIT $4`, target, 4*n, urgencies(nil), n)
	if err != nil {
		return nil, fmt.Errorf("list upcoming placements: %w", err)
	}
	return ids, nil
}
