package store

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/library"
	"damsync/internal/state"
)

const wantSQL = `
INSERT INTO damsync.lookup AS l (asset_id, asset_type, self, class, urgency, observation, run_id, gone, pollable, priority,
	next_attempt_at, wanted_at, last_wanted_at)
SELECT id, type, self, $4, $5, $6, nullif($7::bigint, 0), $8, $10, priority,
	clock_timestamp() + $11::interval, clock_timestamp(), clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::text[], $12::bigint[]) AS u (id, type, self, priority)
ON CONFLICT (asset_id) DO UPDATE SET
	wanted = l.wanted + 1,
	asset_type = CASE WHEN excluded.asset_type = '' THEN l.asset_type ELSE excluded.asset_type END,
	self = CASE WHEN excluded.self = '' THEN l.self ELSE excluded.self END,
	class = CASE WHEN l.wanted = l.done OR excluded.urgency < l.urgency THEN excluded.class ELSE l.class END,
	urgency = CASE WHEN l.wanted = l.done THEN excluded.urgency ELSE least(l.urgency, excluded.urgency) END,
	priority = CASE WHEN l.wanted = l.done OR excluded.urgency < l.urgency THEN excluded.priority ELSE least(l.priority, excluded.priority) END,
	observation = CASE WHEN l.wanted = l.done THEN excluded.observation ELSE l.observation END,
	run_id = CASE WHEN l.wanted = l.done THEN excluded.run_id ELSE l.run_id END,
	wanted_at = CASE WHEN l.wanted = l.done THEN excluded.wanted_at ELSE l.wanted_at END,
	last_wanted_at = excluded.last_wanted_at,
	next_attempt_at = CASE WHEN l.wanted > l.done AND l.error_class <> '' AND excluded.urgency >= l.urgency AND NOT $9 THEN l.next_attempt_at
		WHEN l.wanted > l.done AND l.error_class = '' THEN least(l.next_attempt_at, excluded.next_attempt_at)
		ELSE excluded.next_attempt_at END,
	gone = l.gone OR excluded.gone,
	pollable = l.pollable AND excluded.pollable`

// wish says how and why assets are to be read.
type wish struct {
	obs      state.Observation
	class    grant.Class
	gone     bool
	pollable bool             // a page of the poll may answer it
	after    time.Duration    // not before
	priority map[string]int64 // by asset; 0 for those that it leaves out
}

// want asks for assets to be read as soon as may be.
func want(ctx context.Context, tx pgx.Tx, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	return wish{obs: obs, class: class, gone: gone}.want(ctx, tx, refs)
}

// want asks for assets to be read; an asset that is being read just now is read
// once more. Only news of the asset, or somebody more urgent, ends the back-off of a lookup that
// failed: a poll that misses an asset each time must not spend a request each time.
func (w wish) want(ctx context.Context, tx pgx.Tx, refs []state.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	refs = inOrder(refs)
	id, typ, self := make([]string, len(refs)), make([]string, len(refs)), make([]string, len(refs))
	priority := make([]int64, len(refs))
	for i, r := range refs {
		id[i], typ[i], self[i] = cleanText(r.ID), cleanText(r.Type), cleanText(r.Self)
		priority[i] = w.priority[r.ID]
	}
	news := w.class == grant.Webhook || w.class == grant.Manual
	_, err := tx.Exec(ctx, wantSQL, id, typ, self, string(w.class), classUrgency(w.class), w.obs.Kind, w.obs.RunID, w.gone, news, w.pollable, w.after, priority)
	if err != nil {
		return fmt.Errorf("ask for lookups: %w", err)
	}
	return notify(ctx, tx, state.TopicLookup)
}

// inOrder returns each asset once, in the order in which all writers lock.
func inOrder(refs []state.Ref) []state.Ref {
	byID := func(a, b state.Ref) int { return strings.Compare(a.ID, b.ID) }
	refs = slices.SortedStableFunc(slices.Values(refs), byID)
	return slices.CompactFunc(refs, func(a, b state.Ref) bool { return a.ID == b.ID })
}

// deeper is an asset of which the rules read more than is known.
type deeper struct {
	state.Known
	rank int
}

