-- Secrets of sandboxes: who has a sandbox's secret acts inside it, whichever tenant it is of.
-- docs/api/executor.md explains it.

-- What the secrets that nobody has chosen are derived from: one random key of the installation.
CREATE TABLE executor_key (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key      bytea NOT NULL CHECK (length(key) = 32)
);
INSERT INTO executor_key (key)
    SELECT sha256(string_agg(uuid_send(gen_random_uuid()), '')) FROM generate_series(1, 4);
GRANT SELECT ON executor_key TO atoll_app;

-- Before a secret is checked its tenant is not known, so row-level security would show nothing. The
-- caller compares; the chosen secret itself does not leave.
CREATE FUNCTION executor_find(wanted uuid)
    RETURNS TABLE (tenant_id uuid, project_id uuid, is_active boolean, chosen_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT s.tenant_id, s.project_id, t.state = 'active',
           sha256(convert_to(nullif(s.env->>'SANDBOX_SECRET', ''), 'UTF8'))
    FROM sandboxes s JOIN tenants t ON t.id = s.tenant_id
    WHERE s.id = wanted AND s.kind = 'container' AND s.deleted_at IS NULL
    AND s.state <> 'deleting'
$$;
REVOKE ALL ON FUNCTION executor_find FROM PUBLIC;
GRANT EXECUTE ON FUNCTION executor_find TO atoll_app;
