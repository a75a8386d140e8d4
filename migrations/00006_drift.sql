-- Drift: what a verification found at a target that is not as damsync left it.

-- +goose Up
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
    unjudged   bigint NOT NULL                   -- could not be looked at
);

-- What it found. Rows of a run that is not the verification's are of one that
-- goes on or was broken off.
CREATE TABLE damsync.drift (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id   bigint NOT NULL,
    target   text NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('missing', 'changed', 'orphaned', 'foreign', 'unjudged')),
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

CREATE VIEW report.drift AS
SELECT d.target, nullif(d.asset_id, '') AS asset_id, a.title, d.path, d.kind, d.differs, d.seen_at
FROM damsync.drift d
JOIN damsync.verification v ON v.target = d.target AND v.run_id = d.run_id
LEFT JOIN damsync.asset a ON a.id = d.asset_id;

CREATE VIEW report.verifications AS
SELECT target, run_id, depth, started_at, ended_at, listed, missing, changed, orphaned, foreign_objects, unjudged FROM damsync.verification OFFSET 0;