// priority puts the assets of a lower rank first, of one rank those that were modified last.
func (d deeper) priority() int64 {
	const rank = 100_000_000_000 // more seconds than there are in a time
	return int64(d.rank+1)*rank - d.Asset.ModifiedAt.Unix()
}

// wantDetails asks for what the rules read and the mirror does not know. A
// lookup that is pending already and as urgent will bring it.
func wantDetails(ctx context.Context, tx pgx.Tx, obs state.Observation, assets []deeper) error {
	if len(assets) == 0 {
		return nil
	}
	w := wish{obs: obs, class: grant.Detail}
	if obs.Bulk {
		w.class, w.priority = grant.Backfill, make(map[string]int64, len(assets))
	}
	ids := make([]string, len(assets))
	for i, d := range assets {
		ids[i] = d.Asset.ID
	}
	pending, err := pendingLookups(ctx, tx, w.class, ids)
	if err != nil {
		return err
	}
	var refs []state.Ref
	for _, d := range assets {
		if pending[d.Asset.ID] {
			continue
		}
		refs = append(refs, state.Ref{ID: d.Asset.ID, Type: d.Asset.Type, Self: d.Asset.Self})
		if obs.Bulk {
			w.priority[d.Asset.ID] = d.priority()
		}
	}
	return w.want(ctx, tx, refs)
}

// pendingLookups are those of ids that wait to be read, for class or somebody more urgent.
func pendingLookups(ctx context.Context, tx pgx.Tx, class grant.Class, ids []string) (map[string]bool, error) {
	rows, err := tx.Query(ctx, `SELECT asset_id FROM damsync.lookup WHERE asset_id = ANY($1) AND wanted > done AND urgency <= $2
		AND (lease_until IS NULL OR lease_until < clock_timestamp())`, ids, classUrgency(class))
	if err != nil {
		return nil, fmt.Errorf("look for pending lookups: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for pending lookups: %w", err)
	}
	pending := make(map[string]bool, len(found))
	for _, id := range found {
		pending[id] = true
	}
	return pending, nil
}

// WantLookups asks for assets to be read singly; an asset that is being read just now is read once
// more. gone marks assets that were not where they should be.
func (s *Store) WantLookups(ctx context.Context, obs state.Observation, class grant.Class, gone bool, refs []state.Ref) error {
	return s.inTx(ctx, "ask for lookups", func(tx pgx.Tx) error {
		return want(ctx, tx, obs, class, gone, refs)
	})
}

