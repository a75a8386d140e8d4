package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/library"
	"damsync/internal/state"
)

// storedLevel is one level of an asset in the mirror, current or not; zero when the mirror does not have it.
type storedLevel struct {
	detail     *library.Detail
	fields     *library.Fields
	hash       library.Hash
	graceOver  bool
	readAt     time.Time
	ofModified time.Time
}

// outdatedBy reports whether r is newer than the stored level and differs from it.
func (o storedLevel) outdatedBy(hash library.Hash, r state.Fetched) bool {
	return !o.readAt.After(r.ReadAt) && (o.hash != hash || !o.ofModified.Equal(r.Asset.ModifiedAt))
}

func storedDetail(ctx context.Context, tx pgx.Tx, id string) (storedLevel, error) {
	var row storedLevel
	var d library.Detail
	var hash []byte
	err := tx.QueryRow(ctx, `SELECT description, alt_text, attribution, tags, expires_at, public, width, height, size,
		version_number, version_id, owner_id, hash, grace_over, read_at, of_modified_at FROM damsync.asset_detail WHERE asset_id = $1`, id).
		Scan(&d.Description, &d.AltText, &d.Attribution, &d.Tags, &d.ExpiresAt, &d.Public, &d.Width, &d.Height, &d.Size,
			&d.VersionNumber, &d.VersionID, &d.OwnerID, &hash, &row.graceOver, &row.readAt, &row.ofModified)
	if errors.Is(err, pgx.ErrNoRows) {
		return row, nil
	}
	if err != nil {
		return row, fmt.Errorf("read detail: %w", err)
	}
	row.detail, row.hash = &d, hashFrom(hash)
	return row, nil
}

func storedFields(ctx context.Context, tx pgx.Tx, id string) (storedLevel, error) {
	var row storedLevel
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

// upsertDetail writes the detail of one asset, and its expiry to the placements.
func upsertDetail(ctx context.Context, tx pgx.Tx, r state.Fetched) error {
	d := r.Detail
	tags := make([]string, len(d.Tags))
	for i, tag := range d.Tags {
		tags[i] = cleanText(tag)
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO damsync.asset_detail (asset_id, description, alt_text, attribution, tags, expires_at, public, width, height,
			size, version_number, version_id, owner_id, raw, hash, read_at, of_modified_at, grace_over)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT (asset_id) DO UPDATE SET
			description = excluded.description, alt_text = excluded.alt_text, attribution = excluded.attribution,
			tags = excluded.tags, expires_at = excluded.expires_at, public = excluded.public, width = excluded.width,
			height = excluded.height, size = excluded.size, version_number = excluded.version_number,
			version_id = excluded.version_id, owner_id = excluded.owner_id, raw = excluded.raw, hash = excluded.hash,
			read_at = excluded.read_at, of_modified_at = excluded.of_modified_at, grace_over = excluded.grace_over`,
		r.Asset.ID, cleanText(d.Description), cleanText(d.AltText), cleanText(d.Attribution), tags, d.ExpiresAt, d.Public,
		d.Width, d.Height, d.Size, d.VersionNumber, cleanText(d.VersionID), cleanText(d.OwnerID), cleanJSON(d.Raw), d.Hash[:],
		r.ReadAt, r.Asset.ModifiedAt, r.GraceOver)
	if err != nil {
		return fmt.Errorf("write detail: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE damsync.placement SET expires_at = $2 WHERE asset_id = $1 AND expires_at IS DISTINCT FROM $2`, r.Asset.ID, d.ExpiresAt)
	if err != nil {
		return fmt.Errorf("record expiry: %w", err)
	}
	return nil
}

// upsertFields writes the field values of one asset.
func upsertFields(ctx context.Context, tx pgx.Tx, r state.Fetched) error {
	values, err := json.Marshal(r.Fields.Values)
	if err != nil {
		return fmt.Errorf("encode fields: %w", err)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO damsync.asset_fields (asset_id, values, raw, hash, read_at, of_modified_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (asset_id) DO UPDATE SET
			values = excluded.values, raw = excluded.raw, hash = excluded.hash, read_at = excluded.read_at,
			of_modified_at = excluded.of_modified_at`,
		r.Asset.ID, cleanJSON(values), cleanJSON(r.Fields.Raw), r.Fields.Hash[:], r.ReadAt, r.Asset.ModifiedAt)
	if err != nil {
		return fmt.Errorf("write fields: %w", err)
	}
	return nil
}

// touchLevel records when a level was last read, for a reading that found nothing new.
func touchLevel(ctx context.Context, tx pgx.Tx, table string, r state.Fetched) error {
	_, err := tx.Exec(ctx, `UPDATE `+pgx.Identifier{"damsync", table}.Sanitize()+` SET read_at = $2 WHERE asset_id = $1 AND read_at < $2`, r.Asset.ID, r.ReadAt)
	if err != nil {
		return fmt.Errorf("record the time of a reading: %w", err)
	}
	return nil
}

// LastReads lists details that were last read more than age ago and are not being read, oldest first. It
// continues after the given one.
func (s *Store) LastReads(ctx context.Context, after state.LastRead, age time.Duration, limit int) ([]state.LastRead, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT d.asset_id, d.read_at FROM damsync.asset_detail d
		WHERE (d.read_at, d.asset_id) > ($1, $2) AND d.read_at < clock_timestamp() - $3::interval
		AND NOT EXISTS (SELECT FROM damsync.lookup l WHERE l.asset_id = d.asset_id AND damsync.is_pending(l))
		ORDER BY d.read_at, d.asset_id LIMIT $4`, after.ReadAt, after.AssetID, age, limit)
	if err != nil {
		return nil, fmt.Errorf("find the oldest details: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.LastRead])
	if err != nil {
		return nil, fmt.Errorf("find the oldest details: %w", err)
	}
	return found, nil
}
