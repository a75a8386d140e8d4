-- Reporting: read-only views that stay stable while the tables under them change.
-- PostgreSQL makes a view of one plain table writable; OFFSET 0 keeps it from that.

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
       CASE WHEN p.desired_generation <= p.applied_generation THEN CASE WHEN p.desired_present THEN 'in_sync' ELSE 'removed' END
            WHEN p.gate = 'held' THEN 'held'
            WHEN p.error_class IN ('conflict', 'foreign') THEN 'conflict'
            WHEN p.error_class <> '' AND p.attempts > 0 THEN 'failed'
            ELSE 'pending' END AS state,
       p.desired_present, p.desired_path, p.desired_version, p.desired_metadata, p.desired_generation, p.desired_at, p.desired_reason,
       p.applied_state, p.applied_path, p.applied_version, p.applied_generation, p.applied_at,
       p.sha256, p.size, p.gate, p.attempts, p.next_attempt_at, p.error_class, p.error
FROM damsync.placement p
LEFT JOIN damsync.asset a ON a.id = p.asset_id;

CREATE VIEW report.changes AS
SELECT entity, entity_id, field, old, new, observation, run_id, seen_at FROM damsync.change
UNION ALL
SELECT 'asset', id, 'added', NULL, to_jsonb(title), first_seen_by, NULL, first_seen_at FROM damsync.asset;

CREATE VIEW report.failures AS
SELECT 'placement' AS kind, target, asset_id, error_class, error, attempts, next_attempt_at
FROM damsync.placement WHERE desired_generation > applied_generation AND error_class <> ''
UNION ALL
SELECT 'lookup', NULL, asset_id, error_class, error, attempts, next_attempt_at
FROM damsync.lookup WHERE wanted > done AND error_class <> ''
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
