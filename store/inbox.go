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

// maxAssetID bounds an asset's id in bytes. The CMP's have 32; a B-tree takes no
// key of more than 2.7 KB.
const maxAssetID = 512

// Event is one webhook as received.
type Event struct {
	Name       string // event_name
	AssetID    string // empty when the event is not about a library asset
	AssetType  string // empty when the event does not say
	Self       string // links.self as given; empty when there is none, as in asset_removed
	SourceTask string // the task that the asset came from; only asset_added tells
	Body       []byte // as received
}

// StoreEvent makes e durable and its asset wanted, in one transaction; when it
// returns nil the event may be acknowledged. An event delivered twice costs at
// most one more reading. Events that come before the asset was read share one
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
		return wantReported(ctx, tx, e)
	})
}

// wantReported asks for the asset of an event. Only its own 404 tells of a removal; anything
// else may be held back to be read with others, or because the asset was read just now.
func wantReported(ctx context.Context, tx pgx.Tx, e Event) error {
	w := wish{obs: state.Observation{Kind: state.KindWebhook, Class: grant.Webhook}, class: grant.Webhook}
	ref := []state.Ref{{ID: e.AssetID, Type: e.AssetType, Self: e.Self}}
	if e.Name == eventAssetRemoved {
		w.gone = true
		return w.want(ctx, tx, ref)
	}
	hold, burst, err := holdBack(ctx, tx, e.AssetID)
	if err != nil {
		return err
	}
	w.pollable, w.after = true, hold
	if err := w.want(ctx, tx, ref); err != nil || !burst {
		return err
	}
	return notify(ctx, tx, state.TopicBurst)
}

// cleanEvent makes the texts storable. An id too long to be one is dropped: the
// body still has it.
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

// insertEvent marks an event without an asset as processed: nobody has to act on it.
func insertEvent(ctx context.Context, tx pgx.Tx, e Event) error {
	const insert = `
		INSERT INTO damsync.inbox (event_name, asset_id, asset_type, source_task, body, processed_at)
		VALUES ($1, $2, $3, $4, $5, CASE WHEN $2 = '' THEN clock_timestamp() END)`
	if _, err := tx.Exec(ctx, insert, e.Name, e.AssetID, e.AssetType, e.SourceTask, e.Body); err != nil {
		return fmt.Errorf("insert into inbox: %w", err)
	}
	return nil
}

// keepSourceTask records the task at once: no reading of the asset reveals it.
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

// PruneInbox deletes events processed longer than olderThan ago and returns how
// many. It works in short transactions and may be called by several replicas at
// once; on an error the count is of what is gone nonetheless.
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
