-- Placements: one asset at one target; what should be there and what is there.

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
    level        text NOT NULL DEFAULT 'summary' -- deepest level that the target's rule reads: summary, detail or fields
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
    expires_at            timestamptz,           -- of the asset, from its detail
    urgency               smallint NOT NULL,
    -- The removal guard's answer: a removal waits for it, is held for approval, or may proceed. All else is open.
    guard                 text NOT NULL CHECK (guard IN ('open', 'waiting', 'held')),
    -- incomplete: a verification found other bytes than those that were put.
    applied_state         text NOT NULL DEFAULT 'absent' CHECK (applied_state IN ('absent', 'present', 'incomplete', 'archived')),
    applied_path          text NOT NULL DEFAULT '',
    applied_version       text NOT NULL DEFAULT '',
    applied_metadata_hash bytea NOT NULL DEFAULT '',
    applied_generation    bigint NOT NULL DEFAULT 0,
    applied_at            timestamptz,
    sha256                text NOT NULL DEFAULT '',
    size                  bigint NOT NULL DEFAULT 0,
    -- What the target answered: its handle for the object, a token that changes with the bytes, a hash of them.
    remote_ref            text NOT NULL DEFAULT '',
    remote_token          text NOT NULL DEFAULT '',
    remote_hash           text NOT NULL DEFAULT '',
    -- The last unfinished upload: the adapter's opaque session, which it resumes or aborts, and the version and
    -- the ETag of the content being sent.
    upload_session        bytea NOT NULL DEFAULT '' CHECK (octet_length(upload_session) <= 65536),
    upload_version        text NOT NULL DEFAULT '',
    upload_etag           text NOT NULL DEFAULT '',
    -- An open intent: committed before the first byte is sent, cleared with the outcome.
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

-- is_dirty reports whether a placement has work to do: it was planned since it was last applied. Queries call it;
-- PostgreSQL inlines it, so it matches the indexes below, which have to spell the condition out.
CREATE FUNCTION damsync.is_dirty(p damsync.placement) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN p.desired_generation > p.applied_generation;

-- placement_state names the one state that a placement is in, as status and reports show it.
CREATE FUNCTION damsync.placement_state(p damsync.placement) RETURNS text LANGUAGE sql IMMUTABLE
    RETURN CASE
        WHEN NOT damsync.is_dirty(p) THEN CASE WHEN p.desired_present THEN 'in_sync' ELSE 'removed' END
        WHEN p.guard = 'held' THEN 'held'
        WHEN p.error_class IN ('conflict', 'foreign') THEN 'conflict'
        WHEN p.error_class <> '' AND p.attempts > 0 THEN 'failed'
        ELSE 'pending' END;

CREATE INDEX placement_dirty ON damsync.placement (target, urgency, next_attempt_at)
    WHERE desired_generation > applied_generation AND guard = 'open';
-- The next one that becomes due, however many wait.
CREATE INDEX placement_due ON damsync.placement (target, next_attempt_at)
    WHERE desired_generation > applied_generation AND guard = 'open' AND lease_until IS NULL;
CREATE INDEX placement_leased ON damsync.placement (target) WHERE lease_until IS NOT NULL;
-- What an expiry has still to remove.
CREATE INDEX placement_expires ON damsync.placement (target, expires_at) WHERE desired_present AND expires_at IS NOT NULL;
-- The objects at a target, counted only as far as the removal guard needs.
CREATE INDEX placement_present ON damsync.placement (target, asset_id) WHERE applied_state = 'present';
CREATE INDEX placement_guarded ON damsync.placement (target, guard) WHERE guard <> 'open';
CREATE INDEX placement_asset ON damsync.placement (asset_id);
-- The placements that wait for a path.
CREATE INDEX placement_conflict ON damsync.placement (target, desired_path) WHERE error_class = 'conflict';

-- Which asset owns a path at a target, so that two assets never overwrite each other.
CREATE TABLE damsync.path_claim (
    target   text NOT NULL,
    path     text NOT NULL,
    asset_id text NOT NULL,
    PRIMARY KEY (target, path)
);
CREATE INDEX path_claim_asset ON damsync.path_claim (target, asset_id);

-- Removals that the removal guard released or a person approved. The limits count recent ones.
CREATE TABLE damsync.removal (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target   text NOT NULL,
    count    bigint NOT NULL,
    approved boolean NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX removal_recent ON damsync.removal (target, at);

-- Rules that failed on single assets. The placement stays as it is.
CREATE TABLE damsync.decision_failure (
    target   text NOT NULL,
    asset_id text NOT NULL,
    reason   text NOT NULL,
    PRIMARY KEY (asset_id, target)
);

-- The last finished verification of each target.
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
    unverified bigint NOT NULL                   -- could not be examined
);

-- What verifications found. Rows of another run than the one in verification belong to a run that has not finished.
CREATE TABLE damsync.drift (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id   bigint NOT NULL,
    target   text NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('missing', 'changed', 'orphaned', 'foreign', 'unverified')),
    asset_id text NOT NULL,                      -- empty for foreign objects
    path     text NOT NULL,
    differs  text NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX drift_target ON damsync.drift (target, run_id);

-- The assets that a running verification has seen in a target's list. A crash may lose the rows; the verification
-- then starts from the beginning.
CREATE UNLOGGED TABLE damsync.listed (
    run_id   bigint NOT NULL,
    target   text NOT NULL,
    asset_id text NOT NULL,
    PRIMARY KEY (run_id, target, asset_id)
);
