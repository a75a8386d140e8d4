package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/state"
)

// ExtendPlacement renews the lease of a long upload, for at most an hour. ErrLeaseLost: stop, another worker has it.
func (s *Store) ExtendPlacement(ctx context.Context, w state.Work, lease time.Duration) error {
	tag, err := s.pool.Exec(ctx, `UPDATE damsync.placement SET lease_until = clock_timestamp() + $4::interval
		WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`, w.Target, w.AssetID, s.leaseOf(w), min(lease, maxLease))
	return oneRow(tag.RowsAffected(), err, "extend lease of "+w.AssetID)
}

// RecordStep records what is at the target after one step while the work continues, so that a crash does not repeat
// the step.
func (s *Store) RecordStep(ctx context.Context, w state.Work, o state.Object) error {
	tag, err := s.pool.Exec(ctx, `
		UPDATE damsync.placement SET applied_state = $4, applied_path = $5, applied_version = $6, applied_metadata_hash = $7,
			sha256 = $8, size = $9, remote_ref = $10, remote_token = $11, remote_hash = $12, applied_at = clock_timestamp()
		WHERE target = $1 AND asset_id = $2 AND lease_owner = $3`,
		w.Target, w.AssetID, s.leaseOf(w), o.State, o.Path, o.Version, o.MetadataHash[:], o.SHA256, o.Size, o.Ref, o.Token, o.Hash)
	return oneRow(tag.RowsAffected(), err, "record step of "+w.AssetID)
}

// FinishPlacement records that the claimed generation is in place, closes the intent, and releases the paths that the
// asset no longer needs. A generation planned meanwhile leaves the placement dirty. The success resets the growth of
// the target's pauses, once a pause is over.
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

// SaveUpload records how far an upload got, so that the next worker that claims the placement resumes it.
// FinishPlacement clears it. Planning a new version does not: the adapter has to abort what was begun. ErrLeaseLost:
// another worker may be uploading, and its record stays.
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

// FailPlacement makes a placement due again after f.After, at most state.LongestWait, and records the class and
// the reason for people. closed says that this attempt did not touch the target, so that the next need not look there
// first, unless an earlier attempt left that open. A generation planned meanwhile is due at once, and so is a conflict
// whose path has become free.
func (s *Store) FailPlacement(ctx context.Context, w state.Work, f state.Failure, closed bool) error {
	return s.inTx(ctx, "put placement of "+w.AssetID+" back", func(tx pgx.Tx) error {
		wait := min(f.After, state.LongestWait)
		if f.Class == classConflict {
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
			w.Target, w.AssetID, s.leaseOf(w), f.Class, cleanText(f.Reason), wait, w.Generation, closed && !w.IntentWasOpen)
		return oneRow(tag.RowsAffected(), err, "record failure")
	})
}

// ReturnPlacement returns a placement untouched, as at a shutdown or when the quota defers, to be due again after the
// given time, at most state.LongestWait. The attempt does not count.
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

// Retry makes placements of target (of all targets when empty) that failed or wait, as for the quota, due at once, as
// if never tried, and ends pauses. For all targets it retries lookups, too. It returns how many became due.
func (s *Store) Retry(ctx context.Context, target string) (int64, error) {
	var n int64
	err := s.inTx(ctx, "retry", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `UPDATE damsync.placement p SET next_attempt_at = clock_timestamp(), attempts = 0, error_class = '', error = ''
			WHERE damsync.is_dirty(p) AND ($1 = '' OR target = $1) AND (error_class <> '' OR next_attempt_at > clock_timestamp())`, target)
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
