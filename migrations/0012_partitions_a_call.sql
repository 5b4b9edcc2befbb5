-- As before, but the oldest hundred a call. Each that is dropped is locked until the transaction
-- ends, and PostgreSQL has room for some thousand locks: more than that it would never drop.
CREATE OR REPLACE FUNCTION samples_drop_partitions(before timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    name    text;
    dropped bigint := 0;
BEGIN
    -- Materialized: a plan that joins last would read the names of all tables as times.
    FOR name IN WITH partitions AS MATERIALIZED (
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'public.samples'::regclass)
        SELECT relname FROM partitions
        WHERE to_timestamp(substr(relname, 9) || '+00', 'YYYYMMDDHH24TZH') + interval '1 hour'
            <= before
        ORDER BY relname LIMIT 100
    LOOP
        EXECUTE format('DROP TABLE public.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
