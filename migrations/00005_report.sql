-- Reporting: read-only views that stay stable while the tables under them change.
-- OFFSET 0 keeps PostgreSQL from making the view of one plain table writable.

-- +goose Up
CREATE SCHEMA report;

CREATE VIEW report.assets AS
SELECT a.id, a.type, a.title, a.mime_type, a.file_extension,
       coalesce(f.path, a.file_location) AS folder,
       a.created_at, a.modified_at, a.archived, a.removed_at,
       coalesce((SELECT jsonb_object_agg(l -> 'group' ->> 'name',
                       (SELECT coalesce(jsonb_agg(v ->> 'name'), '[]') FROM jsonb_array_elements(l -> 'values') v))
                 FROM jsonb_array_elements(a.labels) l WHERE l -> 'group' ->> 'name' IS NOT NULL), '{}') AS labels,
       d.description, d.alt_text, d.tags, d.expires_at, nullif(d.size, -1) AS size, d.version_number, d.version_id,
       a.source_task, a.first_seen_at, a.first_seen_by, d.read_at AS detail_read_at, x.read_at AS fields_read_at,
       a.raw
FROM damsync.asset a
LEFT JOIN damsync.folder f ON f.id = a.folder_id
LEFT JOIN damsync.asset_detail d ON d.asset_id = a.id
LEFT JOIN damsync.asset_fields x ON x.asset_id = a.id;

CREATE VIEW report.placements AS
SELECT p.target, p.asset_id, a.title,
       damsync.placement_state(p) AS state,
       p.desired_present, p.desired_path, p.desired_version, p.desired_metadata, p.desired_generation, p.desired_at, p.desired_reason,
       p.applied_state, p.applied_path, p.applied_version, p.applied_generation, p.applied_at,
       p.sha256, p.size, p.guard, p.attempts, p.next_attempt_at, p.error_class, p.error
FROM damsync.placement p
LEFT JOIN damsync.asset a ON a.id = p.asset_id;

CREATE VIEW report.changes AS
SELECT entity, entity_id, field, old, new, observation, run_id, seen_at FROM damsync.change
UNION ALL
SELECT 'asset', id, 'added', NULL, to_jsonb(title), first_seen_by, NULL, first_seen_at FROM damsync.asset;

CREATE VIEW report.failures AS
SELECT 'placement' AS kind, target, asset_id, error_class, error, attempts, next_attempt_at
FROM damsync.placement p WHERE damsync.is_dirty(p) AND error_class <> ''
UNION ALL
SELECT 'lookup', NULL, asset_id, error_class, error, attempts, next_attempt_at
FROM damsync.lookup l WHERE damsync.is_pending(l) AND error_class <> ''
UNION ALL
SELECT 'decision', target, asset_id, 'invalid', reason, NULL, NULL
FROM damsync.decision_failure
UNION ALL
SELECT 'target', name, NULL, 'configuration', problem, attempts, paused_until
FROM damsync.target WHERE problem <> '';

CREATE VIEW report.runs AS
SELECT id, kind, state, requested_by, started_at, ended_at, requests, seen, changed, suspects, error FROM damsync.run OFFSET 0;

CREATE VIEW report.quota_daily AS
SELECT day, class, used FROM damsync.quota_day OFFSET 0;

CREATE VIEW report.quota_month AS
SELECT date_trunc('month', day)::date AS month, class, sum(used)::bigint AS used
FROM damsync.quota_day GROUP BY 1, 2;

CREATE VIEW report.freshness AS
SELECT kind AS observation, last_attempt, last_success, clock_timestamp() - last_success AS age, error
FROM damsync.observation OFFSET 0;

CREATE VIEW report.drift AS
SELECT d.target, nullif(d.asset_id, '') AS asset_id, a.title, d.path, d.kind, d.differs, d.seen_at
FROM damsync.drift d
JOIN damsync.verification v ON v.target = d.target AND v.run_id = d.run_id
LEFT JOIN damsync.asset a ON a.id = d.asset_id;

CREATE VIEW report.verifications AS
SELECT target, run_id, depth, started_at, ended_at, listed, missing, changed, orphaned, foreign_objects, unverified FROM damsync.verification OFFSET 0;

CREATE VIEW report.audits AS
SELECT r.id, a.scope, r.state, r.requested_by, r.started_at, r.ended_at, r.requests, a.windows, r.seen, a.missing, a.extra, a.hidden,
       a.suspects, a.complete_at, a.notes, r.error
FROM damsync.run r LEFT JOIN damsync.audit a ON a.run_id = r.id WHERE r.kind = 'audit';

-- What audits have proven: every asset was counted, and read, at least once since then. Null during the first cycle.
CREATE VIEW report.completeness AS
SELECT count(*) AS windows,
       CASE WHEN bool_and(counted_at IS NOT NULL) THEN min(counted_at) END AS counted_since,
       CASE WHEN bool_and(read_since IS NOT NULL) THEN min(read_since) END AS read_since,
       (SELECT max(complete_at) FROM damsync.audit WHERE scope = 'library') AS complete_at
FROM damsync.audit_window;

-- The age of the details and fields that targets rely on; p50 and p95 are percentiles.
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
