-- Many tenants: roles of callers, API keys, quotas, containers, idempotency, webhooks, and a log of
-- events that can be followed. docs/database.md explains it.

-- === Whose rows a transaction sees ===============================================================

-- The project that the current transaction is bound to; NULL: all of the tenant's.
CREATE FUNCTION atoll_project() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('atoll.project', true), '')::uuid;

-- Operator routes see every tenant; the server sets this for them alone.
CREATE FUNCTION atoll_operator() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN coalesce(current_setting('atoll.operator', true) = 'on', false);

-- === Tenants, projects, quotas ===================================================================

ALTER TABLE tenants
    ADD COLUMN state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    ADD COLUMN version integer NOT NULL DEFAULT 1, -- of what a caller may change, for ETag
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now(),
    -- The tenant of events that are nobody's, such as a refused token's.
    ADD CONSTRAINT tenants_not_nil CHECK (id <> '00000000-0000-0000-0000-000000000000');

ALTER TABLE projects
    ADD COLUMN labels jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(labels) = 'object'),
    ADD COLUMN version integer NOT NULL DEFAULT 1,
    ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();

-- A time-ordered id (RFC 9562, version 7), so that the default projects list in order too.
CREATE FUNCTION atoll_new_id() RETURNS uuid
    LANGUAGE sql VOLATILE PARALLEL SAFE
    RETURN encode(set_byte(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 6, 112 + floor(random() * 16)::integer), 'hex')::uuid;

CREATE OR REPLACE FUNCTION tenants_add_default_project() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO projects (id, tenant_id, name, is_default)
    VALUES (atoll_new_id(), NEW.id, 'default', true);
    RETURN NULL;
END
$$;

-- What a tenant, or one of its projects, may have at once. NULL: no limit. A tenant without a row
-- has none. The row is what concurrent creates of the tenant wait for.
CREATE TABLE quotas (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id          uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    project_id         uuid,
    sandboxes          bigint CHECK (sandboxes >= 0),
    cpu_milli          bigint CHECK (cpu_milli >= 0),
    memory_mb          bigint CHECK (memory_mb >= 0),
    disk_mb            bigint CHECK (disk_mb >= 0),
    processes          bigint CHECK (processes >= 0),
    volumes            bigint CHECK (volumes >= 0),
    deployments        bigint CHECK (deployments >= 0),
    creates_per_minute bigint CHECK (creates_per_minute >= 0),
    window_started_at  timestamptz NOT NULL DEFAULT now(), -- of creates_per_minute
    window_creates     bigint NOT NULL DEFAULT 0,
    version            integer NOT NULL DEFAULT 1, -- of the limits, for ETag
    updated_at         timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id)
);

-- === API keys ====================================================================================

-- The key itself is shown once. It is 256 random bits, so a plain hash is enough.
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    project_id   uuid, -- NULL: of the whole tenant
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    prefix       text NOT NULL UNIQUE CHECK (length(prefix) = 12),
    secret_hash  bytea NOT NULL CHECK (length(secret_hash) = 32),
    role         text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'operator')),
    created_by   text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX api_keys_list ON api_keys (tenant_id, id);

