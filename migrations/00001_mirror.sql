-- The mirror: what the CMP library holds, as last read.

-- +goose Up
CREATE SCHEMA IF NOT EXISTS damsync;

-- One row: the identity of this installation. Objects at targets carry the id in their ownership mark.
CREATE TABLE damsync.instance (
    singleton  boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id         text NOT NULL DEFAULT gen_random_uuid()::text,
    -- Raised whenever folders, label groups or fields change. Every target is then planned in full again.
    epoch      bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO damsync.instance DEFAULT VALUES;

CREATE TABLE damsync.asset (
    id                    text NOT NULL,
    type                  text NOT NULL,
    title                 text NOT NULL,
    mime_type             text NOT NULL,
    file_extension        text NOT NULL,
    created_at            timestamptz NOT NULL,
    modified_at           timestamptz NOT NULL,
    folder_id             text NOT NULL,         -- '' at the root
    file_location         text NOT NULL,
    archived              boolean NOT NULL,
    labels                jsonb NOT NULL,
    owner_organization_id text NOT NULL,
    self                  text NOT NULL,
    source_task           text NOT NULL DEFAULT '',
    raw                   jsonb NOT NULL,
    hash                  bytea NOT NULL,
    read_at               timestamptz NOT NULL,  -- when the reading that wrote this row was requested
    first_seen_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    first_seen_by         text NOT NULL,
    removed_at            timestamptz,           -- set by the asset's own 404; the row stays as a tombstone
    -- The key includes the hash, so that comparing a page reads the index alone.
    PRIMARY KEY (id) INCLUDE (hash)
);
CREATE INDEX asset_modified ON damsync.asset (modified_at DESC, id) WHERE removed_at IS NULL;
CREATE INDEX asset_created ON damsync.asset (created_at, id) WHERE removed_at IS NULL;

CREATE TABLE damsync.asset_detail (
    asset_id       text PRIMARY KEY REFERENCES damsync.asset (id),
    description    text NOT NULL,
    alt_text       text NOT NULL,
    attribution    text NOT NULL,
    tags           text[] NOT NULL,
    expires_at     timestamptz,
    public         boolean NOT NULL,
    width          integer NOT NULL,
    height         integer NOT NULL,
    size           bigint NOT NULL,              -- bytes; -1 when the library does not say
    version_number bigint NOT NULL,
    version_id     text NOT NULL,
    owner_id       text NOT NULL,
    raw            jsonb NOT NULL,
    hash           bytea NOT NULL,
    read_at        timestamptz NOT NULL,
    of_modified_at timestamptz NOT NULL,         -- the asset's modified_at then; out of date when the asset has another
    -- False when it was read within the second of the asset's last change: modified_at has whole seconds, so
    -- a further change in that second does not move it.
    grace_over     boolean NOT NULL
);
CREATE INDEX asset_detail_in_grace ON damsync.asset_detail (read_at) WHERE NOT grace_over;
-- For reading the oldest details again, and for counting those read lately.
CREATE INDEX asset_detail_read ON damsync.asset_detail (read_at, asset_id);

CREATE TABLE damsync.asset_fields (
    asset_id       text PRIMARY KEY REFERENCES damsync.asset (id),
    values         jsonb NOT NULL,
    raw            jsonb NOT NULL,
    hash           bytea NOT NULL,
    read_at        timestamptz NOT NULL,
    of_modified_at timestamptz NOT NULL
);

CREATE TABLE damsync.folder (
    id          text PRIMARY KEY,
    parent_id   text NOT NULL,                   -- '' at the root
    name        text NOT NULL,
    path        text NOT NULL,
    created_at  timestamptz NOT NULL,
    modified_at timestamptz NOT NULL,
    raw         jsonb NOT NULL
);

CREATE TABLE damsync.label_group (
    id     text PRIMARY KEY,
    name   text NOT NULL,
    values jsonb NOT NULL,
    raw    jsonb NOT NULL
);

CREATE TABLE damsync.field_definition (
    id      text PRIMARY KEY,
    name    text NOT NULL,
    type    text NOT NULL,
    active  boolean NOT NULL,
    choices jsonb NOT NULL,
    raw     jsonb NOT NULL
);

-- Append-only: which field changed from what to what, and which observation saw it.
CREATE TABLE damsync.change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity      text NOT NULL,                   -- asset, folder, label_group, field_definition
    entity_id   text NOT NULL,
    field       text NOT NULL,
    old         jsonb,
    new         jsonb,
    observation text NOT NULL,
    run_id      bigint,
    seen_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX change_entity ON damsync.change (entity_id, id);
CREATE INDEX change_seen ON damsync.change (seen_at);

-- The number of living assets by the hour of their creation, so that counting a window of a million assets sums
-- some thousand rows. Triggers keep it up to date in the transaction that writes the mirror; a write that changes
-- no count writes nothing here.
CREATE TABLE damsync.asset_hour (
    hour  bigint PRIMARY KEY,                    -- since 1970, UTC
    count bigint NOT NULL
) WITH (fillfactor = 70);

-- Rows are locked in the order of their hours, so that two writers do not deadlock.
-- +goose StatementBegin
CREATE FUNCTION damsync.count_assets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO damsync.asset_hour AS h (hour, count)
            SELECT floor(extract(epoch FROM created_at) / 3600)::bigint, count(*) FROM new_rows WHERE removed_at IS NULL GROUP BY 1 ORDER BY 1
            ON CONFLICT (hour) DO UPDATE SET count = h.count + excluded.count;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO damsync.asset_hour AS h (hour, count)
            SELECT floor(extract(epoch FROM created_at) / 3600)::bigint, -count(*) FROM old_rows WHERE removed_at IS NULL GROUP BY 1 ORDER BY 1
            ON CONFLICT (hour) DO UPDATE SET count = h.count + excluded.count;
    ELSE
        INSERT INTO damsync.asset_hour AS h (hour, count)
            SELECT hour, sum(n) FROM (
                SELECT floor(extract(epoch FROM created_at) / 3600)::bigint AS hour, 1 AS n FROM new_rows WHERE removed_at IS NULL
                UNION ALL
                SELECT floor(extract(epoch FROM created_at) / 3600)::bigint, -1 FROM old_rows WHERE removed_at IS NULL) AS moved
            GROUP BY hour HAVING sum(n) <> 0 ORDER BY hour
            ON CONFLICT (hour) DO UPDATE SET count = h.count + excluded.count;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER asset_inserted AFTER INSERT ON damsync.asset
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION damsync.count_assets();
CREATE TRIGGER asset_updated AFTER UPDATE ON damsync.asset
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION damsync.count_assets();
CREATE TRIGGER asset_deleted AFTER DELETE ON damsync.asset
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION damsync.count_assets();

-- +goose StatementBegin
DO $$
BEGIN
    -- lz4 writes pages 1.4 times as fast as pglz. A server built without it keeps pglz.
    ALTER TABLE damsync.asset ALTER COLUMN raw SET COMPRESSION lz4;
    ALTER TABLE damsync.asset_detail ALTER COLUMN raw SET COMPRESSION lz4;
    ALTER TABLE damsync.asset_fields ALTER COLUMN raw SET COMPRESSION lz4;
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'lz4 compression is not available: %', SQLERRM;
END
$$;
-- +goose StatementEnd
