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

-- The comments below are the documentation of the views: docs/reporting.md is generated from them.

COMMENT ON VIEW report.assets IS 'Every asset of the library that was ever read, as the mirror has it.';
COMMENT ON COLUMN report.assets.id IS 'ID of the asset in the CMP.';
COMMENT ON COLUMN report.assets.type IS 'image, video, raw_file, article or structured_content.';
COMMENT ON COLUMN report.assets.title IS 'Title.';
COMMENT ON COLUMN report.assets.mime_type IS 'MIME type.';
COMMENT ON COLUMN report.assets.file_extension IS 'File extension.';
COMMENT ON COLUMN report.assets.folder IS 'Path of the folder.';
COMMENT ON COLUMN report.assets.created_at IS 'When the asset was created in the CMP.';
COMMENT ON COLUMN report.assets.modified_at IS 'When the asset was last modified, according to the CMP.';
COMMENT ON COLUMN report.assets.archived IS 'Whether the asset is archived in the CMP.';
COMMENT ON COLUMN report.assets.removed_at IS 'When damsync saw that the library no longer has the asset; null for living assets.';
COMMENT ON COLUMN report.assets.labels IS 'Label groups, each with the names of its values.';
COMMENT ON COLUMN report.assets.description IS 'Description; this and the other details are null until a rule needs the detail.';
COMMENT ON COLUMN report.assets.alt_text IS 'Alternative text (detail).';
COMMENT ON COLUMN report.assets.tags IS 'Tags (detail).';
COMMENT ON COLUMN report.assets.expires_at IS 'Expiry date (detail).';
COMMENT ON COLUMN report.assets.size IS 'Size of the file in bytes (detail); null if the CMP does not report it.';
COMMENT ON COLUMN report.assets.version_number IS 'Number of the current version (detail).';
COMMENT ON COLUMN report.assets.version_id IS 'ID of the current version (detail).';
COMMENT ON COLUMN report.assets.source_task IS 'ID of the CMP task that the asset came from, as a webhook reported it; may be empty.';
COMMENT ON COLUMN report.assets.first_seen_at IS 'When damsync first saw the asset.';
COMMENT ON COLUMN report.assets.first_seen_by IS 'The observation that first saw the asset.';
COMMENT ON COLUMN report.assets.detail_read_at IS 'When the detail was last read; null if it never was.';
COMMENT ON COLUMN report.assets.fields_read_at IS 'When the custom fields were last read; null if they never were.';
COMMENT ON COLUMN report.assets.raw IS 'The summary as the CMP sent it.';

COMMENT ON VIEW report.placements IS 'Every asset at every target: what should be there, and what is there.';
COMMENT ON COLUMN report.placements.target IS 'Name of the target.';
COMMENT ON COLUMN report.placements.asset_id IS 'ID of the asset.';
COMMENT ON COLUMN report.placements.title IS 'Title of the asset.';
COMMENT ON COLUMN report.placements.state IS 'in_sync, pending, failed (waits for the next attempt), held (a removal that waits for approval), conflict (another object has the path) or removed.';
COMMENT ON COLUMN report.placements.desired_present IS 'Whether the asset should be at the target.';
COMMENT ON COLUMN report.placements.desired_path IS 'Path at which it should be.';
COMMENT ON COLUMN report.placements.desired_version IS 'Version of the content that should be there.';
COMMENT ON COLUMN report.placements.desired_metadata IS 'Metadata that should be there.';
COMMENT ON COLUMN report.placements.desired_generation IS 'Generation of the plan; higher than applied_generation while there is work to do.';
COMMENT ON COLUMN report.placements.desired_at IS 'When the plan last changed.';
COMMENT ON COLUMN report.placements.desired_reason IS 'Why the asset should or should not be there.';
COMMENT ON COLUMN report.placements.applied_state IS 'What the target holds: absent, present, incomplete (not the bytes that were stored) or archived.';
COMMENT ON COLUMN report.placements.applied_path IS 'Path at which it is.';
COMMENT ON COLUMN report.placements.applied_version IS 'Version of the content that is there.';
COMMENT ON COLUMN report.placements.applied_generation IS 'Generation of the plan that was last carried out.';
COMMENT ON COLUMN report.placements.applied_at IS 'When it was last carried out.';
COMMENT ON COLUMN report.placements.sha256 IS 'SHA-256 of the bytes at the target; empty if nothing was stored.';
COMMENT ON COLUMN report.placements.size IS 'Size of the object at the target in bytes.';
COMMENT ON COLUMN report.placements.guard IS 'Answer of the removal guard: waiting (not checked yet), held (waits for approval) or open (everything else).';
COMMENT ON COLUMN report.placements.attempts IS 'Failed attempts so far.';
COMMENT ON COLUMN report.placements.next_attempt_at IS 'When the next attempt is due.';
COMMENT ON COLUMN report.placements.error_class IS 'Class of the last failure; empty if there is none.';
COMMENT ON COLUMN report.placements.error IS 'Text of the last failure.';

