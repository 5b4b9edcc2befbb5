-- What may pile up, and how much one query may look at. docs/database.md explains it.

-- A delivery that nobody can send ends at an age; one that is sent anew begins it again.
ALTER TABLE webhook_deliveries ADD COLUMN pending_since timestamptz NOT NULL DEFAULT now();
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (pending_since)
    WHERE state = 'pending';
GRANT UPDATE (pending_since) ON webhook_deliveries TO atoll_app;

-- How far a look at a tenant's log goes that passes over what its caller does not want: to the
-- `p_most`th event behind a place, or before it. NULL: the log ends sooner. It looks as the owner,
-- because a caller that is bound to a project would have to read the events of all others to find
-- his own; he learns a place, and nothing about what stands there.
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
    SELECT e.at INTO at FROM events e WHERE e.id = atoll_events_reach.id;
END
$$;
REVOKE ALL ON FUNCTION atoll_events_reach FROM PUBLIC;
GRANT EXECUTE ON FUNCTION atoll_events_reach TO atoll_app;
