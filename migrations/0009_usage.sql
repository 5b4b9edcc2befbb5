-- Usage: how far back one look goes, and what it costs. docs/api/usage.md tells what is counted.

-- As before, but no run is longer than a minute past its deadline, also where its end was recorded
-- later: after an outage runs were charged for it.
CREATE OR REPLACE VIEW usage_intervals WITH (security_invoker = true) AS
    SELECT p.tenant_id, p.project_id, p.sandbox_id, p.generation, p.started_at,
           greatest(p.started_at, least(coalesce(p.ended_at, now()),
                                        p.deadline_at + interval '1 minute')) AS ended_at,
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

-- As before, but summed up, in whole microseconds, which are exact and several times cheaper than
-- numeric; and runs (`runs` is 1) that began too long before the range are not read: their
-- deadline is a day after their begin at most (sandbox.max_timeout_ms), and some seconds.
-- OFFSET 0: what stands in there is computed once a row, not wherever it is used.
CREATE OR REPLACE FUNCTION usage_by_day(tenant uuid, project uuid, since timestamptz,
                                        until timestamptz)
    RETURNS TABLE (project_id uuid, day date, seconds numeric, cpu_seconds numeric,
                   memory_mb_seconds numeric, runs bigint)
    LANGUAGE sql STABLE AS $$
    SELECT piece.project_id, '1970-01-01'::date + piece.day, sum(piece.usec) / 1000000,
           coalesce(sum(piece.cpu_usec) FILTER (WHERE piece.usec = piece.whole_usec) / 1000000, 0)
           + coalesce(sum(piece.cpu_usec / 1000000.0 * piece.usec / piece.whole_usec)
                      FILTER (WHERE piece.usec < piece.whole_usec), 0),
           sum(piece.usec * piece.memory_mb) / 1000000,
           coalesce(sum(piece.runs) FILTER (WHERE piece.is_first), 0)
    FROM (
        SELECT cut.project_id, cut.day, cut.whole_usec, cut.cpu_usec, cut.memory_mb, cut.runs,
               least(cut.to_usec, (cut.day + 1) * 86400000000)
                   - greatest(cut.from_usec, cut.day * 86400000000) AS usec,
               cut.started_usec >= greatest(cut.from_usec, cut.day * 86400000000) AS is_first
        FROM (
            SELECT ranged.*, generate_series((ranged.from_usec / 86400000000)::integer,
                                             (ranged.to_usec / 86400000000)::integer) AS day
            FROM (
                SELECT whole.*, whole.ended_usec - whole.started_usec AS whole_usec,
                       greatest(whole.started_usec,
                                (date_part('epoch', since) * 1000000)::bigint) AS from_usec,
                       least(whole.ended_usec,
                             (date_part('epoch', until) * 1000000)::bigint) AS to_usec
                FROM (
                    SELECT i.project_id, coalesce(i.cpu_usec, 0) AS cpu_usec,
                           coalesce(i.memory_mb, 0) AS memory_mb, i.runs,
                           (date_part('epoch', i.started_at) * 1000000)::bigint AS started_usec,
                           (date_part('epoch', i.ended_at) * 1000000)::bigint AS ended_usec
                    FROM usage_intervals i
                    WHERE i.tenant_id = tenant AND (project IS NULL OR i.project_id = project)
                    AND i.started_at < until AND i.ended_at >= since
                    AND (i.runs = 0 OR i.started_at >= since - interval '48 hours')
                    OFFSET 0) whole
                OFFSET 0) ranged) cut
        OFFSET 0) piece
    WHERE piece.usec > 0 OR piece.is_first
    GROUP BY piece.project_id, piece.day
$$;
