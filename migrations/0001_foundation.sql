-- The foundation: tenants, sandboxes, executions, samples, events, and who may see what.
-- docs/database.md explains it. The owner of the schema runs this.

-- Two roles use the schema. Where the owner may not create roles, an operator does it beforehand.
DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['atoll_app', 'atoll_system'] LOOP
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE',
                           wanted);
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'the role % is missing: as a superuser, CREATE ROLE % LOGIN',
                    wanted, wanted;
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- roles belong to the whole cluster: another database's migration was first
        END;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname IN ('atoll_app', 'atoll_system')
               AND (rolsuper OR rolbypassrls)) THEN
        RAISE EXCEPTION 'atoll_app and atoll_system may be neither SUPERUSER nor BYPASSRLS';
    END IF;
END
$roles$;

-- The tenant of the current transaction. A connection that had a tenant once reads '' afterwards,
-- one that never had reads NULL: both are no tenant, and no row.
CREATE FUNCTION atoll_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('atoll.tenant', true), '')::uuid;

CREATE TABLE tenants (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name       text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 255),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id  uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, id)
);
CREATE UNIQUE INDEX projects_default ON projects (tenant_id) WHERE is_default;

CREATE FUNCTION tenants_add_default_project() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO projects (id, tenant_id, name, is_default)
    VALUES (CASE NEW.id WHEN '00000000-0000-7000-8000-000000000001'
                THEN '00000000-0000-7000-8000-000000000002'::uuid
                ELSE gen_random_uuid() END,
            NEW.id, 'default', true);
    RETURN NULL;
END
$$;
CREATE TRIGGER tenants_add_default_project AFTER INSERT ON tenants
    FOR EACH ROW EXECUTE FUNCTION tenants_add_default_project();

-- What an execution writes is checked by domains. PostgreSQL would read a table's CHECK
-- constraints anew, and check all of them, in every statement that writes a row.
CREATE DOMAIN sandbox_state AS text CHECK (VALUE IN ('creating', 'running', 'paused', 'stopped',
                                                     'failed', 'deleting', 'deleted'));
CREATE DOMAIN process_state AS text CHECK (VALUE IN ('running', 'completed', 'failed', 'killed',
                                                     'lost'));
CREATE DOMAIN natural_number AS integer CHECK (VALUE >= 0);
CREATE DOMAIN positive_number AS integer CHECK (VALUE > 0);
CREATE DOMAIN json_object AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');
CREATE DOMAIN sandbox_file_count AS integer
    CONSTRAINT sandbox_files_limit CHECK (VALUE BETWEEN 0 AND 10000);
CREATE DOMAIN sandbox_file_bytes AS bigint
    CONSTRAINT sandbox_files_limit CHECK (VALUE BETWEEN 0 AND 67108864);

