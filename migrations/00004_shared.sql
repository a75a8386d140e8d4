-- What replicas share: the pace, the month's ledger, tokens and leases.

-- +goose Up
-- The pace of all replicas, by the database's clock. slot is the latest one granted, see take_grant.
CREATE TABLE damsync.pace (
    singleton    boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    slot         timestamptz,
    paused_until timestamptz,
    pause_reason text NOT NULL DEFAULT '',
    -- Requests that the API refused although the pace was kept: their number, when one last lowered the pace, and
    -- to which share of the configured pace.
    throttled    bigint NOT NULL DEFAULT 0,
    throttled_at timestamptz,
    share        double precision NOT NULL DEFAULT 1
) WITH (fillfactor = 20);
INSERT INTO damsync.pace DEFAULT VALUES;

-- pace_share returns the share of the configured pace that is in force. It recovers evenly, from zero within an
-- hour. A p_throttled_at in the future was written before the clock was set back. The ledger checks that itself, in
-- this function and in those below, because commands take grants where no process leads.
CREATE FUNCTION damsync.pace_share(p_share double precision, p_throttled_at timestamptz, p_now timestamptz)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_throttled_at IS NULL OR p_throttled_at > p_now + interval '1 minute' THEN 1
        ELSE least(1, p_share + greatest(extract(epoch FROM p_now - p_throttled_at)::double precision, 0) / 3600) END
$$;

-- Requests by day and class, counted before each is sent.
CREATE TABLE damsync.quota_day (
    day   date NOT NULL,                         -- UTC
    class text NOT NULL,
    used  bigint NOT NULL,
    PRIMARY KEY (day, class)
) WITH (fillfactor = 50);

