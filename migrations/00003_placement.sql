-- Placements: one asset at one target; what should be there, what is there.

-- +goose Up
CREATE SEQUENCE damsync.generation;

CREATE TABLE damsync.target (
    name         text PRIMARY KEY,
    fingerprint  bytea NOT NULL DEFAULT '',      -- of the rule last planned in full
    epoch        bigint NOT NULL DEFAULT 0,      -- of the mirror last planned in full
    planned_at   timestamptz,
    problem      text NOT NULL DEFAULT '',       -- why it does not run
    attempts     integer NOT NULL DEFAULT 0,
    paused_until timestamptz,
    pause_reason text NOT NULL DEFAULT '',
    -- The deepest level that the rule of a target reads: summary, detail or fields.
    level        text NOT NULL DEFAULT 'summary'
);

CREATE TABLE damsync.placement (
    target                text NOT NULL,
    asset_id              text NOT NULL,
    desired_present       boolean NOT NULL,
    desired_path          text NOT NULL,
    desired_version       text NOT NULL,
    desired_metadata      jsonb NOT NULL,
    desired_metadata_hash bytea NOT NULL,
    desired_generation    bigint NOT NULL,
    desired_reason        text NOT NULL,
    desired_at            timestamptz NOT NULL,
    expires_at            timestamptz,           -- of the asset, as its detail says
    urgency               smallint NOT NULL,
    -- A removal passes the gate before it is work: waiting, held or open.
    gate                  text NOT NULL CHECK (gate IN ('open', 'waiting', 'held')),
    -- incomplete: a verification found other bytes than those that were put.
    applied_state         text NOT NULL DEFAULT 'absent' CHECK (applied_state IN ('absent', 'present', 'incomplete', 'archived')),
    applied_path          text NOT NULL DEFAULT '',
    applied_version       text NOT NULL DEFAULT '',
    applied_metadata_hash bytea NOT NULL DEFAULT '',
    applied_generation    bigint NOT NULL DEFAULT 0,
    applied_at            timestamptz,
    sha256                text NOT NULL DEFAULT '',
    size                  bigint NOT NULL DEFAULT 0,
    -- What the target said of the object: its handle, and what tells a change there.
    remote_ref            text NOT NULL DEFAULT '',
    remote_token          text NOT NULL DEFAULT '',
    remote_hash           text NOT NULL DEFAULT '',
    -- Of the last unfinished upload: the adapter's session, opaque, which it goes on from or gives up,
    -- and the ETag of the content that was being sent.
    upload_session        bytea NOT NULL DEFAULT '' CHECK (octet_length(upload_session) <= 65536),
    upload_version        text NOT NULL DEFAULT '',
    upload_etag           text NOT NULL DEFAULT '',
    -- An open intent: committed before the first byte, cleared with the outcome.
    intent_generation     bigint,
    intent_path           text NOT NULL DEFAULT '',
    attempts              integer NOT NULL DEFAULT 0,
    next_attempt_at       timestamptz NOT NULL,
    lease_owner           text,
    lease_until           timestamptz,
    error_class           text NOT NULL DEFAULT '',
    error                 text NOT NULL DEFAULT '',
    PRIMARY KEY (target, asset_id)
) WITH (fillfactor = 80);
CREATE INDEX placement_dirty ON damsync.placement (target, urgency, next_attempt_at)
    WHERE desired_generation > applied_generation AND gate = 'open';
-- When the next comes due, however many wait.
CREATE INDEX placement_due ON damsync.placement (target, next_attempt_at)
    WHERE desired_generation > applied_generation AND gate = 'open' AND lease_until IS NULL;
CREATE INDEX placement_leased ON damsync.placement (target) WHERE lease_until IS NOT NULL;
-- What an expiry has still to end.
CREATE INDEX placement_expires ON damsync.placement (target, expires_at) WHERE desired_present AND expires_at IS NOT NULL;
-- How many objects a target holds, up to as many as matter.
CREATE INDEX placement_present ON damsync.placement (target, asset_id) WHERE applied_state = 'present';
CREATE INDEX placement_gated ON damsync.placement (target, gate) WHERE gate <> 'open';
CREATE INDEX placement_asset ON damsync.placement (asset_id);
-- Who waits for a path.
CREATE INDEX placement_conflict ON damsync.placement (target, desired_path) WHERE error_class = 'conflict';

-- Which asset holds a path at a target, so that two never overwrite each other.
CREATE TABLE damsync.path_claim (
    target   text NOT NULL,
    path     text NOT NULL,
    asset_id text NOT NULL,
    PRIMARY KEY (target, path)
);
CREATE INDEX path_claim_asset ON damsync.path_claim (target, asset_id);

-- Removals let through the gate lately, and approvals: what the limits count.
CREATE TABLE damsync.removal (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target   text NOT NULL,
    count    bigint NOT NULL,
    approved boolean NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX removal_recent ON damsync.removal (target, at);

-- Rules that failed on one asset. The placement stays as it is.
CREATE TABLE damsync.decision_failure (
    target   text NOT NULL,
    asset_id text NOT NULL,
    reason   text NOT NULL,
    PRIMARY KEY (asset_id, target)
);

-- The last verification of each target that came to its end.
CREATE TABLE damsync.verification (
    target     text PRIMARY KEY,
    run_id     bigint NOT NULL,
    depth      text NOT NULL CHECK (depth IN ('token', 'hash', 'readback')),
    started_at timestamptz NOT NULL,
    ended_at   timestamptz NOT NULL,
    listed     bigint NOT NULL,                  -- objects of ours
    missing    bigint NOT NULL,
    changed    bigint NOT NULL,
    orphaned   bigint NOT NULL,
    foreign_objects bigint NOT NULL,
    unverified   bigint NOT NULL                   -- could not be looked at
);

-- What it found. Rows of a run that is not the verification's are of one that
-- goes on or was broken off.
CREATE TABLE damsync.drift (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id   bigint NOT NULL,
    target   text NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('missing', 'changed', 'orphaned', 'foreign', 'unverified')),
    asset_id text NOT NULL,                      -- empty: foreign
    path     text NOT NULL,
    differs  text NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX drift_target ON damsync.drift (target, run_id);

-- The assets that a running verification has seen in a target's list. It may be
-- lost in a crash: the verification is then begun anew.
CREATE UNLOGGED TABLE damsync.listed (
    run_id   bigint NOT NULL,
    target   text NOT NULL,
    asset_id text NOT NULL,
    PRIMARY KEY (run_id, target, asset_id)
);