COMMENT ON VIEW report.changes IS 'What changed in the library, and which observation saw it. Rows are only added.';
COMMENT ON COLUMN report.changes.entity IS 'asset, folder, label_group or field_definition.';
COMMENT ON COLUMN report.changes.entity_id IS 'ID of the entity.';
COMMENT ON COLUMN report.changes.field IS 'What changed; added and removed stand for the entity itself.';
COMMENT ON COLUMN report.changes.old IS 'Value before the change.';
COMMENT ON COLUMN report.changes.new IS 'Value after the change.';
COMMENT ON COLUMN report.changes.observation IS 'The observation that saw the change.';
COMMENT ON COLUMN report.changes.run_id IS 'The run that saw the change, see report.runs; null for other observations.';
COMMENT ON COLUMN report.changes.seen_at IS 'When the change was seen.';

COMMENT ON VIEW report.failures IS 'Everything that fails at the moment.';
COMMENT ON COLUMN report.failures.kind IS 'placement (pushing an asset), lookup (reading an asset), decision (a rule fails on an asset) or target (the target does not run).';
COMMENT ON COLUMN report.failures.target IS 'Name of the target; null for lookups.';
COMMENT ON COLUMN report.failures.asset_id IS 'ID of the asset; null for targets.';
COMMENT ON COLUMN report.failures.error_class IS 'Class of the failure.';
COMMENT ON COLUMN report.failures.error IS 'Reason of the failure.';
COMMENT ON COLUMN report.failures.attempts IS 'Failed attempts so far; null for decisions.';
COMMENT ON COLUMN report.failures.next_attempt_at IS 'When the next attempt is due; null if none is planned.';

COMMENT ON VIEW report.runs IS 'Runs of sweeps, audits and other observations that take many steps.';
COMMENT ON COLUMN report.runs.id IS 'ID of the run.';
COMMENT ON COLUMN report.runs.kind IS 'Kind of the run, such as sweep, audit or verify.';
COMMENT ON COLUMN report.runs.state IS 'running, done, failed or stopped.';
COMMENT ON COLUMN report.runs.requested_by IS 'What started the run, such as schedule or resync.';
COMMENT ON COLUMN report.runs.started_at IS 'When the run started.';
COMMENT ON COLUMN report.runs.ended_at IS 'When the run ended; null while it is running.';
COMMENT ON COLUMN report.runs.requests IS 'Requests to the CMP so far.';
COMMENT ON COLUMN report.runs.seen IS 'Assets or objects read so far.';
COMMENT ON COLUMN report.runs.changed IS 'Changes found so far.';
COMMENT ON COLUMN report.runs.suspects IS 'Assets that the library did not list and that were looked up therefore.';
COMMENT ON COLUMN report.runs.error IS 'Why the run failed; otherwise empty.';

COMMENT ON VIEW report.quota_daily IS 'Requests to the CMP by day and class.';
COMMENT ON COLUMN report.quota_daily.day IS 'Day, in UTC.';
COMMENT ON COLUMN report.quota_daily.class IS 'Class of the requests, such as webhook, manual or sweep.';
COMMENT ON COLUMN report.quota_daily.used IS 'Requests sent.';

COMMENT ON VIEW report.quota_month IS 'Requests to the CMP by calendar month and class.';
COMMENT ON COLUMN report.quota_month.month IS 'First day of the month, in UTC.';
COMMENT ON COLUMN report.quota_month.class IS 'Class of the requests, such as webhook, manual or sweep.';
COMMENT ON COLUMN report.quota_month.used IS 'Requests sent.';

COMMENT ON VIEW report.freshness IS 'When each kind of observation last ran, and how it ended.';
COMMENT ON COLUMN report.freshness.observation IS 'Kind of observation, such as incremental (the poll), audit or sweep.';
COMMENT ON COLUMN report.freshness.last_attempt IS 'When it last started.';
COMMENT ON COLUMN report.freshness.last_success IS 'When it last succeeded.';
COMMENT ON COLUMN report.freshness.age IS 'Time since it last succeeded.';
COMMENT ON COLUMN report.freshness.error IS 'Why the last attempt failed; empty if it succeeded.';

