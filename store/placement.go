package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
)

// dueSQL reads up to $2 placements of target $1 of each urgency in $3 that are due: urgency by urgency, each
// in the order of its index, however many wait. A target that does not run, or is paused, has none. The time
// comes from a list of values, since PostgreSQL does not search an index by a volatile function.
const dueSQL = `
	FROM unnest(CASE WHEN NOT EXISTS (SELECT FROM damsync.target
		WHERE name = $1 AND (problem <> '' OR paused_until > clock_timestamp())) THEN $3::smallint[] END) AS u (urgency)
	CROSS JOIN (VALUES (clock_timestamp())) AS clock (now)
	CROSS JOIN LATERAL (
		SELECT * FROM damsync.placement
		WHERE target = $1 AND urgency = u.urgency AND desired_generation > applied_generation AND gate = 'open'
			AND next_attempt_at <= clock.now AND (lease_until IS NULL OR lease_until <= clock.now)
		ORDER BY next_attempt_at LIMIT $2`

// ClaimPlacements takes up to n dirty placements of target that are due, most
// urgent first, for the time of lease, at most an hour, and commits the intent to
// work on them. A paused target gives none. Several replicas may claim at once; each
// placement goes to one.
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

// leaseOf names the claim itself, not just this process: after its lease has
// ended, this process may claim a placement again while the first worker still
// runs.
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
	w.Class = grant.Sweep
	if classes := grant.Classes(); urgency < len(classes) {
		w.Class = classes[urgency]
	}
	d.MetadataHash, a.MetadataHash = hashFrom(desired), hashFrom(applied)
	return w, err
}

func hashFrom(b []byte) library.Hash {
	var h library.Hash
	copy(h[:], b)
	return h
}

// ExtendPlacement renews the lease of a long upload, for at most an hour. ErrLeaseLost: stop, another worker has it.
func (s *Store) ExtendPlacement(ctx context.Context, w state.Work, lease time.Duration) error {
	tag, err := s.pool.Exec(ctx, `UPDATE damsync.placement SET lease_until = clock_timestamp() + $4::interval
		WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`, w.Target, w.AssetID, s.leaseOf(w), min(lease, maxLease))
	return oneRow(tag.RowsAffected(), err, "extend lease of "+w.AssetID)
}

// RecordStep notes what is at the target after one step, while the work goes
// on: a crash after it does not repeat the step.
func (s *Store) RecordStep(ctx context.Context, w state.Work, o state.Object) error {
	tag, err := s.pool.Exec(ctx, `
		UPDATE damsync.placement SET applied_state = $4, applied_path = $5, applied_version = $6, applied_metadata_hash = $7,
			sha256 = $8, size = $9, remote_ref = $10, remote_token = $11, remote_hash = $12, applied_at = clock_timestamp()
		WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`,
		w.Target, w.AssetID, s.leaseOf(w), o.State, o.Path, o.Version, o.MetadataHash[:], o.SHA256, o.Size, o.Ref, o.Token, o.Hash)
	return oneRow(tag.RowsAffected(), err, "record step of "+w.AssetID)
}

