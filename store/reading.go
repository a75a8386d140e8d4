package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// ApplyReading writes what a lookup read and finishes the lookup, all in one
// transaction. Where the mirror holds something newer, that stays.
func (s *Store) ApplyReading(ctx context.Context, l state.Lookup, r state.Reading, decide state.Decide) (state.Applied, error) {
	var applied state.Applied
	r.Asset = cleanAsset(r.Asset)
	err := s.inPlanningTx(ctx, "write reading of "+l.AssetID, func(tx pgx.Tx) error {
		applied = state.Applied{Seen: 1}
		old, err := lockAssets(ctx, tx, []library.Asset{r.Asset})
		if err != nil {
			return err
		}
		before, exists := old[r.Asset.ID]
		if err := s.writeReading(ctx, tx, l, r, before, exists, &applied); err != nil {
			return err
		}
		if err := adoptSourceTasks(ctx, tx, []string{r.Asset.ID}); err != nil {
			return err
		}
		if err := s.planAssets(ctx, tx, l.Observation, []string{r.Asset.ID}, decide); err != nil {
			return err
		}
		if applied.Changed > 0 {
			if applied.FolderUnknown, err = folderUnknown(ctx, tx, []library.Asset{r.Asset}); err != nil {
				return err
			}
		}
		return s.finishLookup(ctx, tx, l)
	})
	return applied, err
}

// fillFrom keeps what a list row tells and a detail does not repeat. The type and
// the link are the list's own: a detail's are how it was found, which may be what
// an event claims or another host's link rebuilt, and taking turns would write the
// row at every reading.
func fillFrom(a, before library.Asset) library.Asset {
	a.Type = cmp.Or(before.Type, a.Type)
	a.Self = cmp.Or(before.Self, a.Self)
	a.MIMEType = cmp.Or(a.MIMEType, before.MIMEType)
	a.FileExtension = cmp.Or(a.FileExtension, before.FileExtension)
	return a
}

func (s *Store) writeReading(ctx context.Context, tx pgx.Tx, l state.Lookup, r state.Reading, before storedAsset, exists bool, applied *state.Applied) error {
	overtaken := exists && before.readAt.After(r.ReadAt)
	if overtaken && (before.removed || !before.ModifiedAt.Equal(r.Asset.ModifiedAt)) {
		return nil // the whole reading is out of date
	}
	if exists {
		r.Asset = fillFrom(r.Asset, before.Asset)
	}
	r.Asset.Hash = r.Asset.Digest()
	var log changeLog
	if !exists || !overtaken && !before.is(r.Asset.Hash) {
		applied.Changed++
		if exists {
			log.summary(before, r.Asset)
		} else {
			applied.New++
		}
		if err := upsertAssets(ctx, tx, l.Observation, r.ReadAt, []library.Asset{r.Asset}); err != nil {
			return err
		}
	}
	if err := writeLevels(ctx, tx, r, &log); err != nil {
		return err
	}
	return log.write(ctx, tx, l.Observation)
}

// writeLevels keeps the detail and the fields where they differ and are not
// older than those there are.
func writeLevels(ctx context.Context, tx pgx.Tx, r state.Reading, log *changeLog) error {
	detail, err := storedDetail(ctx, tx, r.Asset.ID)
	if err != nil {
		return err
	}
	if detail.outdatedBy(r.Detail.Hash, r) || detail.settled != r.Settled && !detail.readAt.After(r.ReadAt) {
		log.detail(r.Asset.ID, detail.detail, r.Detail)
		if err := upsertDetail(ctx, tx, r); err != nil {
			return err
		}
		if err := wakeExpiry(ctx, tx, detail.detail, r.Detail); err != nil {
			return err
		}
	} else if err := confirm(ctx, tx, "asset_detail", r); err != nil {
		return err
	}
	if r.Fields == nil {
		return nil
	}
	fields, err := storedFields(ctx, tx, r.Asset.ID)
	if err != nil {
		return err
	}
	if !fields.outdatedBy(r.Fields.Hash, r) {
		return confirm(ctx, tx, "asset_fields", r)
	}
	log.fields(r.Asset.ID, fields.fields, *r.Fields)
	return upsertFields(ctx, tx, r)
}

// confirm keeps when a level was last read, which is all that a reading without news tells.
func confirm(ctx context.Context, tx pgx.Tx, table string, r state.Reading) error {
	_, err := tx.Exec(ctx, `UPDATE `+pgx.Identifier{"damsync", table}.Sanitize()+` SET read_at = $2 WHERE asset_id = $1 AND read_at < $2`, r.Asset.ID, r.ReadAt)
	if err != nil {
		return fmt.Errorf("keep the time of a reading: %w", err)
	}
	return nil
}

// wakeExpiry lets the wait for the next expiry begin anew: a date that has moved changes no
// placement until it comes.
func wakeExpiry(ctx context.Context, tx pgx.Tx, before *library.Detail, after library.Detail) error {
	if after.ExpiresAt == nil || before != nil && before.ExpiresAt != nil && before.ExpiresAt.Equal(*after.ExpiresAt) {
		return nil
	}
	return notify(ctx, tx, state.TopicPlacement)
}

// ApplyGone marks an asset removed after its own 404, plans it and finishes the
// lookup. An asset the mirror never had just finishes the lookup; ErrMirrored when it has
// come to have it since, for what an event said of the asset proves no removal.
func (s *Store) ApplyGone(ctx context.Context, l state.Lookup, readAt time.Time, decide state.Decide) error {
	return s.inPlanningTx(ctx, "write removal of "+l.AssetID, func(tx pgx.Tx) error {
		if !l.Mirrored {
			if err := stillUnknown(ctx, tx, l.AssetID); err != nil {
				return err
			}
			return s.finishLookup(ctx, tx, l)
		}
		tag, err := tx.Exec(ctx, `UPDATE damsync.asset SET removed_at = clock_timestamp(), hash = '', read_at = $2
			WHERE id = $1 AND removed_at IS NULL AND read_at <= $2`, l.AssetID, readAt)
		if err != nil {
			return fmt.Errorf("mark removed: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return s.finishLookup(ctx, tx, l)
		}
		var log changeLog
		log.add("asset", l.AssetID, "removed", nil, true)
		if err := log.write(ctx, tx, l.Observation); err != nil {
			return err
		}
		if err := s.planAssets(ctx, tx, l.Observation, []string{l.AssetID}, decide); err != nil {
			return err
		}
		return s.finishLookup(ctx, tx, l)
	})
}

// stillUnknown is ErrMirrored when the mirror has a living asset of this id.
func stillUnknown(ctx context.Context, tx pgx.Tx, id string) error {
	var living bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM damsync.asset WHERE id = $1 AND removed_at IS NULL)`, id).Scan(&living); err != nil {
		return fmt.Errorf("look for the asset: %w", err)
	}
	if living {
		return state.ErrMirrored
	}
	return nil
}
