-- Audits: counting windows of created_at against the library.

-- +goose Up
-- How many living assets the mirror has by the hour they were created in, so that counting
-- a window of a million rows sums some thousand of them. Triggers keep it, in the transaction
-- that writes the mirror; what changes no count writes nothing.
CREATE TABLE damsync.asset_hour (
    hour  bigint PRIMARY KEY,                    -- since 1970, UTC
    count bigint NOT NULL
) WITH (fillfactor = 70);

-- Locks are taken in the order of the hours, so that two writers never wait for each other in a circle.
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

-- What the audit of a run found.
CREATE TABLE damsync.audit (
    run_id      bigint PRIMARY KEY REFERENCES damsync.run (id),
    scope       text NOT NULL CHECK (scope IN ('library', 'windows')),
    windows     bigint NOT NULL,
    missing     bigint NOT NULL,                 -- the mirror has them and the library did not list them
    surplus     bigint NOT NULL,                 -- the library listed them and the mirror did not have them
    hidden      bigint NOT NULL,                 -- the library counted them and did not list them
    suspects    bigint NOT NULL,                 -- of the missing, those left to be confirmed by their own 404
    complete_at timestamptz,                     -- everything that was in the library then is in the mirror or a suspect
    notes       text[] NOT NULL
);

-- The windows that are counted in turn, and how far each is read. Each turn counts one
-- in full and reads its next page.
CREATE TABLE damsync.audit_window (
    from_at    timestamptz PRIMARY KEY,          -- inclusive, as to_at; -infinity and infinity are open
    to_at      timestamptz NOT NULL,
    counted_at timestamptz,                      -- the last turn
    page       bigint NOT NULL DEFAULT 0,        -- offset of the next one
    last_id    text NOT NULL DEFAULT '',         -- the last asset read in this cycle
    last_at    timestamptz,
    cycle_at   timestamptz,                      -- when the cycle now under way began
    read_since timestamptz                       -- when the last finished cycle began: each asset was read since
);

CREATE VIEW report.audits AS
SELECT r.id, a.scope, r.state, r.requested_by, r.started_at, r.ended_at, r.requests, a.windows, r.seen, a.missing, a.surplus, a.hidden,
       a.suspects, a.complete_at, a.notes, r.error
FROM damsync.run r LEFT JOIN damsync.audit a ON a.run_id = r.id WHERE r.kind = 'audit';

-- What is proven: every asset counted, and read, at least once since. Null while a first cycle is under way.
CREATE VIEW report.completeness AS
SELECT count(*) AS windows,
       CASE WHEN bool_and(counted_at IS NOT NULL) THEN min(counted_at) END AS counted_since,
       CASE WHEN bool_and(read_since IS NOT NULL) THEN min(read_since) END AS read_since,
       (SELECT max(complete_at) FROM damsync.audit WHERE scope = 'library') AS complete_at
FROM damsync.audit_window;