-- Before a key is checked its tenant is not known, so row-level security would show nothing. The
-- caller compares the hash.
CREATE FUNCTION api_key_find(wanted text)
    RETURNS TABLE (id uuid, tenant_id uuid, project_id uuid, role text, secret_hash bytea,
                   expires_at timestamptz, is_expired boolean, is_revoked boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT k.id, k.tenant_id, k.project_id, k.role, k.secret_hash, k.expires_at,
           coalesce(k.expires_at <= now(), false), k.revoked_at IS NOT NULL
    FROM api_keys k WHERE k.prefix = wanted
$$;
REVOKE ALL ON FUNCTION api_key_find FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_find TO atoll_app;

-- === Sandboxes: containers beside definitions ====================================================

-- A `definition` runs anew at each execute; a `container` lives from start to stop and keeps its
-- disk in between. Domains for single columns, one CHECK constraint for the rest: see 0001.
CREATE DOMAIN sandbox_kind AS text CHECK (VALUE IN ('definition', 'container'));
CREATE DOMAIN json_array AS jsonb CHECK (jsonb_typeof(VALUE) = 'array');
ALTER TABLE sandboxes
    ADD COLUMN kind sandbox_kind NOT NULL DEFAULT 'definition',
    ADD COLUMN name text, -- for people; the length is the service's to bound
    ADD COLUMN image text,
    ADD COLUMN ports json_array NOT NULL DEFAULT '[]',
    ADD COLUMN command json_array,
    ADD COLUMN entrypoint json_array,
    ADD COLUMN labels json_object NOT NULL DEFAULT '{}',
    ADD COLUMN cpu_milli positive_number,
    ADD COLUMN disk_mb positive_number,
    ADD COLUMN pids_max positive_number,
    ADD COLUMN run_timeout_s positive_number, -- of the command; NULL: none
    ADD COLUMN max_retries natural_number NOT NULL DEFAULT 0,
    ADD COLUMN command_timeout_ms positive_number, -- default of an exec
    ADD COLUMN max_lifetime_s positive_number,
    ADD COLUMN network text NOT NULL DEFAULT 'none',
    ADD COLUMN read_only_root boolean NOT NULL DEFAULT false,
    ADD COLUMN cap_add json_array NOT NULL DEFAULT '[]',
    ADD COLUMN cap_drop json_array NOT NULL DEFAULT '[]',
    ADD COLUMN version integer NOT NULL DEFAULT 1, -- of what a caller may change, for ETag
    ADD COLUMN state_reason text, -- a word of docs/api.md: what put it in its state
    ADD COLUMN state_changed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN started_at timestamptz,
    ADD COLUMN exit_code integer, -- of the command, when its end was seen
    ADD COLUMN exit_signal integer,
    -- A container that has a native sandbox on its node, or is about to; sandboxes_check keeps it. An
    -- index on it does not name `state`, which every execution of a definition changes.
    ADD COLUMN is_up boolean NOT NULL DEFAULT false,
    ALTER COLUMN runtime DROP NOT NULL,
    ALTER COLUMN timeout_ms DROP NOT NULL,
    DROP CONSTRAINT sandboxes_complete; -- sandboxes_check has it
-- A project goes with its tombstones; what lives keeps it (store_project.c).
ALTER TABLE sandboxes
    DROP CONSTRAINT sandboxes_tenant_id_project_id_fkey,
    ADD FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE;
-- Not led by tenant_id: to a planner without statistics such an index looks as good as the primary
-- key for `tenant_id = $1 AND id = $2`, and reads every dead entry of the tenant.
CREATE INDEX sandboxes_project ON sandboxes (project_id);
-- What quotas count: containers that are up, and (as lists do) those that are there. Neither index
-- names a column that an execution of a definition changes.
CREATE INDEX sandboxes_counted ON sandboxes (tenant_id, project_id) WHERE is_up;
CREATE INDEX sandboxes_container_list ON sandboxes (tenant_id, id)
    WHERE kind = 'container' AND deleted_at IS NULL;
CREATE INDEX sandboxes_up ON sandboxes (node_id, id) WHERE is_up;

-- What a row may be, and become. A constraint or a generated column would be parsed anew in every
-- statement that writes a row; a function is not. At an INSERT there is no OLD, and a comparison with
-- it is NULL, which refuses nothing.
CREATE FUNCTION sandboxes_check() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.generation < OLD.generation THEN
        RAISE EXCEPTION 'a generation may not decrease' USING ERRCODE = 'check_violation';
    END IF;
    IF OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state <> ALL ('{
            creating>running, creating>stopped, creating>failed, creating>deleting,
            running>paused, running>stopped, running>failed, running>deleting,
            paused>running, paused>stopped, paused>failed, paused>deleting,
            stopped>creating, stopped>running, stopped>failed, stopped>deleting, stopped>deleted,
            failed>creating, failed>deleting,
            deleting>deleted}')
        -- A container has a disk to remove first.
        OR (NEW.state = 'deleted' AND OLD.state <> 'deleting' AND NEW.kind = 'container')) THEN
        RAISE EXCEPTION 'a sandbox may not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.state = 'deleted') <> (NEW.deleted_at IS NOT NULL) OR (NEW.kind = 'definition'
        AND (NEW.runtime IS NULL OR NEW.timeout_ms IS NULL
             OR (NEW.code IS NULL AND NEW.state <> 'deleted'))) THEN
        RAISE EXCEPTION 'a sandbox in state % is not complete', NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.kind = 'container' THEN
        NEW.is_up := NEW.state IN ('creating', 'running', 'paused');
    END IF;
    RETURN NEW;
