-- What may pile up, and how much one query may look at. docs/database.md explains it.

-- A delivery that nobody can send ends at an age; one that is sent anew begins it again.
ALTER TABLE webhook_deliveries ADD COLUMN pending_since timestamptz NOT NULL DEFAULT now();
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (pending_since)
    WHERE state = 'pending';
GRANT UPDATE (pending_since) ON webhook_deliveries TO atoll_app;

-- How far a look at a tenant's log goes that passes over what its caller does not want: to the
-- `p_most`th event behind a place, or before it, and when that was; no time when the log ends sooner.
-- It looks as the owner, because a caller that is bound to a project would have to read the events of
-- all others to find his own; he learns a place, and nothing about what stands there.
CREATE FUNCTION atoll_events_reach(p_tenant uuid, p_tx xid8, p_id bigint, p_most bigint,
                                   p_back boolean, OUT tx xid8, OUT id bigint, OUT at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp SET enable_sort = off AS $$
BEGIN
    IF p_tenant <> coalesce(atoll_tenant(), p_tenant) AND NOT atoll_operator() THEN
        RAISE insufficient_privilege USING MESSAGE = 'this is another tenant';
    END IF;
    IF p_back THEN
        SELECT e.tx, e.id INTO tx, id FROM events e
        WHERE e.tenant_id = p_tenant AND (e.tx, e.id) < (p_tx, p_id)
        ORDER BY e.tx DESC, e.id DESC OFFSET p_most - 1 LIMIT 1;
    ELSE
        SELECT e.tx, e.id INTO tx, id FROM events e
        WHERE e.tenant_id = p_tenant AND (e.tx, e.id) > (p_tx, p_id)
        ORDER BY e.tx, e.id OFFSET p_most - 1 LIMIT 1;
    END IF;
    IF FOUND THEN
        SELECT e.at INTO at FROM events e WHERE e.id = atoll_events_reach.id;
    ELSE -- the log's end, not NULL: under row-level security no index is searched for a coalesce()
        tx := CASE WHEN p_back THEN '0' ELSE '18446744073709551615' END;
        id := CASE WHEN p_back THEN 0 ELSE 9223372036854775807 END;
    END IF;
END
$$;
REVOKE ALL ON FUNCTION atoll_events_reach FROM PUBLIC;
GRANT EXECUTE ON FUNCTION atoll_events_reach TO atoll_app;

-- The same rows as before, but an interval's end and its processor time are not looked for where they
-- are known: every start of a container used to look at each partition of samples.
CREATE OR REPLACE VIEW usage_intervals WITH (security_invoker = true) AS
    SELECT p.tenant_id, p.project_id, p.sandbox_id, p.generation, p.started_at,
           greatest(p.started_at, coalesce(p.ended_at,
               least(now(), p.deadline_at + interval '1 minute'))) AS ended_at,
           p.ended_at IS NULL AS is_open, p.memory_mb, p.cpu_usec, 1 AS runs
    FROM processes p WHERE p.project_id IS NOT NULL
    UNION ALL
    SELECT e.tenant_id, e.project_id, e.sandbox_id, (e.detail->>'generation')::integer, e.at,
           greatest(e.at, coalesce(over.at, live.until, e.at)),
           over.at IS NULL AND live.until IS NOT NULL, (e.detail->>'memory_mb')::bigint,
           coalesce(counted.cpu_usec, CASE WHEN over.at IS NULL AND live.until IS NOT NULL THEN
               (SELECT m.cpu_usec FROM samples m WHERE m.sandbox_id = e.sandbox_id
                AND m.generation = (e.detail->>'generation')::integer
                ORDER BY m.at DESC LIMIT 1) END), 0
    FROM events e
    LEFT JOIN LATERAL (SELECT o.at FROM events o WHERE o.sandbox_id = e.sandbox_id
        AND (o.tx, o.id) > (e.tx, e.id)
        AND o.to_state IN ('creating', 'stopped', 'failed', 'deleting', 'deleted')
        ORDER BY o.tx, o.id LIMIT 1) over ON true
    LEFT JOIN LATERAL (SELECT now() AS until FROM sandboxes s
        WHERE over.at IS NULL AND s.id = e.sandbox_id AND s.is_up
        AND s.generation = (e.detail->>'generation')::integer) live ON true
    LEFT JOIN LATERAL (SELECT (c.detail->>'cpu_usec')::bigint AS cpu_usec FROM events c
        WHERE c.sandbox_id = e.sandbox_id AND (c.tx, c.id) > (e.tx, e.id)
        AND c.kind = 'sandbox.ended' AND c.detail->'generation' = e.detail->'generation'
        ORDER BY c.tx, c.id LIMIT 1) counted ON true
    WHERE e.kind = 'sandbox.running' AND e.from_state = 'creating' AND e.detail ? 'memory_mb';

-- As before, but what ends with a day is not in the next one, and a range that ends with a day has
-- nothing of the next one. A day of an interval would be one of the session's time zone, which has
-- 23 hours where the clock is put forward.
CREATE OR REPLACE FUNCTION usage_by_day(tenant uuid, project uuid, since timestamptz,
                                        until timestamptz)
    RETURNS TABLE (project_id uuid, day date, seconds numeric, cpu_seconds numeric,
                   memory_mb_seconds numeric, runs bigint)
    LANGUAGE sql STABLE AS $$
    SELECT i.project_id, (piece.day AT TIME ZONE 'UTC')::date, piece.seconds,
           coalesce(i.cpu_usec, 0) / 1000000.0
               * CASE WHEN i.ended_at > i.started_at THEN piece.seconds
                 / extract(epoch FROM i.ended_at - i.started_at) ELSE 1 END,
           piece.seconds * coalesce(i.memory_mb, 0),
           CASE WHEN piece.is_first THEN i.runs ELSE 0 END
    FROM usage_intervals i
    CROSS JOIN LATERAL (
        SELECT d.day, i.started_at >= greatest(since, d.day) AS is_first,
               extract(epoch FROM least(i.ended_at, until, d.day + interval '24 hours')
                       - greatest(i.started_at, since, d.day)) AS seconds
        FROM generate_series(date_trunc('day', greatest(i.started_at, since), 'UTC'),
                             least(i.ended_at, until), interval '24 hours') d (day)) piece
    WHERE i.tenant_id = tenant AND (project IS NULL OR i.project_id = project)
    AND i.started_at < until AND i.ended_at >= since
    AND (piece.seconds > 0 OR piece.is_first)
$$;
