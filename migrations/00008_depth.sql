-- Depth: what is read of assets beyond their summaries, how far that got and how old it is.

-- +goose Up
-- The deepest level that the rule of a target reads: summary, detail or fields.
ALTER TABLE damsync.target ADD COLUMN level text NOT NULL DEFAULT 'summary';

-- Whose reading is the oldest.
CREATE INDEX asset_detail_read ON damsync.asset_detail (read_at, asset_id);
CREATE INDEX asset_fields_read ON damsync.asset_fields (read_at);

-- How far the reading in depth of a library that is seen for the first time got, or of what a new rule reads.
CREATE TABLE damsync.first_light (
    singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    started_at   timestamptz NOT NULL,
    noted_at     timestamptz NOT NULL,
    ended_at     timestamptz,
    done         bigint NOT NULL,                -- assets
    remaining    bigint NOT NULL,                -- assets
    requests     bigint NOT NULL,
    expected_end timestamptz
);

-- How old the readings are that targets rely on; p95: of so many in a hundred it is at most that.
CREATE VIEW report.detail_age AS
WITH relied AS (
    SELECT p.asset_id, bool_or(t.level = 'fields') AS fields
    FROM damsync.placement p JOIN damsync.target t ON t.name = p.target
    WHERE p.desired_present AND t.level <> 'summary' GROUP BY p.asset_id
), age AS (
    SELECT 'detail' AS level, clock_timestamp() - d.read_at AS age FROM damsync.asset_detail d JOIN relied USING (asset_id)
    UNION ALL
    SELECT 'fields', clock_timestamp() - x.read_at FROM damsync.asset_fields x JOIN relied USING (asset_id) WHERE relied.fields
)
SELECT level, count(*) AS assets, percentile_cont(0.5) WITHIN GROUP (ORDER BY age) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY age) AS p95, max(age) AS oldest
FROM age GROUP BY level;
