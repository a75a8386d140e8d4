package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// Waiting counts the backfill that is left.
func (s *Store) Waiting(ctx context.Context) (state.Waiting, error) {
	var w state.Waiting
	err := s.pool.QueryRow(ctx, `SELECT count(*) FILTER (WHERE observation <> $2), count(*) FILTER (WHERE observation = $2)
		FROM damsync.lookup WHERE urgency = $1 AND wanted > done`, grant.Backfill.Rank(), state.KindRefresh).Scan(&w.Backfill, &w.Refresh)
	if err != nil {
		return w, fmt.Errorf("count backfill: %w", err)
	}
	return w, nil
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

// SetTargetLevels records how deep the rules of targets read; levels that are recorded already cost no write.
func (s *Store) SetTargetLevels(ctx context.Context, targets, levels []string) error {
	_, err := s.pool.Exec(ctx, `UPDATE damsync.target t SET level = u.level FROM unnest($1::text[], $2::text[]) AS u (name, level)
		WHERE t.name = u.name AND t.level <> u.level`, targets, levels)
	if err != nil {
		return fmt.Errorf("record levels of targets: %w", err)
	}
	return nil
}

// firstLightSQL is when the reading in depth began that is under way, or would begin now, and what was read since.
const firstLightSQL = `
	WITH begun AS (
		SELECT coalesce((SELECT started_at FROM damsync.first_light WHERE ended_at IS NULL),
			(SELECT min(wanted_at) FROM damsync.lookup WHERE urgency = $1 AND wanted > done AND observation <> $2), clock_timestamp()) AS at
	), read AS (
		SELECT at, (SELECT count(*) FROM damsync.asset_detail WHERE read_at >= at) AS details,
			(SELECT count(*) FROM damsync.asset_fields WHERE read_at >= at) AS fields
		FROM begun
	)`

// NoteFirstLight records that so many assets are left to be read in depth, and tells how far that
// got since the first of them waited.
func (s *Store) NoteFirstLight(ctx context.Context, left int64) (state.FirstLight, error) {
	f := state.FirstLight{Left: left}
	err := s.pool.QueryRow(ctx, firstLightSQL+`
		INSERT INTO damsync.first_light AS f (started_at, noted_at, done, remaining, requests)
		SELECT at, clock_timestamp(), details, $3, details + fields FROM read
		ON CONFLICT (singleton) DO UPDATE SET started_at = excluded.started_at, noted_at = excluded.noted_at, ended_at = NULL,
			done = excluded.done, remaining = excluded.remaining, requests = excluded.requests
		RETURNING started_at, done, requests`, grant.Backfill.Rank(), state.KindRefresh, left).Scan(&f.StartedAt, &f.Done, &f.Requests)
	if err != nil {
		return f, fmt.Errorf("record the first light: %w", err)
	}
	return f, nil
}

// ExpectFirstLight records when it is expected to end.
func (s *Store) ExpectFirstLight(ctx context.Context, end time.Time) error {
	if _, err := s.pool.Exec(ctx, `UPDATE damsync.first_light SET expected_end = $1 WHERE ended_at IS NULL`, end); err != nil {
		return fmt.Errorf("record the end of the first light: %w", err)
	}
	return nil
}

// EndFirstLight records that nothing is left, and tells whether that is news.
func (s *Store) EndFirstLight(ctx context.Context) (bool, error) {
	tag, err := s.pool.Exec(ctx, `UPDATE damsync.first_light SET remaining = 0, ended_at = clock_timestamp(), expected_end = NULL WHERE ended_at IS NULL`)
	if err != nil {
		return false, fmt.Errorf("record the end of the first light: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// Depth is what is read of assets beyond their summaries; part of what `damsync status --json` prints.
type Depth struct {
	Levels []LevelAge `json:"levels"`
	// FirstLight is null while nothing is left to be read in bulk.
	FirstLight *state.FirstLight `json:"first_light"`
}

// LevelAge says how old the readings are that targets rely on, in seconds.
type LevelAge struct {
	Level  string  `json:"level"` // detail or fields
	Assets int64   `json:"assets"`
	P50    float64 `json:"p50_seconds"`
	P95    float64 `json:"p95_seconds"`
	Oldest float64 `json:"oldest_seconds"`
}

// Depth reads how deep the mirror is.
func (s *Store) Depth(ctx context.Context) (Depth, error) {
	var d Depth
	rows, err := s.pool.Query(ctx, `SELECT level, assets, extract(epoch FROM p50)::float8, extract(epoch FROM p95)::float8, extract(epoch FROM oldest)::float8
		FROM report.detail_age ORDER BY level`)
	if err != nil {
		return d, fmt.Errorf("read the age of details: %w", err)
	}
	if d.Levels, err = pgx.CollectRows(rows, pgx.RowToStructByPos[LevelAge]); err != nil {
		return d, fmt.Errorf("read the age of details: %w", err)
	}
	d.FirstLight, err = s.firstLight(ctx)
	return d, err
}

// firstLight is how far the reading in depth is now; its end is as of the last look of a daemon. Nil when nothing is left.
func (s *Store) firstLight(ctx context.Context) (*state.FirstLight, error) {
	waiting, err := s.Waiting(ctx)
	if err != nil || waiting.Backfill == 0 {
		return nil, err
	}
	f := state.FirstLight{Left: waiting.Backfill}
	err = s.pool.QueryRow(ctx, firstLightSQL+`
		SELECT at, details, details + fields, (SELECT expected_end FROM damsync.first_light WHERE ended_at IS NULL) FROM read`,
		grant.Backfill.Rank(), state.KindRefresh).Scan(&f.StartedAt, &f.Done, &f.Requests, &f.ExpectedEnd)
	if err != nil {
		return nil, fmt.Errorf("read the first light: %w", err)
	}
	f.StartedAt, f.ExpectedEnd = f.StartedAt.UTC(), inUTC(f.ExpectedEnd)
	return &f, nil
}