// WantUnsettled asks again for the assets that were read in the second of
// their last change, in which a further change does not move modified_at, and
// at least age ago.
func (s *Store) WantUnsettled(ctx context.Context, obs state.Observation, age time.Duration) (int, error) {
	var n int
	err := s.inTx(ctx, "ask for unsettled assets", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT a.id, a.type, a.self FROM damsync.asset_detail d JOIN damsync.asset a ON a.id = d.asset_id
			WHERE NOT d.settled AND d.read_at < clock_timestamp() - $1::interval AND a.removed_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM damsync.lookup l WHERE l.asset_id = a.id AND l.wanted > l.done)
			ORDER BY d.read_at LIMIT 1000`, age)
		if err != nil {
			return err
		}
		refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state.Ref])
		if err != nil {
			return err
		}
		n = len(refs)
		return want(ctx, tx, obs, grant.Detail, false, refs)
	})
	return n, err
}

// ClaimLookups takes up to n due lookups, most urgent first, for the time of
// lease; none of the classes except. What the mirror knows of the asset fills what the request left out.
func (s *Store) ClaimLookups(ctx context.Context, n int, lease time.Duration, except ...grant.Class) ([]state.Lookup, error) {
	rows, err := s.pool.Query(ctx, `
		WITH due AS ( -- urgency by urgency, each in the order of its index, however many wait
			SELECT l.asset_id FROM unnest($4::smallint[]) AS u (urgency) CROSS JOIN LATERAL (
				SELECT asset_id, urgency, priority, next_attempt_at FROM damsync.lookup
				WHERE urgency = u.urgency AND wanted > done AND next_attempt_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())
				ORDER BY priority, next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED) l
			ORDER BY l.urgency, l.priority, l.next_attempt_at LIMIT $1
		), claimed AS (
			UPDATE damsync.lookup l SET lease_owner = $2, lease_until = clock_timestamp() + $3::interval, attempts = attempts + 1, pollable = false
			FROM due WHERE l.asset_id = due.asset_id RETURNING l.*
		)
		SELECT c.asset_id, coalesce(nullif(c.asset_type, ''), a.type, ''), coalesce(nullif(c.self, ''), a.self, ''),
			c.class, c.observation, coalesce(c.run_id, 0), c.wanted, c.gone, c.attempts,
			coalesce((SELECT max(id) FROM damsync.inbox i WHERE i.asset_id = c.asset_id AND i.processed_at IS NULL), 0),
			coalesce((SELECT source_task FROM damsync.inbox i WHERE i.asset_id = c.asset_id AND i.processed_at IS NULL AND source_task <> ''
				ORDER BY id DESC LIMIT 1), a.source_task, '')
		FROM claimed c LEFT JOIN damsync.asset a ON a.id = c.asset_id ORDER BY c.urgency, c.priority, c.next_attempt_at`, n, s.id, lease, urgencies(except))
	if err != nil {
		return nil, fmt.Errorf("claim lookups: %w", err)
	}
	claims, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (state.Lookup, error) {
		var l state.Lookup
		err := row.Scan(&l.AssetID, &l.Type, &l.Self, &l.Class, &l.Observation.Kind, &l.Observation.RunID, &l.Wanted, &l.Gone, &l.Attempts, &l.InboxID, &l.SourceTask)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("claim lookups: %w", err)
	}
	return claims, nil
}

// ExtendLookup renews the lease of a reading that takes long. ErrLeaseLost: another
// worker has it.
func (s *Store) ExtendLookup(ctx context.Context, l state.Lookup, lease time.Duration) error {
	tag, err := s.pool.Exec(ctx, `UPDATE damsync.lookup SET lease_until = clock_timestamp() + $3::interval
		WHERE asset_id = $1 AND lease_owner = $2`, l.AssetID, s.id, lease)
	return oneRow(tag.RowsAffected(), err, "extend lease of "+l.AssetID)
}

// urgencies are those of all classes, known to this version or not, except some.
func urgencies(except []grant.Class) []int16 {
	var all []int16
	for i, class := range append(grant.Classes(), "") {
		if !slices.Contains(except, class) {
			all = append(all, int16(i))
		}
	}
	return all
}

// NextLookup tells when the next lookup that waits comes due, none of the classes except: how long from
// now, and whether there is any.
func (s *Store) NextLookup(ctx context.Context, except ...grant.Class) (time.Duration, bool, error) {
	return s.nextDue(ctx, `SELECT least(
		(SELECT min(l.next_attempt_at) FROM unnest($1::smallint[]) AS u (urgency) CROSS JOIN LATERAL (
			SELECT next_attempt_at FROM damsync.lookup WHERE urgency = u.urgency AND wanted > done AND lease_until IS NULL
			ORDER BY next_attempt_at LIMIT 1) l),
		(SELECT min(greatest(next_attempt_at, lease_until)) FROM damsync.lookup
			WHERE lease_until IS NOT NULL AND wanted > done AND urgency = ANY($1))) - clock_timestamp()`, urgencies(except))
}

func (s *Store) nextDue(ctx context.Context, sql string, args ...any) (time.Duration, bool, error) {
	var wait *time.Duration
	if err := s.pool.QueryRow(ctx, sql, args...).Scan(&wait); err != nil {
		return 0, false, fmt.Errorf("look for the next due work: %w", err)
	}
	if wait == nil {
		return 0, false, nil
	}
	return max(0, *wait), true, nil
}

// ApplyReading writes what a lookup read and finishes the lookup, all in one
// transaction. Where the mirror holds something newer, that stays.
func (s *Store) ApplyReading(ctx context.Context, l state.Lookup, r state.Reading, decide state.Decide) (state.Applied, error) {
	var applied state.Applied
	r.Asset = cleanAsset(r.Asset)
	err := s.inTx(ctx, "write reading of "+l.AssetID, func(tx pgx.Tx) error {
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

// fillFrom keeps what a list row tells and a detail does not repeat. The link is
// the list's own: a detail's is how it was found, which may be another host's
// link rebuilt, and taking turns would write the row at every reading.
func fillFrom(a, before library.Asset) library.Asset {
	for _, f := range []struct{ to, from *string }{
		{&a.Type, &before.Type},
		{&a.MIMEType, &before.MIMEType},
		{&a.FileExtension, &before.FileExtension},
	} {
		if *f.to == "" {
			*f.to = *f.from
		}
	}
	if before.Self != "" {
		a.Self = before.Self
	}
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
// lookup. An asset the mirror never had just finishes the lookup.
func (s *Store) ApplyGone(ctx context.Context, l state.Lookup, readAt time.Time, decide state.Decide) error {
	return s.inTx(ctx, "write removal of "+l.AssetID, func(tx pgx.Tx) error {
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

// finishLookup settles what was wanted when the lookup was claimed. What came
// since keeps it pending.
func (s *Store) finishLookup(ctx context.Context, tx pgx.Tx, l state.Lookup) error {
	tag, err := tx.Exec(ctx, `DELETE FROM damsync.lookup WHERE asset_id = $1 AND wanted = $2`, l.AssetID, l.Wanted)
	if err != nil {
		return fmt.Errorf("finish lookup: %w", err)
	}
	events := l.InboxID
	if tag.RowsAffected() > 0 {
		// Every event raises wanted when it is stored, so none that is visible now
		// came after the claim; the claim may have counted one that it did not see.
		events = math.MaxInt64
	}
	_, err = tx.Exec(ctx, `UPDATE damsync.inbox SET processed_at = clock_timestamp()
		WHERE asset_id = $1 AND id <= $2 AND processed_at IS NULL`, l.AssetID, events)
	if err != nil {
		return fmt.Errorf("settle inbox: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE damsync.lookup SET done = greatest(done, $2), lease_owner = NULL, lease_until = NULL, attempts = 0,
		wanted_at = last_wanted_at,
		-- A second event is read at once, a series of them together.
		next_attempt_at = clock_timestamp() + CASE WHEN class = $4 AND NOT gone
			AND (SELECT count(*) FROM damsync.inbox i WHERE i.asset_id = $1 AND i.processed_at IS NULL) > 1 THEN $5::interval ELSE '0' END,
		error_class = '', error = '' WHERE asset_id = $1 AND lease_owner = $3`, l.AssetID, l.Wanted, s.id, string(grant.Webhook), state.HoldBack)
	if err != nil {
		return fmt.Errorf("finish lookup: %w", err)
	}
	if l.Gone {
		return notify(ctx, tx, state.TopicGate) // one suspect fewer may let a wave through
	}
	return nil
}

