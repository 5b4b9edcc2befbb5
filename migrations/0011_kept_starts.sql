-- As before, but the start of a container is kept until its end is too old, too: usage is counted
-- from both, and a container that lived longer than events are kept was in no day's.
CREATE OR REPLACE FUNCTION events_prune(before timestamptz, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH pruned AS (
        DELETE FROM events WHERE id IN (
            SELECT id FROM (
                SELECT e.id, e.at FROM events e
                WHERE e.at >= before OR e.kind <> 'sandbox.running'
                OR e.from_state IS DISTINCT FROM 'creating'
                OR coalesce((SELECT o.at < before FROM events o WHERE o.sandbox_id = e.sandbox_id
                    AND (o.tx, o.id) > (e.tx, e.id)
                    AND o.to_state IN ('creating', 'stopped', 'failed', 'deleting', 'deleted')
                    ORDER BY o.tx, o.id LIMIT 1),
                    NOT EXISTS (SELECT FROM sandboxes s WHERE s.id = e.sandbox_id AND s.is_up))
                ORDER BY e.id LIMIT most) oldest
            WHERE at < least(before, now() - interval '1 minute'))
        RETURNING 1)
    SELECT count(*) FROM pruned
$$;