COMMENT ON VIEW report.drift IS 'Objects that differed from what damsync stored, as the last finished verification of each target found them. An object leaves when its repair begins.';
COMMENT ON COLUMN report.drift.target IS 'Name of the target.';
COMMENT ON COLUMN report.drift.asset_id IS 'ID of the asset; null for foreign objects.';
COMMENT ON COLUMN report.drift.title IS 'Title of the asset.';
COMMENT ON COLUMN report.drift.path IS 'Path at which the object is or should be.';
COMMENT ON COLUMN report.drift.kind IS 'missing, changed, orphaned (stored by damsync, but no longer wanted there), foreign (not stored by damsync) or unverified (the target did not allow a check).';
COMMENT ON COLUMN report.drift.differs IS 'What differs.';
COMMENT ON COLUMN report.drift.seen_at IS 'When the difference was found.';

COMMENT ON VIEW report.verifications IS 'The last finished verification of each target.';
COMMENT ON COLUMN report.verifications.target IS 'Name of the target.';
COMMENT ON COLUMN report.verifications.run_id IS 'ID of the run, see report.runs.';
COMMENT ON COLUMN report.verifications.depth IS 'What was compared: token, hash or readback, see damsync verify.';
COMMENT ON COLUMN report.verifications.started_at IS 'When the verification started.';
COMMENT ON COLUMN report.verifications.ended_at IS 'When the verification ended.';
COMMENT ON COLUMN report.verifications.listed IS 'Objects of damsync that the target listed.';
COMMENT ON COLUMN report.verifications.missing IS 'Objects that the target no longer has.';
COMMENT ON COLUMN report.verifications.changed IS 'Objects that are not as damsync left them.';
COMMENT ON COLUMN report.verifications.orphaned IS 'Objects stored by damsync that are no longer wanted there.';
COMMENT ON COLUMN report.verifications.foreign_objects IS 'Objects that damsync did not store.';
COMMENT ON COLUMN report.verifications.unverified IS 'Objects that the target did not allow to check.';

COMMENT ON VIEW report.audits IS 'Audits: the library and the mirror compared by counting.';
COMMENT ON COLUMN report.audits.id IS 'ID of the run, see report.runs.';
COMMENT ON COLUMN report.audits.scope IS 'library (all of it) or windows (those whose turn it was); null until the audit has finished.';
COMMENT ON COLUMN report.audits.state IS 'running, done, failed or stopped.';
COMMENT ON COLUMN report.audits.requested_by IS 'What started the audit, such as schedule or audit.';
COMMENT ON COLUMN report.audits.started_at IS 'When the audit started.';
COMMENT ON COLUMN report.audits.ended_at IS 'When the audit ended; null while it is running.';
COMMENT ON COLUMN report.audits.requests IS 'Requests to the CMP.';
COMMENT ON COLUMN report.audits.windows IS 'Windows of created_at that were counted.';
COMMENT ON COLUMN report.audits.seen IS 'Assets read.';
COMMENT ON COLUMN report.audits.missing IS 'Assets of the mirror that the library did not list.';
COMMENT ON COLUMN report.audits.extra IS 'Assets that the library listed and the mirror did not have.';
COMMENT ON COLUMN report.audits.hidden IS 'Assets that the library counted but did not list.';
COMMENT ON COLUMN report.audits.suspects IS 'Missing assets that were looked up to confirm their removal.';
COMMENT ON COLUMN report.audits.complete_at IS 'Everything that was in the library at this time is in the mirror or was looked up; null if the audit did not show that.';
COMMENT ON COLUMN report.audits.notes IS 'Remarks about what was found.';
COMMENT ON COLUMN report.audits.error IS 'Why the audit failed; otherwise empty.';

COMMENT ON VIEW report.completeness IS 'What audits have shown about the mirror as a whole; one row.';
COMMENT ON COLUMN report.completeness.windows IS 'Windows of created_at that audits count in turn.';
COMMENT ON COLUMN report.completeness.counted_since IS 'Every window was counted at this time or later; null during the first cycle.';
COMMENT ON COLUMN report.completeness.read_since IS 'Every asset was read at this time or later; null during the first cycle.';
COMMENT ON COLUMN report.completeness.complete_at IS 'The last time at which an audit of the whole library showed the mirror to be complete.';

COMMENT ON VIEW report.detail_age IS 'How old the details and custom fields are that targets use.';
COMMENT ON COLUMN report.detail_age.level IS 'detail or fields.';
COMMENT ON COLUMN report.detail_age.assets IS 'Assets whose detail or fields a target uses.';
COMMENT ON COLUMN report.detail_age.p50 IS 'Half of them were read within this time.';
COMMENT ON COLUMN report.detail_age.p95 IS '95 percent of them were read within this time.';
COMMENT ON COLUMN report.detail_age.oldest IS 'Age of the oldest one.';