// FailLookup puts a lookup back for after; its reason is visible meanwhile. counts says whether the
// failure is the asset's own.
func (s *Store) FailLookup(ctx context.Context, l state.Lookup, class, reason string, after time.Duration, counts bool) error {
	_, err := s.pool.Exec(ctx, `UPDATE damsync.lookup SET lease_owner = NULL, lease_until = NULL, error_class = $3, error = $4,
		next_attempt_at = CASE WHEN wanted > $6 THEN clock_timestamp() ELSE clock_timestamp() + $5::interval END,
		attempts = CASE WHEN $7 THEN attempts ELSE greatest(attempts - 1, 0) END
		WHERE asset_id = $1 AND lease_owner = $2`, l.AssetID, s.id, class, cleanText(reason), after, l.Wanted, counts)
	if err != nil {
		return fmt.Errorf("put lookup of %s back: %w", l.AssetID, err)
	}
	return nil
}

// CountOpenLookups counts, up to most, the lookups that may change how many assets the mirror
// has: of assets that are not in it, and of those that may be gone. One that has failed
// over and over is none of them.
func (s *Store) CountOpenLookups(ctx context.Context, most int) (int, error) {
	var n int
	err := s.pool.QueryRow(ctx, `
		SELECT count(*) FROM (
			SELECT FROM damsync.lookup l WHERE wanted > done AND (error_class = '' OR attempts < 5)
				AND (gone OR NOT EXISTS (SELECT FROM damsync.asset a WHERE a.id = l.asset_id AND a.removed_at IS NULL))
			LIMIT $1) open`, most).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count open lookups: %w", err)
	}
	return n, nil
}