// FinishPlacement records that the generation worked on is in place, closes the
// intent, and lets go of the paths the asset no longer holds. A generation
// planned meanwhile leaves the placement dirty. After a pause of the target,
// this success ends the growth of its pauses.
func (s *Store) FinishPlacement(ctx context.Context, w state.Work, o state.Object) error {
	return s.inTx(ctx, "finish placement of "+w.AssetID, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE damsync.placement SET applied_state = $4, applied_path = $5, applied_version = $6, applied_metadata_hash = $7,
				applied_generation = $8, applied_at = clock_timestamp(), sha256 = $9, size = $10,
				remote_ref = $11, remote_token = $12, remote_hash = $13, upload_session = '', upload_version = '', upload_etag = '',
				intent_generation = NULL, intent_path = '', lease_owner = NULL, lease_until = NULL,
				attempts = 0, next_attempt_at = clock_timestamp(), error_class = '', error = ''
			WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`,
			w.Target, w.AssetID, s.leaseOf(w), o.State, o.Path, o.Version, o.MetadataHash[:], w.Generation, o.SHA256, o.Size, o.Ref, o.Token, o.Hash)
		if err := oneRow(tag.RowsAffected(), err, "record outcome"); err != nil {
			return err
		}
		keep := ""
		if o.State == "present" {
			keep = o.Path
		}
		if err := releasePaths(ctx, tx, w.Target, w.AssetID, keep); err != nil {
			return err
		}
		return resumeTarget(ctx, tx, w.Target)
	})
}

// SaveUpload keeps where an upload stands, so that whoever claims the placement
// next goes on from there. FinishPlacement forgets it, a newly planned version
// does not: what was begun is the adapter's to give up. ErrLeaseLost: another
// worker may be uploading, and where that one stands is kept.
func (s *Store) SaveUpload(ctx context.Context, w state.Work, u state.Upload) error {
	tag, err := s.pool.Exec(ctx, `UPDATE damsync.placement SET upload_session = coalesce($4::bytea, ''), upload_version = $5, upload_etag = $6
		WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`, w.Target, w.AssetID, s.leaseOf(w), u.Session, cleanText(u.Version), cleanText(u.ETag))
	return oneRow(tag.RowsAffected(), err, "save upload of "+w.AssetID)
}

func oneRow(affected int64, err error, doing string) error {
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if affected == 0 {
		return fmt.Errorf("%s: %w", doing, state.ErrLeaseLost)
	}
	return nil
}

// FailPlacement puts a placement back for after, at most six hours, with the class and reason that people will read.
// closed says that this attempt did not touch the target, so the next need not look first, unless an earlier
// attempt left that open. A generation planned meanwhile is due at once, and so is a conflict
// whose path has become free.
func (s *Store) FailPlacement(ctx context.Context, w state.Work, class, reason string, after time.Duration, closed bool) error {
	return s.inTx(ctx, "put placement of "+w.AssetID+" back", func(tx pgx.Tx) error {
		wait := min(after, state.LongestWait)
		if class == classConflict {
			held, err := lockHolder(ctx, tx, w)
			if err != nil {
				return err
			}
			if !held {
				wait = 0
			}
		}
		tag, err := tx.Exec(ctx, `
			UPDATE damsync.placement SET lease_owner = NULL, lease_until = NULL,
				error_class = CASE WHEN desired_generation > $7 THEN error_class ELSE $4 END,
				error = CASE WHEN desired_generation > $7 THEN error ELSE $5 END,
				next_attempt_at = CASE WHEN desired_generation > $7 THEN next_attempt_at ELSE clock_timestamp() + $6::interval END,
				intent_generation = CASE WHEN $8 THEN NULL ELSE intent_generation END
			WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`,
			w.Target, w.AssetID, s.leaseOf(w), class, cleanText(reason), wait, w.Generation, closed && !w.IntentWasOpen)
		return oneRow(tag.RowsAffected(), err, "record failure")
	})
}

// ReturnPlacement gives a placement back untouched and due again after a
// while, at most six hours, as at a shutdown or when the quota defers; the attempt does not count.
func (s *Store) ReturnPlacement(ctx context.Context, w state.Work, after time.Duration) error {
	_, err := s.pool.Exec(ctx, `
		UPDATE damsync.placement SET lease_owner = NULL, lease_until = NULL, attempts = greatest(attempts - 1, 0),
			next_attempt_at = clock_timestamp() + $4::interval
		WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`, w.Target, w.AssetID, s.leaseOf(w), min(after, state.LongestWait))
	if err != nil {
		return fmt.Errorf("return placement of %s: %w", w.AssetID, err)
	}
	return nil
}

// NextPlacement tells when the next placement of target comes due: how long
// from now, and whether there is any. A target with a problem has none.
func (s *Store) NextPlacement(ctx context.Context, target string) (time.Duration, bool, error) {
	const dirty = `damsync.placement WHERE target = $1 AND desired_generation > applied_generation AND gate = 'open'`
	return s.nextDue(ctx, `
		SELECT CASE WHEN due.at IS NOT NULL AND coalesce(t.problem, '') = ''
			THEN greatest(due.at, t.paused_until) - clock_timestamp() END
		FROM (SELECT least(
			(SELECT next_attempt_at FROM `+dirty+` AND lease_until IS NULL ORDER BY next_attempt_at LIMIT 1),
			(SELECT min(greatest(next_attempt_at, lease_until)) FROM `+dirty+` AND lease_until IS NOT NULL)) AS at) due
		LEFT JOIN damsync.target t ON t.name = $1`, target)
}

// UpcomingPuts names up to n assets whose bytes target will need next: due,
// unclaimed, and not there in the version wanted. It looks at a few times n placements of each
// urgency and no further.
func (s *Store) UpcomingPuts(ctx context.Context, target string, n int) ([]string, error) {
	rows, err := s.pool.Query(ctx, `SELECT d.asset_id`+dueSQL+`) d
		WHERE d.desired_present AND (d.applied_state <> 'present' OR d.applied_version <> d.desired_version)
		ORDER BY d.urgency, d.next_attempt_at LIMIT $4`, target, 4*n, urgencies(nil), n)
	if err != nil {
		return nil, fmt.Errorf("list upcoming placements: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list upcoming placements: %w", err)
	}
	return ids, nil
}

// Retry makes placements of target (all targets when empty) that failed or wait, as for the quota,
// due at once, as if never tried, and unpauses them. It returns how many.
func (s *Store) Retry(ctx context.Context, target string) (int64, error) {
	var n int64
	err := s.inTx(ctx, "retry", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE damsync.placement SET next_attempt_at = clock_timestamp(), attempts = 0, error_class = '', error = ''
			WHERE desired_generation > applied_generation AND ($1 = '' OR target = $1)
				AND (error_class <> '' OR next_attempt_at > clock_timestamp())`, target)
		if err != nil {
			return err
		}
		n = tag.RowsAffected()
		if _, err := tx.Exec(ctx, `UPDATE damsync.target SET paused_until = NULL, pause_reason = '', attempts = 0
			WHERE $1 = '' OR name = $1`, target); err != nil {
			return err
		}
		if target == "" {
			lookups, err := retryLookups(ctx, tx)
			if err != nil {
				return err
			}
			n += lookups
		}
		return notify(ctx, tx, state.TopicPlacement)
	})
	return n, err
}

// RetryLookups makes lookups that failed or wait due at once, as if never tried.
func (s *Store) RetryLookups(ctx context.Context) error {
	return s.inTx(ctx, "retry lookups", func(tx pgx.Tx) error {
		_, err := retryLookups(ctx, tx)
		return err
	})
}

func retryLookups(ctx context.Context, tx pgx.Tx) (int64, error) {
	tag, err := tx.Exec(ctx, `UPDATE damsync.lookup SET next_attempt_at = clock_timestamp(), attempts = 0, error_class = '', error = ''
		WHERE wanted > done AND (error_class <> '' OR next_attempt_at > clock_timestamp())`)
	if err != nil {
		return 0, err
	}
	return tag.RowsAffected(), notify(ctx, tx, state.TopicLookup)
}