END
$$;
DROP TRIGGER sandboxes_check_step ON sandboxes;
DROP FUNCTION sandboxes_check_step;
CREATE TRIGGER sandboxes_check BEFORE UPDATE OF kind, state, generation, deleted_at, runtime,
    timeout_ms, code ON sandboxes FOR EACH ROW EXECUTE FUNCTION sandboxes_check();
-- A definition that is whole needs no look.
CREATE TRIGGER sandboxes_check_new BEFORE INSERT ON sandboxes FOR EACH ROW
    WHEN (NEW.code IS NULL OR NEW.runtime IS NULL OR NEW.timeout_ms IS NULL
          OR NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION sandboxes_check();

-- === Admission ===================================================================================

-- What an execution of a definition holds while it runs. NULL: a process inside a container, which
-- is counted as a whole.
ALTER TABLE processes
    ADD COLUMN project_id uuid,
    ADD COLUMN cpu_milli bigint,
    ADD COLUMN memory_mb bigint,
    ADD COLUMN pids_max bigint;
CREATE INDEX processes_counted ON processes (tenant_id, project_id)
    WHERE ended_at IS NULL AND project_id IS NOT NULL;

-- What lives of a tenant, or of one of its projects. It counts as the owner: a caller that is bound
-- to a project must be held to the tenant's limits too. Index scans by their order drop what
-- has ended from the index as they pass it; bitmap scans would meet it again each time.
CREATE FUNCTION atoll_quota_use(p_tenant uuid, p_project uuid, OUT sandboxes bigint,
                                OUT cpu_milli bigint, OUT memory_mb bigint, OUT disk_mb bigint,
                                OUT processes bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp SET enable_bitmapscan = off AS $$
BEGIN
    IF p_tenant <> coalesce(atoll_tenant(), p_tenant) AND NOT atoll_operator() THEN
        RAISE insufficient_privilege USING MESSAGE = 'this is another tenant';
    END IF;
    SELECT count(*), coalesce(sum(held.cpu_milli), 0), coalesce(sum(held.memory_mb), 0),
           coalesce(sum(held.pids_max), 0)
    INTO sandboxes, cpu_milli, memory_mb, processes
    FROM (SELECT s.cpu_milli::bigint, s.memory_limit_mb::bigint AS memory_mb, s.pids_max::bigint
          FROM sandboxes s
          WHERE s.tenant_id = p_tenant AND s.is_up
          AND (p_project IS NULL OR s.project_id = p_project)
          UNION ALL
          SELECT p.cpu_milli, p.memory_mb, p.pids_max
          FROM processes p
          WHERE p.tenant_id = p_tenant AND p.ended_at IS NULL AND p.project_id IS NOT NULL
          AND (p_project IS NULL OR p.project_id = p_project)) held;
    SELECT coalesce(sum(s.disk_mb), 0) INTO disk_mb FROM sandboxes s
    WHERE s.tenant_id = p_tenant AND s.kind = 'container' AND s.deleted_at IS NULL
    AND (p_project IS NULL OR s.project_id = p_project);
END
$$;

-- Refuses (SQLSTATE AT001) what would pass a limit; `detail` is "limit used seconds-to-wait". The
-- lock on a quota's row, held until the end of the transaction that adds what is admitted here,
-- makes the count exact: the next one counts after that. The tenant's row is always locked first.
CREATE FUNCTION atoll_admit(p_tenant uuid, p_project uuid, p_sandboxes bigint, p_cpu_milli bigint,
                            p_memory_mb bigint, p_disk_mb bigint, p_processes bigint,
                            p_creates bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    quota  quotas;
    used   record;
    wait_s integer;
    over   record;
BEGIN
    FOR quota IN SELECT * FROM quotas q WHERE q.tenant_id = p_tenant AND (q.project_id IS NULL
        OR q.project_id = coalesce(p_project, atoll_project(), (SELECT id FROM projects
            WHERE tenant_id = p_tenant AND is_default)))
        ORDER BY q.project_id NULLS FIRST FOR UPDATE
    LOOP
        used := atoll_quota_use(quota.tenant_id, quota.project_id);
        wait_s := ceil(extract(epoch FROM
            quota.window_started_at + interval '1 minute' - clock_timestamp()));
        IF wait_s <= 0 THEN
            quota.window_creates := 0;
            quota.window_started_at := clock_timestamp();
        END IF;
        SELECT * INTO over FROM (VALUES
            ('sandboxes', quota.sandboxes, used.sandboxes, p_sandboxes, 1),
            ('cpu_milli', quota.cpu_milli, used.cpu_milli, p_cpu_milli, 1),
            ('memory_mb', quota.memory_mb, used.memory_mb, p_memory_mb, 1),
            ('disk_mb', quota.disk_mb, used.disk_mb, p_disk_mb, 1),
            ('processes', quota.processes, used.processes, p_processes, 1),
            ('creates_per_minute', quota.creates_per_minute, quota.window_creates, p_creates,
             greatest(wait_s, 1))
            ) rule (name, most, used, asked, wait_s)
        WHERE rule.asked > 0 AND rule.used + rule.asked > rule.most LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'quota ''%'' of the %: % of % in use, and this needs %', over.name,
                CASE WHEN quota.project_id IS NULL THEN 'tenant' ELSE 'project' END,
                over.used, over.most, over.asked
                USING ERRCODE = 'AT001',
                      DETAIL = format('%s %s %s', over.most, over.used, over.wait_s);
        END IF;
        IF p_creates > 0 AND quota.creates_per_minute IS NOT NULL THEN
            UPDATE quotas q SET window_creates = quota.window_creates + p_creates,
                window_started_at = quota.window_started_at WHERE q.id = quota.id;
        END IF;
    END LOOP;
END
$$;

-- The same for the start of a sandbox that is stored: a run of a definition, whose row does not say
-- how much processor and how many processes it gets, or a container that is stopped.
CREATE FUNCTION atoll_admit_start(p_tenant uuid, p_sandbox uuid, p_cpu_milli bigint,
                                  p_processes bigint, p_creates bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    sandbox record;
BEGIN
    SELECT s.project_id, s.is_up, coalesce(s.cpu_milli, p_cpu_milli) AS cpu_milli,
           s.memory_limit_mb AS memory_mb, coalesce(s.pids_max, p_processes) AS processes
    INTO sandbox FROM sandboxes s WHERE s.tenant_id = p_tenant AND s.id = p_sandbox;
    IF FOUND AND NOT sandbox.is_up THEN
        PERFORM atoll_admit(p_tenant, sandbox.project_id, 1, sandbox.cpu_milli, sandbox.memory_mb,
                            0, sandbox.processes, p_creates);
    END IF;
END
$$;

REVOKE ALL ON FUNCTION atoll_quota_use, atoll_admit, atoll_admit_start FROM PUBLIC;
GRANT EXECUTE ON FUNCTION atoll_quota_use, atoll_admit, atoll_admit_start
    TO atoll_app, atoll_system;
CREATE POLICY owner_counts ON sandboxes FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY owner_counts ON processes FOR SELECT TO CURRENT_USER USING (true);

-- === Idempotency =================================================================================

-- A request's key, written in the transaction of its effect; the answer follows. `boot_id` is the
-- server that works on it, NULL when that one gave it up without an answer to keep.
CREATE TABLE idempotency_keys (
    tenant_id   uuid NOT NULL,
    key         text NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32), -- of what was asked
    resource_id uuid, -- what the effect was on
    boot_id     uuid,
    claimed_at  timestamptz NOT NULL DEFAULT now(), -- by the server of boot_id
    status      integer, -- of the answer; NULL: not answered yet
    media_type  text,
    etag        text,
    answer      bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- === Processes of containers ====================================================================

-- Beside executions of definitions: what callers run in a container. Their project_id stays NULL:
-- quotas count the container, and whoever sees that sees them. `exec` ends with its request, a
-- `process` lives on in the container, over restarts of the server too.
CREATE DOMAIN process_kind AS text CHECK (VALUE IN ('exec', 'process'));
ALTER TABLE processes
    ADD COLUMN kind process_kind, -- NULL: an execution
    ADD COLUMN command json_array,
    ADD COLUMN tag text, -- for people; the length is the service's to bound
    ADD COLUMN has_terminal boolean,
    ADD COLUMN has_input boolean;
CREATE INDEX processes_of_container ON processes (sandbox_id, id) WHERE kind IS NOT NULL;
CREATE INDEX processes_live_of_node ON processes (node_id) WHERE kind IS NOT NULL
    AND ended_at IS NULL;

-- === Events ======================================================================================

-- (tx, id) is an order in which nothing appears behind what a reader has seen: readers take rows of
-- transactions older than every running one (pg_snapshot_xmin). Ids alone are not: a transaction
-- that took its id first may commit last.
ALTER TABLE events
    ADD COLUMN tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ADD COLUMN project_id uuid;
CREATE INDEX events_tenant ON events (tenant_id, tx, id);
DROP INDEX events_sandbox;
CREATE INDEX events_sandbox ON events (sandbox_id, tx, id);

-- === Usage =======================================================================================

-- Only the starts of containers are in it: few, beside what definitions do.
CREATE INDEX events_starts ON events (tenant_id, at)
    WHERE kind = 'sandbox.running' AND from_state = 'creating';

CREATE INDEX processes_usage ON processes (tenant_id, started_at) WHERE project_id IS NOT NULL;

-- When a sandbox ran, one row a run of a definition or a start of a container. ended_at is never
-- NULL: what still runs has run until now, what nobody ended is over with its deadline or its row.
-- What a caller may not see of the tables below is not in it.
CREATE VIEW usage_intervals WITH (security_invoker = true) AS
    SELECT p.tenant_id, p.project_id, p.sandbox_id, p.generation, p.started_at,
           greatest(p.started_at, coalesce(p.ended_at,
               least(now(), p.deadline_at + interval '1 minute'))) AS ended_at,
           p.ended_at IS NULL AS is_open, p.memory_mb, p.cpu_usec, 1 AS runs
    FROM processes p WHERE p.project_id IS NOT NULL
    UNION ALL
    SELECT e.tenant_id, e.project_id, e.sandbox_id, (e.detail->>'generation')::integer, e.at,
           greatest(e.at, coalesce(over.at, live.until, e.at)),
           over.at IS NULL AND live.until IS NOT NULL, (e.detail->>'memory_mb')::bigint,
           coalesce(counted.cpu_usec, sampled.cpu_usec), 0
    FROM events e
    LEFT JOIN LATERAL (SELECT o.at FROM events o WHERE o.sandbox_id = e.sandbox_id
        AND (o.tx, o.id) > (e.tx, e.id)
        AND o.to_state IN ('creating', 'stopped', 'failed', 'deleting', 'deleted')
        ORDER BY o.tx, o.id LIMIT 1) over ON true
    LEFT JOIN LATERAL (SELECT now() AS until FROM sandboxes s
        WHERE s.id = e.sandbox_id AND s.is_up
        AND s.generation = (e.detail->>'generation')::integer) live ON over.at IS NULL
    LEFT JOIN LATERAL (SELECT (c.detail->>'cpu_usec')::bigint AS cpu_usec FROM events c
        WHERE c.sandbox_id = e.sandbox_id AND (c.tx, c.id) > (e.tx, e.id)
        AND c.kind = 'sandbox.ended' AND c.detail->'generation' = e.detail->'generation'
        ORDER BY c.tx, c.id LIMIT 1) counted ON true
    LEFT JOIN LATERAL (SELECT m.cpu_usec FROM samples m WHERE m.sandbox_id = e.sandbox_id
        AND m.generation = (e.detail->>'generation')::integer ORDER BY m.at DESC LIMIT 1) sampled
        ON counted.cpu_usec IS NULL AND live.until IS NOT NULL
    WHERE e.kind = 'sandbox.running' AND e.from_state = 'creating' AND e.detail ? 'memory_mb';

-- Intervals cut at the days of UTC and at both ends of the range. Processor time is spread evenly
-- over an interval.
CREATE FUNCTION usage_by_day(tenant uuid, project uuid, since timestamptz, until timestamptz)
    RETURNS TABLE (project_id uuid, day date, seconds numeric, cpu_seconds numeric,
                   memory_mb_seconds numeric, runs bigint)
    LANGUAGE sql STABLE AS $$
    SELECT i.project_id, (piece.day AT TIME ZONE 'UTC')::date, piece.seconds,
           coalesce(i.cpu_usec, 0) / 1000000.0
               * CASE WHEN i.ended_at > i.started_at THEN piece.seconds
                 / extract(epoch FROM i.ended_at - i.started_at) ELSE 1 END,
           piece.seconds * coalesce(i.memory_mb, 0),
           CASE WHEN i.started_at >= piece.day AND i.started_at >= since THEN i.runs ELSE 0 END
    FROM usage_intervals i
    CROSS JOIN LATERAL (
        SELECT d.day, extract(epoch FROM least(i.ended_at, until, d.day + interval '1 day')
                              - greatest(i.started_at, since, d.day)) AS seconds
        FROM generate_series(date_trunc('day', greatest(i.started_at, since), 'UTC'),
                             least(i.ended_at, until), interval '1 day') d (day)) piece
    WHERE i.tenant_id = tenant AND (project IS NULL OR i.project_id = project)
    AND i.started_at < until AND i.ended_at >= since AND piece.seconds >= 0
$$;

-- === Webhooks ====================================================================================

CREATE TABLE webhooks (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants ON DELETE CASCADE,
    project_id  uuid, -- NULL: of the whole tenant, and of what belongs to no project
    url         text NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    secret      text NOT NULL CHECK (length(secret) BETWEEN 16 AND 255),
    kinds       text[] NOT NULL, -- of events; empty: all
    is_active   boolean NOT NULL DEFAULT true,
    version     integer NOT NULL DEFAULT 1, -- of what a caller may change, for ETag
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX webhooks_list ON webhooks (tenant_id, id);

-- A worker that claims a delivery counts the attempt and puts the next one off by its lease, so that
-- what a killed worker had claimed is due again.
CREATE TABLE webhook_deliveries (
    id              uuid PRIMARY KEY DEFAULT atoll_new_id(),
    tenant_id       uuid NOT NULL,
    webhook_id      uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event_id        bigint NOT NULL,
    payload         jsonb NOT NULL,
    state           text NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    last_status     integer,
    last_error      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz CHECK ((state = 'pending') = (ended_at IS NULL)),
    UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_list ON webhook_deliveries (webhook_id, id);
CREATE INDEX webhook_deliveries_list_state ON webhook_deliveries (webhook_id, state, id);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- How far the worker has turned events into deliveries: one row.
CREATE TABLE webhook_cursor (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    tx      xid8 NOT NULL DEFAULT '0',
    id      bigint NOT NULL DEFAULT 0
);
INSERT INTO webhook_cursor DEFAULT VALUES;

-- === Nodes =======================================================================================

ALTER TABLE nodes
    ADD COLUMN version text NOT NULL DEFAULT '',
    ADD COLUMN cpu_milli bigint NOT NULL DEFAULT 0,
    ADD COLUMN memory_mb bigint NOT NULL DEFAULT 0,
    ADD COLUMN sandboxes bigint NOT NULL DEFAULT 0; -- alive when it was seen

-- === Who may see what ============================================================================

-- Existing tables: an operator's transaction sees all tenants, one bound to a project its rows.
DROP POLICY app_own_tenant ON tenants;
CREATE POLICY app_own_tenant ON tenants TO atoll_app
    USING (id = atoll_tenant() OR atoll_operator());
DROP POLICY app_own_tenant ON projects;
CREATE POLICY app_own_tenant ON projects TO atoll_app
    USING ((tenant_id = atoll_tenant() AND (atoll_project() IS NULL OR id = atoll_project()))
           OR atoll_operator());
DROP POLICY app_own_tenant ON sandboxes;
CREATE POLICY app_own_tenant ON sandboxes TO atoll_app
    USING (tenant_id = atoll_tenant()
           AND (atoll_project() IS NULL OR project_id = atoll_project()));
DROP POLICY app_own_tenant ON processes;
CREATE POLICY app_own_tenant ON processes TO atoll_app
    USING (tenant_id = atoll_tenant() AND (atoll_project() IS NULL OR project_id IS NULL
                                           OR project_id = atoll_project()));
DROP POLICY app_own_tenant ON events;
CREATE POLICY app_own_tenant ON events TO atoll_app
    USING ((tenant_id = atoll_tenant() AND (atoll_project() IS NULL OR project_id = atoll_project()))
           OR atoll_operator())
    WITH CHECK (tenant_id = atoll_tenant() OR atoll_operator());

DO $policies$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['quotas', 'api_keys', 'idempotency_keys', 'webhooks',
                                'webhook_deliveries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY system_all ON %I TO atoll_system USING (true)', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['api_keys', 'webhooks'] LOOP
        EXECUTE format('CREATE POLICY app_own_tenant ON %I TO atoll_app'
                       ' USING (tenant_id = atoll_tenant()'
                       ' AND (atoll_project() IS NULL OR project_id = atoll_project()))', name);
    END LOOP;
END
$policies$;
-- Whoever sees a webhook, within his project, sees its deliveries.
CREATE POLICY app_own_tenant ON webhook_deliveries TO atoll_app
    USING (tenant_id = atoll_tenant()
           AND EXISTS (SELECT FROM webhooks w WHERE w.id = webhook_id));
CREATE POLICY app_own_tenant ON quotas TO atoll_app
    USING (tenant_id = atoll_tenant() OR atoll_operator());
-- The key is the caller's, also where an operator changes another tenant.
CREATE POLICY app_own_tenant ON idempotency_keys TO atoll_app
    USING (tenant_id = atoll_tenant() OR atoll_operator());
-- Cascades and the functions below run as the owner.
CREATE POLICY owner_all ON quotas TO CURRENT_USER USING (true);
CREATE POLICY owner_all ON api_keys TO CURRENT_USER USING (true);
CREATE POLICY owner_all ON webhooks TO CURRENT_USER USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON tenants, projects, quotas TO atoll_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON api_keys, webhooks TO atoll_app;
GRANT SELECT ON webhook_deliveries TO atoll_app;
GRANT SELECT, INSERT, DELETE ON idempotency_keys TO atoll_app;
GRANT UPDATE (status, media_type, etag, answer, boot_id, claimed_at) ON idempotency_keys
    TO atoll_app;
GRANT UPDATE (state, next_attempt_at, attempts, ended_at) ON webhook_deliveries TO atoll_app;
GRANT SELECT, DELETE ON idempotency_keys TO atoll_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries, webhook_cursor TO atoll_system;
GRANT SELECT, UPDATE ON webhooks, api_keys TO atoll_system;
GRANT SELECT ON tenants, projects, quotas TO atoll_system;
GRANT SELECT ON events TO atoll_app, atoll_system;
GRANT SELECT ON usage_intervals TO atoll_app;
GRANT UPDATE (name, ports, labels, command, entrypoint, cpu_milli, memory_limit_mb, disk_mb,
              pids_max, idle_timeout_s, expires_at, run_timeout_s, max_retries, command_timeout_ms,
              max_lifetime_s, network, read_only_root, cap_add, cap_drop, version, state_reason,
              state_changed_at, started_at, exit_code, exit_signal, timeout_ms)
    ON sandboxes TO atoll_app, atoll_system;