-- budget returns what a class may still spend. p_limit is the month's limit and p_floor the part of it that the
-- class leaves to others. What remains above the floor is divided by the days left, at most p_days: the result, but
-- at least p_least, is the day's share of the classes in p_with together. p_days = 0 sets no day's share. A rolling
-- month has no end; there the day's share is the even rate that lasts p_days, given what the days that leave the
-- month give back.
--
-- The ledger's day does not go back when the clock is set back by up to a month: requests count in the month that
-- the clock shows and in the month that it showed before.
-- +goose StatementBegin
CREATE FUNCTION damsync.budget(
    p_now timestamptz, p_limit bigint, p_floor bigint, p_days integer, p_with text[], p_least bigint, p_rolling boolean,
    OUT today date, OUT used bigint, OUT month_left bigint, OUT today_left bigint, OUT days_left integer,
    OUT deferred_until timestamptz, OUT reason text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_clock date := (p_now AT TIME ZONE 'UTC')::date;
    v_since date := CASE WHEN p_rolling THEN v_clock - 29 ELSE date_trunc('month', v_clock)::date END;
    v_end   date := CASE WHEN p_rolling THEN v_clock + 30 ELSE (date_trunc('month', v_clock) + interval '1 month')::date END;
    v_spent bigint; -- today, by the classes in p_with
    v_share bigint;
    v_rest  bigint;
    v_day   record;
BEGIN
    SELECT greatest(v_clock, max(q.day) FILTER (WHERE q.day <= v_clock + 31)), coalesce(sum(q.used), 0)
        INTO today, used FROM damsync.quota_day q WHERE q.day >= v_since;
    days_left := v_end - v_clock;
    month_left := greatest(p_limit - p_floor - used, 0);
    today_left := month_left;
    IF month_left = 0 THEN
        reason := format('%s of %s requests of the month are spent', used, p_limit)
            || CASE WHEN p_floor > 0 THEN format(', %s are kept for more urgent work', p_floor) ELSE '' END;
        deferred_until := v_end::timestamp AT TIME ZONE 'UTC';
        IF p_rolling THEN -- by whole days: the first day that leaves room again
            v_rest := used;
            FOR v_day IN SELECT q.day, sum(q.used) AS used FROM damsync.quota_day q WHERE q.day >= v_since GROUP BY q.day ORDER BY q.day LOOP
                v_rest := v_rest - v_day.used;
                IF v_rest + p_floor < p_limit THEN
                    deferred_until := (v_day.day + 30)::timestamp AT TIME ZONE 'UTC';
                    EXIT;
                END IF;
            END LOOP;
        END IF;
        RETURN;
    END IF;
    IF p_days = 0 THEN
        RETURN;
    END IF;
    SELECT coalesce(sum(q.used), 0) INTO v_spent FROM damsync.quota_day q WHERE q.day = today AND q.class = ANY (p_with);
    IF p_rolling THEN
        SELECT min(ceil((month_left + v_spent
                + (SELECT coalesce(sum(q.used), 0) FROM damsync.quota_day q WHERE q.day >= v_since AND q.day < v_since + k - 1)) / k))
            INTO v_share FROM generate_series(1, least(p_days, 29)) AS k;
    ELSE
        v_share := ceil((month_left + v_spent)::numeric / least(p_days, days_left));
    END IF;
    v_share := greatest(v_share, p_least);
    today_left := least(month_left, greatest(v_share - v_spent, 0));
    IF today_left = 0 THEN
        reason := format('today''s share of %s requests is spent, so that the month lasts', v_share);
        deferred_until := (v_clock + 1)::timestamp AT TIME ZONE 'UTC';
    END IF;
END
$$;
-- +goose StatementEnd

-- take_grant grants one request of p_class and counts it, or returns how long to wait, or until when the quota
-- defers the class.
--
-- The pace is a generic cell rate algorithm without bursts: slots lie at least p_spacing apart, and a request may be
-- granted up to p_tolerance before its slot. Without the tolerance, the pace would lose the time between the end of a
-- wait and the next call.
-- +goose StatementBegin
CREATE FUNCTION damsync.take_grant(
    p_class text, p_spacing interval, p_tolerance interval,
    p_limit bigint, p_floor bigint, p_days integer, p_with text[], p_least bigint, p_rolling boolean,
    OUT granted_at timestamptz, OUT wait interval, OUT deferred_until timestamptz, OUT reason text)
LANGUAGE plpgsql AS $$
DECLARE
    v_pace   damsync.pace;
    v_now    timestamptz;
    v_far    date;
    v_budget record;
    v_slot   timestamptz;
BEGIN
    SELECT * INTO v_pace FROM damsync.pace FOR UPDATE;
    v_now := clock_timestamp();
    -- A day more than a month ahead was counted by a wrong clock. It counts today instead; otherwise it would count
    -- in every month until then.
    v_far := (v_now AT TIME ZONE 'UTC')::date + 31;
    IF EXISTS (SELECT FROM damsync.quota_day q WHERE q.day > v_far) THEN
        WITH ahead AS (DELETE FROM damsync.quota_day q WHERE q.day > v_far RETURNING q.class, q.used)
        INSERT INTO damsync.quota_day AS q (day, class, used) SELECT v_far - 31, class, sum(used) FROM ahead GROUP BY class
            ON CONFLICT (day, class) DO UPDATE SET used = q.used + excluded.used;
    END IF;
    v_budget := damsync.budget(v_now, p_limit, p_floor, p_days, p_with, p_least, p_rolling);
    IF v_budget.deferred_until IS NOT NULL THEN
        deferred_until := v_budget.deferred_until;
        reason := v_budget.reason;
        RETURN;
    END IF;
    -- A pause of more than an hour, or a slot far in the future, was written before the clock was set back.
    IF v_pace.paused_until > v_now AND v_pace.paused_until <= v_now + interval '1 hour' THEN
        wait := v_pace.paused_until - v_now;
        reason := v_pace.pause_reason;
        RETURN;
    END IF;
    IF v_pace.slot <= v_now + interval '10 seconds' THEN
        v_slot := v_pace.slot + p_spacing / damsync.pace_share(v_pace.share, v_pace.throttled_at, v_now);
    END IF;
    v_slot := greatest(v_slot, v_now);
    IF v_slot > v_now + p_tolerance THEN
        wait := v_slot - p_tolerance - v_now;
        reason := 'pace';
        RETURN;
    END IF;
    granted_at := v_now;
    UPDATE damsync.pace SET slot = v_slot;
    INSERT INTO damsync.quota_day AS q (day, class, used) VALUES (v_budget.today, p_class, 1)
        ON CONFLICT (day, class) DO UPDATE SET used = q.used + 1;
END
$$;
-- +goose StatementEnd

-- Tokens, sealed by the application with the name as associated data.
CREATE TABLE damsync.token (
    name       text PRIMARY KEY,
    sealed     bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Leases by the database's clock, so that the clocks of replicas do not matter.
CREATE TABLE damsync.lease (
    name   text PRIMARY KEY,
    holder text NOT NULL,
    until  timestamptz NOT NULL
);
