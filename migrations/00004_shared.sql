-- What replicas share: the pace, the month's ledger, tokens and leases.

-- +goose Up
-- The times of the last requests, on the database's clock.
CREATE TABLE damsync.pace (
    singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sent         timestamptz[] NOT NULL DEFAULT '{}',
    paused_until timestamptz,
    pause_reason text NOT NULL DEFAULT ''
) WITH (fillfactor = 20);
INSERT INTO damsync.pace DEFAULT VALUES;

-- What was spent, counted before each request is sent.
CREATE TABLE damsync.quota_day (
    day   date NOT NULL,                         -- UTC
    class text NOT NULL,
    used  bigint NOT NULL,
    PRIMARY KEY (day, class)
) WITH (fillfactor = 50);

-- take_grant gives permission to send one request now, or says how long to
-- wait, or until when the quota defers. The time of the slot is its identity.
-- +goose StatementBegin
CREATE FUNCTION damsync.take_grant(
    p_class text, p_slots integer, p_window interval, p_limit bigint, p_floor bigint, p_rolling boolean,
    OUT slot timestamptz, OUT wait interval, OUT deferred_until timestamptz, OUT reason text)
LANGUAGE plpgsql AS $$
DECLARE
    v_pace  damsync.pace;
    v_now   timestamptz;
    v_today date;
    v_since date;
    v_used  bigint;
    v_sent  timestamptz[];
    v_day   record;
BEGIN
    SELECT * INTO v_pace FROM damsync.pace FOR UPDATE;
    v_now := clock_timestamp();
    v_today := (v_now AT TIME ZONE 'UTC')::date;
    v_since := CASE WHEN p_rolling THEN v_today - 29 ELSE date_trunc('month', v_today)::date END;
    SELECT coalesce(sum(used), 0) INTO v_used FROM damsync.quota_day WHERE day >= v_since;
    IF v_used + p_floor >= p_limit THEN
        reason := format('%s of %s requests of the month are spent', v_used, p_limit)
            || CASE WHEN p_floor > 0 THEN format(', %s are kept for more urgent work', p_floor) ELSE '' END;
        IF NOT p_rolling THEN
            deferred_until := (v_since + interval '1 month') AT TIME ZONE 'UTC';
            RETURN;
        END IF;
        -- The window rolls on by whole days: the first day that leaves room again.
        deferred_until := (v_today + 30)::timestamp AT TIME ZONE 'UTC';
        FOR v_day IN SELECT day, sum(used) AS used FROM damsync.quota_day WHERE day >= v_since GROUP BY day ORDER BY day LOOP
            v_used := v_used - v_day.used;
            IF v_used + p_floor < p_limit THEN
                deferred_until := (v_day.day + 30)::timestamp AT TIME ZONE 'UTC';
                EXIT;
            END IF;
        END LOOP;
        RETURN;
    END IF;
    -- A pause or a slot far in the future is left over from a clock that was set back.
    IF v_pace.paused_until > v_now AND v_pace.paused_until <= v_now + interval '1 hour' THEN
        wait := v_pace.paused_until - v_now;
        reason := v_pace.pause_reason;
        RETURN;
    END IF;
    SELECT coalesce(array_agg(t ORDER BY t), '{}') INTO v_sent
        FROM unnest(v_pace.sent) AS t WHERE t > v_now - p_window AND t < v_now + interval '10 seconds';
    IF cardinality(v_sent) >= p_slots THEN
        wait := v_sent[cardinality(v_sent) - p_slots + 1] + p_window - v_now;
        reason := 'pace';
        RETURN;
    END IF;
    slot := v_now;
    WHILE slot = ANY (v_sent) LOOP
        slot := slot + interval '1 microsecond';
    END LOOP;
    UPDATE damsync.pace SET sent = v_sent || slot;
    INSERT INTO damsync.quota_day AS q (day, class, used) VALUES (v_today, p_class, 1)
        ON CONFLICT (day, class) DO UPDATE SET used = q.used + 1;
END
$$;
-- +goose StatementEnd

-- Tokens, sealed by the application; name is the associated data.
CREATE TABLE damsync.token (
    name       text PRIMARY KEY,
    sealed     bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Leases on the database's clock, so that a replica's clock does not matter.
CREATE TABLE damsync.lease (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz NOT NULL
);
