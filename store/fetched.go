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

// ApplyFetched writes what a lookup read, plans the asset and finishes the lookup, all in one transaction. What the
// mirror holds stays where it is newer.
func (s *Store) ApplyFetched(ctx context.Context, l state.Lookup, r state.Fetched, evaluate state.Evaluate) (state.Applied, error) {
	var applied state.Applied
	r.Asset = cleanAsset(r.Asset)
	err := s.inPlanningTx(ctx, "write reading of "+l.AssetID, func(tx pgx.Tx) error {
		applied = state.Applied{Seen: 1}
		if err := writeReading(ctx, tx, l.Observation, r, &applied); err != nil {
			return err
		}
		if err := adoptSourceTasks(ctx, tx, []string{r.Asset.ID}); err != nil {
			return err
		}
		if err := (planning{l.Observation, evaluate}).plan(ctx, tx, []string{r.Asset.ID}); err != nil {
			return err
		}
		if applied.Changed > 0 {
			var err error
			if applied.FolderUnknown, err = folderUnknown(ctx, tx, []library.Asset{r.Asset}); err != nil {
				return err
			}
		}
		return s.finishLookup(ctx, tx, l)
	})
	return applied, err
}

// fillFrom keeps what the list shows and a detail does not repeat. Type and link always come from the list: a detail
// carries those under which it was found, which may be what an event claims or a link rebuilt for another host, and
// alternating between the two would write the row at every reading.
func fillFrom(a, before library.Asset) library.Asset {
	a.Type = cmp.Or(before.Type, a.Type)
	a.Self = cmp.Or(before.Self, a.Self)
	a.MIMEType = cmp.Or(a.MIMEType, before.MIMEType)
	a.FileExtension = cmp.Or(a.FileExtension, before.FileExtension)
	return a
}

func writeReading(ctx context.Context, tx pgx.Tx, obs state.Observation, r state.Fetched, applied *state.Applied) error {
	old, err := lockAssets(ctx, tx, []library.Asset{r.Asset})
	if err != nil {
		return err
	}
	before, exists := old[r.Asset.ID]
	older := exists && before.readAt.After(r.ReadAt)
	if older && (before.removed || !before.ModifiedAt.Equal(r.Asset.ModifiedAt)) {
		return nil // the whole reading is out of date
	}
	if exists {
		r.Asset = fillFrom(r.Asset, before.Asset)
	}
	r.Asset.Hash = r.Asset.Digest()
	var log changeLog
	if !exists || !older && !before.equals(r.Asset.Hash) {
		applied.Changed++
		if exists {
			log.summary(before, r.Asset)
		} else {
			applied.New++
		}
		if err := upsertAssets(ctx, tx, obs, r.ReadAt, []library.Asset{r.Asset}); err != nil {
			return err
		}
	}
	if err := writeLevels(ctx, tx, r, &log); err != nil {
		return err
	}
	return log.write(ctx, tx, obs)
}

// writeLevels writes the detail and the fields where they differ from the mirror's and are not older.
func writeLevels(ctx context.Context, tx pgx.Tx, r state.Fetched, log *changeLog) error {
	detail, err := storedDetail(ctx, tx, r.Asset.ID)
	if err != nil {
		return err
	}
	if detail.outdatedBy(r.Detail.Hash, r) || detail.graceOver != r.GraceOver && !detail.readAt.After(r.ReadAt) {
		log.detail(r.Asset.ID, detail.detail, r.Detail)
		if err := upsertDetail(ctx, tx, r); err != nil {
			return err
		}
		if err := wakeExpiry(ctx, tx, detail.detail, r.Detail); err != nil {
			return err
		}
	} else if err := touchLevel(ctx, tx, "asset_detail", r); err != nil {
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
		return touchLevel(ctx, tx, "asset_fields", r)
	}
	log.fields(r.Asset.ID, fields.fields, *r.Fields)
	return upsertFields(ctx, tx, r)
}

// wakeExpiry wakes the wait for the next expiry when the asset has a new expiry date, which changes no placement
// until it passes.
func wakeExpiry(ctx context.Context, tx pgx.Tx, before *library.Detail, after library.Detail) error {
	if after.ExpiresAt == nil || before != nil && before.ExpiresAt != nil && before.ExpiresAt.Equal(*after.ExpiresAt) {
		return nil
	}
	return notify(ctx, tx, state.TopicPlacement)
}

// ApplyGone marks an asset removed after its own 404, plans it and finishes the lookup. For an asset that the mirror
// never had it only finishes the lookup. It returns ErrMirrored when the mirror has gained the asset since the claim:
// what an event said of the asset proves no removal.
func (s *Store) ApplyGone(ctx context.Context, l state.Lookup, readAt time.Time, evaluate state.Evaluate) error {
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
		if err := (planning{l.Observation, evaluate}).plan(ctx, tx, []string{l.AssetID}); err != nil {
			return err
		}
		return s.finishLookup(ctx, tx, l)
	})
}

// stillUnknown returns ErrMirrored when the mirror has a living asset of this id.
func stillUnknown(ctx context.Context, tx pgx.Tx, id string) error {
	var living bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM damsync.asset WHERE id = $1 AND removed_at IS NULL)`, id).Scan(&living); err != nil {
		return fmt.Errorf("find the asset: %w", err)
	}
	if living {
		return state.ErrMirrored
	}
	return nil
}
