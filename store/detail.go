package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
)

type storedDetailRow struct {
	detail     *library.Detail // nil when there is none
	hash       library.Hash
	settled    bool
	ofModified time.Time
}

// storedDetail reads the detail and fields the mirror holds, current or not.
func storedDetail(ctx context.Context, tx pgx.Tx, id string) (storedDetailRow, *library.Fields, error) {
	var (
		row    storedDetailRow
		d      library.Detail
		hash   []byte
		values []library.FieldValue
	)
	err := tx.QueryRow(ctx, `SELECT description, alt_text, attribution, tags, expires_at, public, width, height, size,
		version_number, version_id, owner_id, hash, settled, of_modified_at FROM damsync.asset_detail WHERE asset_id = $1`, id).
		Scan(&d.Description, &d.AltText, &d.Attribution, &d.Tags, &d.ExpiresAt, &d.Public, &d.Width, &d.Height, &d.Size,
			&d.VersionNumber, &d.VersionID, &d.OwnerID, &hash, &row.settled, &row.ofModified)
	switch {
	case err == nil:
		row.detail = &d
		copy(row.hash[:], hash)
	case !errors.Is(err, pgx.ErrNoRows):
		return row, nil, fmt.Errorf("read detail: %w", err)
	}
	err = tx.QueryRow(ctx, `SELECT values FROM damsync.asset_fields WHERE asset_id = $1`, id).Scan(&values)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, nil, nil
	}
	if err != nil {
		return row, nil, fmt.Errorf("read fields: %w", err)
	}
	return row, &library.Fields{Values: values}, nil
}

// adoptSourceTask copies the task that made the asset from the event that said
// so: no reading of the library reveals it later.
func adoptSourceTask(ctx context.Context, tx pgx.Tx, id string) error {
	_, err := tx.Exec(ctx, `
		UPDATE damsync.asset a SET source_task = i.source_task
		FROM (SELECT source_task FROM damsync.inbox WHERE asset_id = $1 AND processed_at IS NULL AND source_task <> '' ORDER BY id DESC LIMIT 1) i
		WHERE a.id = $1 AND a.source_task <> i.source_task`, id)
	if err != nil {
		return fmt.Errorf("keep source task: %w", err)
	}
	return nil
}
