-- Observations: what was reported, what has to be read, and how far each reading got.

-- +goose Up
-- Every webhook as received, stored before it is acknowledged.
CREATE TABLE damsync.inbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    event_name   text NOT NULL,
    asset_id     text NOT NULL,
    asset_type   text NOT NULL,
    source_task  text NOT NULL,
    body         bytea NOT NULL,
    processed_at timestamptz
);
CREATE INDEX inbox_pending ON damsync.inbox (asset_id, id) WHERE processed_at IS NULL;
CREATE INDEX inbox_processed ON damsync.inbox (processed_at) WHERE processed_at IS NOT NULL;

-- One row for each asset that has to be read by itself. Each request raises requested, so that one which comes while
-- the asset is being read is not lost: the reading sets done to the number that it started with. A new row starts
-- above all earlier rows of the asset, so that a late reading does not finish requests made after it.
CREATE SEQUENCE damsync.lookup_requested INCREMENT BY 1000000;
CREATE TABLE damsync.lookup (
    asset_id        text PRIMARY KEY,
    asset_type      text NOT NULL,
    self            text NOT NULL,
    class           text NOT NULL,
    urgency         smallint NOT NULL,           -- rank of the class, 0 most urgent
    observation     text NOT NULL,               -- the kind that requested it first
    run_id          bigint,
    requested       bigint NOT NULL DEFAULT nextval('damsync.lookup_requested'),
    done            bigint NOT NULL DEFAULT 0,
    gone            boolean NOT NULL DEFAULT false, -- reported or found missing, not yet confirmed
    -- Only events requested it and no attempt was made: a page of the poll that shows the asset may answer it.
    pollable        boolean NOT NULL DEFAULT false,
    priority        bigint NOT NULL DEFAULT 0,   -- within an urgency, lowest first
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_owner     text,
    lease_until     timestamptz,
    error_class     text NOT NULL DEFAULT '',
    error           text NOT NULL DEFAULT ''
);

-- is_pending reports whether a lookup has been requested since it was last finished. Queries call it; PostgreSQL
-- inlines it, so it matches the indexes below, which have to spell the condition out.
CREATE FUNCTION damsync.is_pending(l damsync.lookup) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN l.requested > l.done;

-- A backfill has a million pending lookups: one index gives the order in which they are claimed, one the next that
-- becomes due.
CREATE INDEX lookup_order ON damsync.lookup (urgency, priority, next_attempt_at) WHERE requested > done;
CREATE INDEX lookup_due ON damsync.lookup (urgency, next_attempt_at) WHERE requested > done AND lease_until IS NULL;
CREATE INDEX lookup_leased ON damsync.lookup (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX lookup_pollable ON damsync.lookup (requested_at) WHERE pollable;
CREATE INDEX lookup_gone ON damsync.lookup (asset_id) WHERE requested > done AND gone;

-- One row for each run of an observation. The cursor lets another process resume it; only the kind's own code
-- reads it.
CREATE TABLE damsync.run (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    state        text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed', 'stopped')),
    requested_by text NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at     timestamptz,
    cursor       jsonb NOT NULL DEFAULT '{}',
    requests     bigint NOT NULL DEFAULT 0,
    seen         bigint NOT NULL DEFAULT 0,
    changed      bigint NOT NULL DEFAULT 0,
    suspects     bigint NOT NULL DEFAULT 0,
    error        text NOT NULL DEFAULT '',
    lease_owner  text,
    lease_until  timestamptz
);
CREATE UNIQUE INDEX run_running ON damsync.run (kind) WHERE state = 'running';
CREATE INDEX run_started ON damsync.run (started_at);

-- Assets that a running sweep did not find where the mirror has them. They become lookups only when the run is
-- complete.
CREATE TABLE damsync.suspect (
    run_id   bigint NOT NULL REFERENCES damsync.run (id),
    asset_id text NOT NULL,
    PRIMARY KEY (run_id, asset_id)
);

-- What each kind of observation last did. Only the kind's own code reads the cursor.
CREATE TABLE damsync.observation (
    kind         text PRIMARY KEY,
    cursor       jsonb NOT NULL DEFAULT '{}',
    last_attempt timestamptz,
    last_success timestamptz,
    error        text NOT NULL DEFAULT ''
);

-- What the audit of a run found.
CREATE TABLE damsync.audit (
    run_id      bigint PRIMARY KEY REFERENCES damsync.run (id),
    scope       text NOT NULL CHECK (scope IN ('library', 'windows')),
    windows     bigint NOT NULL,
    missing     bigint NOT NULL,                 -- in the mirror, not listed by the library
    extra       bigint NOT NULL,                 -- listed by the library, not in the mirror
    hidden      bigint NOT NULL,                 -- counted by the library, not listed
    suspects    bigint NOT NULL,                 -- of the missing, those left to be confirmed by their own 404
    complete_at timestamptz,                     -- everything in the library at that time is in the mirror or a suspect
    notes       text[] NOT NULL
);

-- Windows of created_at that audits count in turn, and how far each is read. Each turn counts one window in full
-- and reads its next page.
CREATE TABLE damsync.audit_window (
    from_at    timestamptz PRIMARY KEY,          -- inclusive, as to_at; -infinity and infinity are open
    to_at      timestamptz NOT NULL,
    counted_at timestamptz,                      -- the last turn
    page       bigint NOT NULL DEFAULT 0,        -- offset of the next one
    last_id    text NOT NULL DEFAULT '',         -- the last asset read in this cycle
    last_at    timestamptz,
    cycle_at   timestamptz,                      -- start of the current cycle
    read_since timestamptz                       -- start of the last finished cycle: every asset was read after it
);
