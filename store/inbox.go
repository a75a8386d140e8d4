package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"damsync/internal/grant"
	"damsync/internal/state"
)

// eventAssetRemoved is the CMP's event of an asset that left the library.
const eventAssetRemoved = "asset_removed"

// maxAssetID bounds an asset's id in bytes. The CMP's ids have 32; a B-tree accepts keys up to 2.7 KB.
const maxAssetID = 512

// Event is one webhook as received.
type Event struct {
	Name       string // event_name
	AssetID    string // empty when the event is not about a library asset
	AssetType  string // empty when the event does not say
	Self       string // links.self as given; empty when there is none, as in asset_removed
	SourceTask string // the task that the asset came from; only asset_added names it
	Body       []byte // as received
}

// StoreEvent stores e and requests its asset, in one transaction; when it returns nil the event may be acknowledged. An
// event that is delivered twice costs at most one more reading. Events that come before the asset is read share one
// reading; one that comes while it is being read causes another.
func (s *Store) StoreEvent(ctx context.Context, e Event) error {
	e = cleanEvent(e)
	return s.inTx(ctx, "store event", func(tx pgx.Tx) error {
		if err := insertEvent(ctx, tx, e); err != nil {
			return err
		}
		if e.AssetID == "" {
			return nil
		}
		if err := keepSourceTask(ctx, tx, e); err != nil {
			return err
		}
		return requestReported(ctx, tx, e)
	})
}

// requestReported requests the asset of an event. A removal is read at once, since only the asset's own 404 proves it;
// anything else may be held back, to be read with others or because the asset was read a moment ago.
func requestReported(ctx context.Context, tx pgx.Tx, e Event) error {
	r := lookupRequest{obs: state.Observation{Kind: state.KindWebhook, Class: grant.Webhook}, class: grant.Webhook}
	ref := []state.Ref{{ID: e.AssetID, Type: e.AssetType, Self: e.Self}}
	if e.Name == eventAssetRemoved {
		r.gone = true
		return r.send(ctx, tx, ref)
	}
	hold, burst, err := holdBack(ctx, tx, e.AssetID)
	if err != nil {
		return err
	}
	r.pollable, r.delay = true, hold
	if err := r.send(ctx, tx, ref); err != nil || !burst {
		return err
	}
	return notify(ctx, tx, state.TopicBurst)
}

// cleanEvent makes the texts storable. It drops an id that is too long to be one; the body still has it.
func cleanEvent(e Event) Event {
	e.Name, e.AssetID, e.AssetType = cleanText(e.Name), cleanText(e.AssetID), cleanText(e.AssetType)
	e.Self, e.SourceTask = cleanText(e.Self), cleanText(e.SourceTask)
	if len(e.AssetID) > maxAssetID {
		e.AssetID = ""
	}
	if e.Body == nil {
		e.Body = []byte{} // nil would be NULL
	}
	return e
}

// insertEvent marks an event without an asset as processed: there is nothing to do.
func insertEvent(ctx context.Context, tx pgx.Tx, e Event) error {
	const insert = `
		INSERT INTO damsync.inbox (event_name, asset_id, asset_type, source_task, body, processed_at)
		VALUES ($1, $2, $3, $4, $5, CASE WHEN $2 = '' THEN clock_timestamp() END)`
	if _, err := tx.Exec(ctx, insert, e.Name, e.AssetID, e.AssetType, e.SourceTask, e.Body); err != nil {
		return fmt.Errorf("insert into inbox: %w", err)
	}
	return nil
}

// keepSourceTask records the task at once, since no reading of the asset reveals it.
func keepSourceTask(ctx context.Context, tx pgx.Tx, e Event) error {
	if e.SourceTask == "" {
		return nil
	}
	const keep = `
		WITH old AS (
			SELECT id, source_task FROM damsync.asset WHERE id = $1 AND source_task <> $2 FOR UPDATE
		), kept AS (
			UPDATE damsync.asset a SET source_task = $2 FROM old WHERE a.id = old.id
		)
		INSERT INTO damsync.change (entity, entity_id, field, old, new, observation)
		SELECT 'asset', id, 'source_task', to_jsonb(source_task), to_jsonb($2::text), $3 FROM old`
	if _, err := tx.Exec(ctx, keep, e.AssetID, e.SourceTask, state.KindWebhook); err != nil {
		return fmt.Errorf("keep source task: %w", err)
	}
	return nil
}

// adoptSourceTasks copies the task that created an asset from the event that named it, since no later reading of the
// library reveals it.
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

// PruneInbox deletes events that were processed longer than olderThan ago and returns their number. It works in short
// transactions and several replicas may call it at once. On an error it still returns the number deleted so far.
func (s *Store) PruneInbox(ctx context.Context, olderThan time.Duration) (int64, error) {
	const batch = 5000
	const prune = `
		DELETE FROM damsync.inbox WHERE id = ANY (ARRAY(
			SELECT id FROM damsync.inbox WHERE processed_at < clock_timestamp() - $1::interval
			ORDER BY processed_at LIMIT $2 FOR UPDATE SKIP LOCKED))`
	var pruned int64
	for {
		tag, err := s.pool.Exec(ctx, prune, olderThan, batch)
		if err != nil {
			return pruned, fmt.Errorf("prune inbox: %w", err)
		}
		pruned += tag.RowsAffected()
		if tag.RowsAffected() < batch {
			return pruned, nil
		}
	}
}
