-- A dump goes on in another PostgreSQL, where transactions have other numbers. docs/database.md
-- explains it.

-- Whose transactions the log's numbers follow, and by how much they are ahead of them.
CREATE TABLE events_clock (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster  bigint NOT NULL, -- pg_control_system()
    ahead    bigint NOT NULL DEFAULT 0
);
INSERT INTO events_clock (cluster) SELECT system_identifier FROM pg_control_system();
GRANT SELECT ON events_clock TO atoll_app, atoll_system;

-- Before it, nothing is added to the log any more. It is inlined, as no table is asked.
CREATE FUNCTION atoll_events_horizon() RETURNS xid8
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN pg_snapshot_xmin(pg_current_snapshot());

-- Each `atoll migrate` calls it, as the owner: in a new cluster it lets the log's numbers go on
-- behind the last one. They stand in definitions, so that who writes an event asks no table.
CREATE FUNCTION atoll_events_settle() RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    here     bigint := (SELECT system_identifier FROM pg_control_system());
    distance bigint;
BEGIN
    IF EXISTS (SELECT FROM events_clock WHERE cluster = here) THEN
        RETURN;
    END IF;
    LOCK TABLE events IN ACCESS EXCLUSIVE MODE;
    SELECT greatest(0, greatest(max(e.tx), (SELECT c.tx FROM webhook_cursor c))::text::bigint + 1
                       - pg_current_xact_id()::text::bigint) INTO distance FROM events e;
    EXECUTE format('ALTER TABLE events ALTER COLUMN tx SET DEFAULT '
                   '((pg_current_xact_id()::text::bigint + %s)::text::xid8)', distance);
    EXECUTE format('CREATE OR REPLACE FUNCTION public.atoll_events_horizon() RETURNS xid8 '
                   'LANGUAGE sql STABLE PARALLEL SAFE RETURN '
                   '(pg_snapshot_xmin(pg_current_snapshot())::text::bigint + %s)::text::xid8',
                   distance);
    UPDATE events_clock SET cluster = here, ahead = distance;
END
$$;
REVOKE ALL ON FUNCTION atoll_events_settle FROM PUBLIC;
