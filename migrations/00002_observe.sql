-- Observations: what was reported, what has to be read, and how far each reading got.

-- +goose Up
-- Every webhook as it came, stored before it is acknowledged.
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

-- One row an asset that has to be read singly: wanted > done means there is work.
-- A request that comes while the asset is being read raises wanted, so it is not lost. It
-- starts where no earlier row of the asset has been, so that a reading which comes too late
-- finishes no request that it knows nothing of.
CREATE SEQUENCE damsync.lookup_wanted INCREMENT BY 1000000;
CREATE TABLE damsync.lookup (
    asset_id        text PRIMARY KEY,
    asset_type      text NOT NULL,
    self            text NOT NULL,
    class           text NOT NULL,
    urgency         smallint NOT NULL,           -- position of the class, 0 most urgent
    observation     text NOT NULL,               -- what asked for it first
    run_id          bigint,
    wanted          bigint NOT NULL DEFAULT nextval('damsync.lookup_wanted'),
    done            bigint NOT NULL DEFAULT 0,
    gone            boolean NOT NULL DEFAULT false, -- reported or found missing, not yet confirmed
    -- Wanted by events alone and not yet tried: a page of the poll that shows the asset may answer it.
    pollable        boolean NOT NULL DEFAULT false,
    priority        bigint NOT NULL DEFAULT 0,   -- within an urgency, lowest first
    wanted_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_wanted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_owner     text,
    lease_until     timestamptz,
    error_class     text NOT NULL DEFAULT '',
    error           text NOT NULL DEFAULT ''
);
-- In which order they are claimed, and when the next comes due: a first light has a million of them.
CREATE INDEX lookup_order ON damsync.lookup (urgency, priority, next_attempt_at) WHERE wanted > done;
CREATE INDEX lookup_due ON damsync.lookup (urgency, next_attempt_at) WHERE wanted > done AND lease_until IS NULL;
CREATE INDEX lookup_leased ON damsync.lookup (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX lookup_pollable ON damsync.lookup (wanted_at) WHERE pollable;
CREATE INDEX lookup_gone ON damsync.lookup (asset_id) WHERE wanted > done AND gone;

-- One row a run of an observation; the cursor lets another process go on.
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

-- Assets a running sweep did not find where the mirror has them. They become
-- lookups only when the run is complete.
CREATE TABLE damsync.suspect (
    run_id   bigint NOT NULL REFERENCES damsync.run (id),
    asset_id text NOT NULL,
    PRIMARY KEY (run_id, asset_id)
);

-- What each kind of observation last did; cursor is its own business.
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
