-- Events of processes that live on: what is begun is told by the statement that begins it, an end by
-- whoever records it. docs/api/events.md has the kinds.

-- What an event says of the process that it is about. Ids are as the API shows them.
CREATE FUNCTION atoll_process_detail(p_process uuid, p_tag text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object('process_id', replace(p_process::text, '-', ''),
                                                'tag', p_tag))
$$;

-- The end of a process is written in several places, one by one and many at once: here none can be
-- forgotten. A wait status that replaces `lost` is told too.
CREATE FUNCTION processes_tell_end() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    INSERT INTO events (tenant_id, project_id, sandbox_id, kind, from_state, to_state, detail)
        SELECT NEW.tenant_id, s.project_id, NEW.sandbox_id, 'process.ended', OLD.state, NEW.state,
               atoll_process_detail(NEW.id, NEW.tag)
               || jsonb_build_object('exit_code', NEW.exit_code, 'signal', NEW.signal,
                                     'timed_out', NEW.timed_out)
        FROM sandboxes s WHERE s.id = NEW.sandbox_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER processes_end AFTER UPDATE OF state ON processes
    FOR EACH ROW WHEN (NEW.kind = 'process' AND OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION processes_tell_end();
