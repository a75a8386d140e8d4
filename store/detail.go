package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// stored is one level of an asset as the mirror holds it, current or not; zero
// when it holds none.
type stored struct {
	detail     *library.Detail
	fields     *library.Fields
	hash       library.Hash
	settled    bool
	readAt     time.Time
	ofModified time.Time
}

// outdatedBy tells whether r says something else of the level than what is
// stored, and says it later.
func (o stored) outdatedBy(hash library.Hash, r state.Reading) bool {
	return !o.readAt.After(r.ReadAt) && (o.hash != hash || !o.ofModified.Equal(r.Asset.ModifiedAt))
}

func storedDetail(ctx context.Context, tx pgx.Tx, id string) (stored, error) {
	var row stored
	var d library.Detail
	var hash []byte
	err := tx.QueryRow(ctx, `SELECT description, alt_text, attribution, tags, expires_at, public, width, height, size,
		version_number, version_id, owner_id, hash, settled, read_at, of_modified_at FROM damsync.asset_detail WHERE asset_id = $1`, id).
		Scan(&d.Description, &d.AltText, &d.Attribution, &d.Tags, &d.ExpiresAt, &d.Public, &d.Width, &d.Height, &d.Size,
			&d.VersionNumber, &d.VersionID, &d.OwnerID, &hash, &row.settled, &row.readAt, &row.ofModified)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, nil
	}
	if err != nil {
		return row, fmt.Errorf("read detail: %w", err)
	}
	row.detail, row.hash = &d, hashFrom(hash)
	return row, nil
}

func storedFields(ctx context.Context, tx pgx.Tx, id string) (stored, error) {
	var row stored
	var f library.Fields
	var hash []byte
	err := tx.QueryRow(ctx, `SELECT values, hash, read_at, of_modified_at FROM damsync.asset_fields WHERE asset_id = $1`, id).
		Scan(&f.Values, &hash, &row.readAt, &row.ofModified)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, nil
	}
	if err != nil {
		return row, fmt.Errorf("read fields: %w", err)
	}
	row.fields, row.hash = &f, hashFrom(hash)
	return row, nil
}

// adoptSourceTasks copies the task that made an asset from the event that said
// so: no reading of the library reveals it later.
func adoptSourceTasks(ctx context.Context, tx pgx.Tx, ids []string) error {
	_, err := tx.Exec(ctx, `
		UPDATE damsync.asset a SET source_task = i.source_task
		FROM (SELECT DISTINCT ON (asset_id) asset_id, source_task FROM damsync.inbox
			WHERE asset_id = ANY($1) AND processed_at IS NULL AND source_task <> '' ORDER BY asset_id, id DESC) i
		WHERE a.id = i.asset_id AND a.source_task <> i.source_task`, ids)
	if err != nil {
		return fmt.Errorf("keep source tasks: %w", err)
	}
	return nil
}

// LastReadings lists the details that were last read more than age ago, oldest first, after the one given.
func (s *Store) LastReadings(ctx context.Context, after state.LastReading, age time.Duration, limit int) ([]state.LastReading, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT d.asset_id, d.read_at FROM damsync.asset_detail d
		WHERE (d.read_at, d.asset_id) > ($1, $2) AND d.read_at < clock_timestamp() - $3::interval
		AND NOT EXISTS (SELECT FROM damsync.lookup l WHERE l.asset_id = d.asset_id AND l.wanted > l.done)
		ORDER BY d.read_at, d.asset_id LIMIT $4`, after.ReadAt, after.AssetID, age, limit)
	if err != nil {
		return nil, fmt.Errorf("look for the oldest readings: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.LastReading])
	if err != nil {
		return nil, fmt.Errorf("look for the oldest readings: %w", err)
	}
	return found, nil
}