-- No index names a column that an execution changes, and pages have room: those updates stay
-- heap-only (HOT) and touch no index.
CREATE TABLE sandboxes (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    project_id      uuid NOT NULL,
    state           sandbox_state NOT NULL,
    generation      natural_number NOT NULL DEFAULT 0,
    active_runs     natural_number NOT NULL DEFAULT 0,
    runtime         text NOT NULL,
    entry_point     text,
    code            bytea,
    env             json_object NOT NULL,
    timeout_ms      positive_number NOT NULL,
    memory_limit_mb positive_number NOT NULL,
    file_count      sandbox_file_count NOT NULL DEFAULT 0,
    file_bytes      sandbox_file_bytes NOT NULL DEFAULT 0,
    idle_timeout_s  positive_number NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_active_at  timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    deleted_at      timestamptz,
    node_id         text,
    last_run_state  process_state,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id),
    CONSTRAINT sandboxes_complete CHECK ((state = 'deleted') = (deleted_at IS NOT NULL)
                                         AND (state = 'deleted' OR code IS NOT NULL))
) WITH (fillfactor = 70);
-- Ids are time-ordered: this is also the order of creation.
CREATE INDEX sandboxes_list ON sandboxes (tenant_id, id) WHERE deleted_at IS NULL;
CREATE INDEX sandboxes_expiry ON sandboxes (expires_at) WHERE deleted_at IS NULL;
CREATE INDEX sandboxes_tombstones ON sandboxes (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE FUNCTION sandboxes_check_step() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.generation < OLD.generation THEN
        RAISE EXCEPTION 'a generation may not decrease' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT (CASE OLD.state
        WHEN NEW.state  THEN true
        WHEN 'creating' THEN NEW.state IN ('running', 'stopped', 'failed', 'deleting')
        WHEN 'running'  THEN NEW.state IN ('paused', 'stopped', 'failed', 'deleting')
        WHEN 'paused'   THEN NEW.state IN ('running', 'failed', 'deleting')
        WHEN 'stopped'  THEN NEW.state IN ('running', 'failed', 'deleting', 'deleted')
        WHEN 'failed'   THEN NEW.state IN ('deleting')
        WHEN 'deleting' THEN NEW.state IN ('deleted')
        ELSE false END) THEN
        RAISE EXCEPTION 'a sandbox may not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER sandboxes_check_step BEFORE UPDATE OF state, generation ON sandboxes
    FOR EACH ROW EXECUTE FUNCTION sandboxes_check_step();

-- A path is bytes, as the kernel has it. Its hash is the key: a path may be longer than the 2,704
-- bytes that a B-tree entry may have.
CREATE TABLE sandbox_files (
    tenant_id  uuid NOT NULL,
    sandbox_id uuid NOT NULL REFERENCES sandboxes ON DELETE CASCADE,
    path       bytea NOT NULL CHECK (length(path) BETWEEN 1 AND 4096),
    content    bytea NOT NULL,
    executable boolean NOT NULL
);
CREATE UNIQUE INDEX sandbox_files_path ON sandbox_files (sandbox_id, sha256(path));

-- No foreign keys from what is only ever written and kept longer than what it tells of.
CREATE TABLE processes (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL,
    sandbox_id        uuid NOT NULL,
    generation        integer NOT NULL,
    node_id           text NOT NULL,
    boot_id           uuid NOT NULL,
    state             process_state NOT NULL,
    exit_code         integer,
    signal            integer,
    timed_out         boolean NOT NULL DEFAULT false,
    oom_killed        boolean NOT NULL DEFAULT false,
    truncated         boolean NOT NULL DEFAULT false,
    started_at        timestamptz NOT NULL DEFAULT now(),
    deadline_at       timestamptz NOT NULL,
    ended_at          timestamptz,
    cpu_usec          bigint,
    memory_peak_bytes bigint,
    wall_usec         bigint,
    request_id        text,
    CONSTRAINT processes_ended CHECK ((state = 'running') = (ended_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX processes_live ON processes (sandbox_id, generation) WHERE ended_at IS NULL;

CREATE TABLE events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    tenant_id  uuid NOT NULL,
    sandbox_id uuid,
    kind       text NOT NULL,
    from_state text,
    to_state   text,
    actor      text,
    request_id text,
    detail     jsonb
);
CREATE INDEX events_sandbox ON events (sandbox_id, id);

CREATE TABLE samples (
    at           timestamptz NOT NULL,
    sandbox_id   uuid NOT NULL,
    generation   integer NOT NULL,
    tenant_id    uuid NOT NULL,
    cpu_usec     bigint,
    memory_bytes bigint,
    pids         bigint
) PARTITION BY RANGE (at);
CREATE INDEX samples_sandbox ON samples (sandbox_id, at);

CREATE TABLE nodes (
    id         text PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 63),
    boot_id    uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);

-- Partitions and old events can be handled by their owner alone; atoll_system owns nothing and gets
-- exactly these three operations.

CREATE FUNCTION samples_make_partitions(hours integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    first timestamptz := date_trunc('hour', now(), 'UTC');
    start timestamptz;
    name  text;
BEGIN
    FOR i IN 0..least(hours, 168) LOOP
        start := first + i * interval '1 hour';
        name := 'samples_' || to_char(start AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
        CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
        PERFORM pg_advisory_xact_lock(4702103, 1); -- two makers: the second finds it made
        CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I PARTITION OF public.samples '
                       'FOR VALUES FROM (%L) TO (%L)', name, start, start + interval '1 hour');
        -- Reached through `samples` only: no grant, and no policy that lets anybody in.
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;

CREATE FUNCTION samples_drop_partitions(before timestamptz) RETURNS bigint
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
    LOOP
        EXECUTE format('DROP TABLE public.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Looks at the `most` oldest only, so that a round costs the same however long the table is.
CREATE FUNCTION events_prune(before timestamptz, most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    WITH pruned AS (
        DELETE FROM events WHERE id IN (
            SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT most) oldest
            WHERE at < least(before, now() - interval '1 minute'))
        RETURNING 1)
    SELECT count(*) FROM pruned
$$;

REVOKE ALL ON FUNCTION samples_make_partitions, samples_drop_partitions, events_prune FROM PUBLIC;
GRANT EXECUTE ON FUNCTION samples_make_partitions, samples_drop_partitions, events_prune
    TO atoll_system;

SELECT samples_make_partitions(2);
INSERT INTO tenants (id, name) VALUES ('00000000-0000-7000-8000-000000000001', 'default');

-- Row-level security, for the tables' owner too: the server sees the rows of the transaction's
-- tenant, monitor and worker see all.
DO $policies$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tenants', 'projects', 'sandboxes', 'sandbox_files', 'processes',
                                'events', 'samples'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY app_own_tenant ON %I TO atoll_app USING (%I = atoll_tenant())',
                       name, CASE name WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END);
        EXECUTE format('CREATE POLICY system_all ON %I TO atoll_system USING (true)', name);
    END LOOP;
END
$policies$;

-- The operator makes tenants as the owner; events_prune runs as the owner.
CREATE POLICY owner_all ON tenants TO CURRENT_USER USING (true);
CREATE POLICY owner_all ON projects TO CURRENT_USER USING (true);
CREATE POLICY owner_prunes_find ON events FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY owner_prunes ON events FOR DELETE TO CURRENT_USER
    USING (at < now() - interval '1 minute');

GRANT USAGE ON SCHEMA public TO atoll_app, atoll_system;
GRANT SELECT ON schema_migrations TO atoll_app, atoll_system;

GRANT SELECT ON tenants, projects, samples TO atoll_app;
GRANT SELECT, INSERT ON sandboxes, processes TO atoll_app;
GRANT SELECT, INSERT, DELETE ON sandbox_files TO atoll_app;
GRANT UPDATE (content, executable) ON sandbox_files TO atoll_app;
GRANT SELECT, INSERT, UPDATE ON nodes TO atoll_app;

GRANT SELECT, DELETE ON sandboxes, processes, sandbox_files TO atoll_system;
GRANT SELECT, INSERT ON samples TO atoll_system;
GRANT SELECT ON nodes TO atoll_system;

GRANT UPDATE (state, generation, active_runs, code, entry_point, env, file_count, file_bytes,
              last_active_at, deleted_at, node_id, last_run_state)
    ON sandboxes TO atoll_app, atoll_system;
GRANT UPDATE (state, exit_code, signal, timed_out, oom_killed, truncated, ended_at, cpu_usec,
              memory_peak_bytes, wall_usec)
    ON processes TO atoll_app, atoll_system;
GRANT INSERT ON events TO atoll_app, atoll_system;

-- For the monitor's COPY: PostgreSQL refuses COPY into a table with row-level security, so it goes
-- through a temporary table.
DO $temporary$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO atoll_system', current_database());
END
$temporary$;
