#include "lib/db/store_container.h"

#include "lib/db/admission.h"
#include "lib/db/container_row.h"
#include "lib/db/deletion.h"
#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <atoll/cleanup.h>
#include <string.h>

#define WITHOUT_ENV CONTAINER_COLUMNS("NULL::text")
#define WITH_ENV    CONTAINER_COLUMNS("env::text")

/*
 * Of a caller: $1 the tenant, $2 the container. Whoever looks for one row says state <> 'deleted',
 * not deleted_at IS NULL: see docs/database.md.
 */
#define OWN_CONTAINER "tenant_id = $1::uuid AND id = $2::uuid AND kind = 'container'"
#define OWN_LIVING    OWN_CONTAINER " AND state NOT IN ('deleting', 'deleted')"

static const struct db_statement insert_statement = {
    "container_insert",
    "WITH made AS (INSERT INTO sandboxes (id, tenant_id, project_id, kind, state, state_reason,"
    " generation, node_id, name, image, runtime, command, entrypoint, env, ports, labels,"
    " cap_add, cap_drop, read_only_root, cpu_milli, memory_limit_mb, disk_mb, pids_max,"
    " run_timeout_s, max_retries, command_timeout_ms, idle_timeout_s, max_lifetime_s, expires_at,"
    " client_name)"
    " SELECT $2::uuid, tenant_id, id, 'container', 'creating', 'requested', 1, $4::text, $5::text,"
    " $6::text, $7::text, $8::text::jsonb, $9::text::jsonb, $10::text::jsonb, $11::text::jsonb,"
    " $12::text::jsonb, $13::text::jsonb, $14::text::jsonb, $15::boolean, $16::bigint,"
    " $17::bigint, $18::bigint, $19::bigint, nullif($20::bigint, 0), $21::bigint,"
    " nullif($22::bigint, 0) * 1000, $23::bigint, $24::bigint,"
    " now() + $24::bigint * interval '1 second', $27::text"
    " FROM projects WHERE tenant_id = $1::uuid"
    " AND CASE WHEN $3::uuid IS NULL THEN is_default ELSE id = $3::uuid END RETURNING *),"
    " noted AS (INSERT INTO events (tenant_id, project_id, sandbox_id, kind, to_state, actor,"
    " request_id) SELECT tenant_id, project_id, id, 'sandbox.created', state, $25::text, $26::text"
    " FROM made)"
    " SELECT " WITH_ENV " FROM made"};

static const struct db_statement get_statement = {
    "container_get",
    "SELECT " WITHOUT_ENV " FROM sandboxes WHERE " OWN_CONTAINER " AND state <> 'deleted'"};

/* In the project that a create of the same caller puts it into. */
static const struct db_statement find_statement = {
    "container_find",
    "SELECT " WITHOUT_ENV " FROM sandboxes WHERE tenant_id = $1::uuid AND kind = 'container'"
    " AND deleted_at IS NULL AND client_name = $2::text AND project_id = coalesce($3::uuid,"
    " (SELECT id FROM projects WHERE tenant_id = $1::uuid AND is_default))"};

static const struct db_statement use_statement = {
    "container_use",
    "WITH used AS (UPDATE sandboxes SET last_active_at = now() WHERE " OWN_CONTAINER
    " AND state = 'running' AND last_active_at < now() - interval '5 seconds')"
    " SELECT " WITHOUT_ENV " FROM sandboxes WHERE " OWN_CONTAINER " AND state <> 'deleted'"};

static const struct db_statement get_environment_statement = {
    "container_get_environment",
    "SELECT " WITH_ENV " FROM sandboxes WHERE " OWN_CONTAINER " AND state <> 'deleted'"};

/*
 * The planner cannot estimate the policies and the filters that may be absent, takes a tenant's
 * rows for few, and would read and sort all of them. In the order of the index a page is all it
 * reads.
 */
static const struct db_statement list_settings_statement = {
    "container_list_settings", "SELECT set_config('enable_sort', 'off', true),"
                               " set_config('enable_bitmapscan', 'off', true)"};

static const struct db_statement list_statement = {
    "container_list", "SELECT " WITHOUT_ENV " FROM sandboxes"
                      " WHERE tenant_id = $1::uuid AND kind = 'container' AND deleted_at IS NULL"
                      " AND id < $2::uuid"
                      " AND ($3::uuid IS NULL OR project_id = $3::uuid)"
                      " AND ($4::text IS NULL OR state = $4::text)"
                      " AND ($5::text IS NULL OR image = $5::text)"
                      " AND ($6::text IS NULL OR labels @> $6::text::jsonb)"
                      " ORDER BY id DESC LIMIT $7::bigint"};

/* Without a tenant (the worker): the row is found by its key alone. */
#define EXPECTED_CONTAINER                                                                         \
    "($1::uuid IS NULL OR tenant_id = $1::uuid) AND id = $2::uuid AND kind = 'container'"          \
    " AND generation = $3::bigint AND state = $4::text"

static const struct db_statement step_statement = {
    "container_step",
    "WITH moved AS (UPDATE sandboxes SET state = $5::text, state_changed_at = now(),"
    " last_active_at = now(), node_id = coalesce($7::text, node_id),"
    " state_reason = CASE WHEN $5::text = 'stopped' AND state_reason = 'stop_requested'"
    " THEN 'requested' ELSE $6::text END,"
    " generation = generation + ($5::text = 'creating')::integer,"
    " started_at = CASE WHEN state = 'creating' AND $5::text = 'running' THEN now()"
    " ELSE started_at END,"
    " exit_code = CASE WHEN $8::boolean THEN $9::bigint WHEN $5::text = 'creating' THEN NULL"
    " ELSE exit_code END,"
    " exit_signal = CASE WHEN $8::boolean THEN $10::bigint WHEN $5::text = 'creating' THEN NULL"
    " ELSE exit_signal END"
    " WHERE " EXPECTED_CONTAINER " RETURNING *),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, request_id, detail)"
    " SELECT tenant_id, project_id, id, 'sandbox.' || state, $4::text, state, $11::text,"
    " $12::text, jsonb_strip_nulls(jsonb_build_object('reason', state_reason, 'generation',"
    " generation, 'memory_mb', CASE state WHEN 'running' THEN memory_limit_mb END,"
    " 'exit_code', CASE WHEN $8::boolean THEN exit_code END,"
    " 'exit_signal', CASE WHEN $8::boolean THEN exit_signal END)) FROM moved)"
    " SELECT " WITH_ENV " FROM moved"};

static const struct db_statement stopping_statement = {
    "container_stopping",
    "UPDATE sandboxes SET state_reason = 'stop_requested' WHERE " EXPECTED_CONTAINER
    " RETURNING id"};

/* Taken before a change that depends on the version: what follows sees the newest row. */
static const struct db_statement lock_statement = {
    "container_lock", "SELECT id FROM sandboxes WHERE " OWN_LIVING " FOR UPDATE"};

#define NOTE_CHANGE(actor, request, what)                                                          \
    " noted AS (INSERT INTO events"                                                                \
    " (tenant_id, project_id, sandbox_id, kind, actor, request_id, detail)"                        \
    " SELECT tenant_id, project_id, id, 'sandbox.updated', " actor "::text, " request "::text,"    \
    " jsonb_build_object('what', '" what "', 'version', version) FROM changed)"

/* $3 is the version that the caller knows, -1 for any. */
#define CHANGE(assignments)                                                                        \
    "WITH changed AS (UPDATE sandboxes SET version = version + 1, " assignments                    \
    " WHERE " OWN_LIVING " AND $3::bigint IN (-1, version)"

static const struct db_statement patch_statement = {
    "container_patch",
    CHANGE("name = CASE WHEN $4::boolean THEN $5::text ELSE name END,"
           " command_timeout_ms = CASE WHEN $6::boolean THEN nullif($7::bigint, 0) "
           "* 1000"
           " ELSE command_timeout_ms END,"
           " labels = coalesce($8::text::jsonb, labels),"
           " idle_timeout_s = coalesce(nullif($9::bigint, 0), idle_timeout_s),"
           " max_lifetime_s = coalesce(nullif($10::bigint, 0), max_lifetime_s),"
           " expires_at = CASE WHEN $10::bigint > 0"
           " THEN created_at + $10::bigint * interval '1 second' ELSE expires_at "
           "END") " RETURNING *)," NOTE_CHANGE("$11", "$12", "settings") " SELECT " WITHOUT_ENV
                                                                         " FROM changed"};

/* jsonb_strip_nulls: what a merge sets to null is gone. A replacement has no nulls. */
#define MERGED "jsonb_strip_nulls(CASE WHEN $5::boolean THEN env ELSE '{}' END || $4::text::jsonb)"

static const struct db_statement environment_statement = {
    "container_environment",
    CHANGE(
        "env = " MERGED) " AND (SELECT count(*) FROM jsonb_object_keys(" MERGED ")) <= $6::bigint"
                         " RETURNING *)," NOTE_CHANGE("$7", "$8", "environment") " SELECT " WITH_ENV
                                                                                 " FROM changed"};

static const struct db_statement entrypoint_statement = {
    "container_entrypoint",
    CHANGE("entrypoint = $4::text::jsonb, command = $5::text::jsonb") " RETURNING *)," NOTE_CHANGE(
        "$6", "$7", "entrypoint") " SELECT " WITHOUT_ENV " FROM changed"};

/* Tells another version from too many variables. */
static const struct db_statement version_statement = {"container_version",
                                                      "SELECT id FROM sandboxes WHERE " OWN_LIVING
                                                      " AND $3::bigint IN (-1, version)"};

static const struct db_statement delete_begin_statement = {
    "container_delete_begin",
    "WITH old AS (SELECT id, state, version FROM sandboxes WHERE " OWN_CONTAINER
    " AND state <> 'deleted' FOR UPDATE),"
    " moved AS (UPDATE sandboxes s SET state = 'deleting', state_reason = $5::text,"
    " state_changed_at = now(), last_active_at = now() FROM old WHERE s.id = $2::uuid"
    " AND $6::bigint IN (-1, old.version)"
    " RETURNING s.id, s.tenant_id, s.project_id, s.generation, old.state AS from_state),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, request_id, detail)"
    " SELECT tenant_id, project_id, id, 'sandbox.deleting', from_state, 'deleting', $3::text,"
    " $4::text, jsonb_build_object('reason', $5::text) FROM moved WHERE from_state <> 'deleting')"
    " SELECT moved.generation FROM old LEFT JOIN moved USING (id)"};

static const struct db_statement delete_finish_statement = {
    "container_delete_finish", DELETION_FINISH("tenant_id = $1::uuid AND kind = 'container'")};

static int no_project(const struct container_spec *spec, struct error *err)
{
    return spec->has_project ? refuse_project(err) : refuse_tenant(err);
}

/*
 * Before the quotas are asked, which count for the tenant as a whole: to whoever is bound to a
 * project no other one is there.
 */
static bool is_foreign(const struct db_scope *scope, const struct container_spec *spec)
{
    return scope->has_project && spec->has_project && !id_equal(&spec->project, &scope->project);
}

/* The project that a new container is in: the named one, the caller's, or NULL for the default. */
static const struct id *project_of(const struct db_scope *scope, const struct container_spec *spec)
{
    if (spec->has_project)
        return &spec->project;
    return scope->has_project ? &scope->project : NULL;
}

int store_container_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                           const struct container_spec *spec, const char *node,
                           const struct store_origin *origin, struct container_record *ret_record,
                           struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant),
                                      db_uuid(id),
                                      db_uuid(project_of(scope, spec)),
                                      db_text(node),
                                      db_text(spec->name),
                                      db_text(spec->image),
                                      db_text(spec->runtime),
                                      db_text(spec->command_json),
                                      db_text(spec->entrypoint_json),
                                      db_text(spec->env_json),
                                      db_text(spec->ports_json),
                                      db_text(spec->labels_json),
                                      db_text(spec->cap_add_json),
                                      db_text(spec->cap_drop_json),
                                      db_bool(spec->read_only_root),
                                      db_int8(spec->cpu_milli),
                                      db_int8(spec->memory_mb),
                                      db_int8(spec->disk_mb),
                                      db_int8(spec->pids_max),
                                      db_int8(spec->run_timeout_s),
                                      db_int8(spec->max_retries),
                                      db_int8(spec->command_timeout_s),
                                      db_int8(spec->idle_timeout_s),
                                      db_int8(spec->max_lifetime_s),
                                      db_text(origin->actor),
                                      db_text(origin->request_id),
                                      db_text(spec->client_name)};
    const struct admission_need need = {
        .sandboxes = 1,
        .cpu_milli = spec->cpu_milli,
        .memory_mb = spec->memory_mb,
        .disk_mb = spec->disk_mb,
        .processes = spec->pids_max,
        .creates = 1,
    };
    const struct id *project = project_of(scope, spec);
    struct admission_params admission;
    const struct db_call calls[] = {admission_create(&admission, &scope->tenant, project, &need),
                                    DB_CALL(insert_statement, params)};
    PGresult *results[2] = {NULL};
    int status;

    if (is_foreign(scope, spec))
        return no_project(spec, err);
    if (db_run(pool, scope, DB_DURABLE, calls, 2, results, err) < 0) {
        admission_note(pool, &scope->tenant, project, NULL, origin, err);
        return -1;
    }
    if (PQntuples(results[1]) == 0)
        status = no_project(spec, err);
    else
        status = container_row_take(&results[1], ret_record, err);
    db_results_clear(results, 2);
    return status;
}

static int get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
               const struct db_statement *statement, enum db_commit commit,
               struct container_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_call call = {statement, params, 2};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, commit, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("sandbox", err);
    return container_row_take(&result, ret_record, err);
}

int store_container_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        struct container_record *ret_record, struct error *err)
{
    return get(pool, scope, id, &get_statement, DB_LOOKUP, ret_record, err);
}

int store_container_find(struct db_pool *pool, const struct db_scope *scope,
                         const char *client_name, struct container_record *ret_record,
                         struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_text(client_name),
                                      db_uuid(scope->has_project ? &scope->project : NULL)};
    const struct db_call call = DB_CALL(find_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_READ, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("sandbox", err);
    return container_row_take(&result, ret_record, err);
}

int store_container_use(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        bool changes, struct container_record *ret_record, struct error *err)
{
    /* Only a claim has to outlive a crash: what is used is in the sandbox. */
    enum db_commit commit = changes && scope->claim ? DB_DURABLE : DB_RELAXED;

    return get(pool, scope, id, &use_statement, commit, ret_record, err);
}

int store_container_get_environment(struct db_pool *pool, const struct db_scope *scope,
                                    const struct id *id, struct container_record *ret_record,
                                    struct error *err)
{
    return get(pool, scope, id, &get_environment_statement, DB_READ, ret_record, err);
}

int store_container_list(struct db_pool *pool, const struct db_scope *scope,
                         const struct store_container_filter *filter,
                         struct container_list *ret_list, struct error *err)
{
    static const struct id behind_all = {.bytes = {[0 ... ID_BYTES - 1] = 0xff}};
    const struct id *before = filter->before ? filter->before : &behind_all;
    const struct db_param params[] = {db_uuid(&scope->tenant),  db_uuid(before),
                                      db_uuid(filter->project), db_text(filter->state),
                                      db_text(filter->image),   db_text(filter->labels_json),
                                      db_int8(filter->limit)};
    const struct db_call calls[] = {{&list_settings_statement, NULL, 0},
                                    DB_CALL(list_statement, params)};
    PGresult *results[2] = {NULL};
    int status;

    if (db_run(pool, scope, DB_READ, calls, 2, results, err) < 0)
        return -1;
    status = container_rows_take(&results[1], ret_list, err);
    db_results_clear(results, 2);
    return status;
}

static int conflict(const struct store_container_step *step, struct error *err)
{
    return error_set(err, ERR_CONFLICT, "the sandbox is no longer %s",
                     sandbox_state_name(step->from));
}

/* A step that takes what quotas limit. */
static int run_admitted(struct db_pool *pool, const struct db_scope *scope,
                        const struct store_container_step *step, const struct db_call *call,
                        const struct store_origin *origin, PGresult **ret_result, struct error *err)
{
    const struct admission_need need = {.creates = 1};
    struct admission_params admission;
    const struct db_call calls[] = {admission_start(&admission, &scope->tenant, &step->id, &need),
                                    *call};
    PGresult *results[2] = {NULL};

    if (db_run(pool, scope, DB_DURABLE, calls, 2, results, err) < 0) {
        admission_note(pool, &scope->tenant, NULL, &step->id, origin, err);
        return -1;
    }
    PQclear(results[0]);
    *ret_result = results[1];
    return 0;
}

int store_container_step(struct db_pool *pool, const struct db_scope *scope,
                         const struct store_container_step *step, const struct store_origin *origin,
                         struct container_record *ret_record, struct error *err)
{
    const struct db_param params[] = {
        db_uuid(scope ? &scope->tenant : NULL),
        db_uuid(&step->id),
        db_int8(step->generation),
        db_text(sandbox_state_name(step->from)),
        db_text(sandbox_state_name(step->to)),
        db_text(container_reason_name(step->reason)),
        db_text(step->node),
        db_bool(step->has_exit),
        step->exit_code >= 0 ? db_int8(step->exit_code) : db_null(),
        step->exit_signal > 0 ? db_int8(step->exit_signal) : db_null(),
        db_text(origin->actor),
        db_text(origin->request_id),
    };
    const struct db_call call = DB_CALL(step_statement, params);
    PGresult *result = NULL;
    int status;

    if (step->to == SANDBOX_CREATING
            ? run_admitted(pool, scope, step, &call, origin, &result, err) < 0
            : db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        status = conflict(step, err);
    else
        status = container_row_take(&result, ret_record, err);
    PQclear(result);
    return status;
}

int store_container_stopping(struct db_pool *pool, const struct db_scope *scope,
                             const struct store_container_step *step, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(&step->id),
                                      db_int8(step->generation),
                                      db_text(sandbox_state_name(step->from))};
    const struct db_call call = DB_CALL(stopping_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    return PQntuples(result) == 1 ? 0 : conflict(step, err);
}

/* Runs a CHANGE behind its lock. `params` begin with tenant, id and version. */
static int run_change(struct db_pool *pool, const struct db_scope *scope,
                      const struct db_call *change, struct container_record *ret_record,
                      struct error *err)
{
    const struct db_call calls[] = {
        {&lock_statement, change->params, 2}, *change, {&version_statement, change->params, 3}};
    PGresult *results[3] = {NULL};
    int status;

    if (db_run(pool, scope, DB_DURABLE, calls, 3, results, err) < 0)
        return -1;
    if (PQntuples(results[0]) == 0)
        status = refuse_missing("sandbox", err);
    else if (PQntuples(results[1]) == 1)
        status = container_row_take(&results[1], ret_record, err);
    else if (PQntuples(results[2]) == 0)
        status = refuse_version("sandbox", err);
    else
        status = error_set_field(err, ERR_INVALID_FIELD, "environment",
                                 "'environment' would have more than %d variables",
                                 STORE_ENVIRONMENT_MAX);
    db_results_clear(results, 3);
    return status;
}

int store_container_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                          const struct store_container_patch *patch, int64_t version,
                          const struct store_origin *origin, struct container_record *ret_record,
                          struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant),
                                      db_uuid(id),
                                      db_int8(version),
                                      db_bool(patch->set_name),
                                      db_text(patch->name),
                                      db_bool(patch->set_command_timeout),
                                      db_int8(patch->command_timeout_s),
                                      db_text(patch->labels_json),
                                      db_int8(patch->idle_timeout_s),
                                      db_int8(patch->max_lifetime_s),
                                      db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(patch_statement, params);

    return run_change(pool, scope, &call, ret_record, err);
}

int store_container_environment(struct db_pool *pool, const struct db_scope *scope,
                                const struct id *id, const char *env_json, bool merge,
                                int64_t version, const struct store_origin *origin,
                                struct container_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id),
                                      db_int8(version),        db_text(env_json),
                                      db_bool(merge),          db_int8(STORE_ENVIRONMENT_MAX),
                                      db_text(origin->actor),  db_text(origin->request_id)};
    const struct db_call call = DB_CALL(environment_statement, params);

    return run_change(pool, scope, &call, ret_record, err);
}

int store_container_entrypoint(struct db_pool *pool, const struct db_scope *scope,
                               const struct id *id, const char *entrypoint_json,
                               const char *command_json, int64_t version,
                               const struct store_origin *origin,
                               struct container_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant),    db_uuid(id),
                                      db_int8(version),           db_text(entrypoint_json),
                                      db_text(command_json),      db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(entrypoint_statement, params);

    return run_change(pool, scope, &call, ret_record, err);
}

int store_container_delete_begin(struct db_pool *pool, const struct db_scope *scope,
                                 const struct id *id, enum container_reason reason, int64_t version,
                                 const struct store_origin *origin, uint32_t *ret_generation,
                                 struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant),
                                      db_uuid(id),
                                      db_text(origin->actor),
                                      db_text(origin->request_id),
                                      db_text(container_reason_name(reason)),
                                      db_int8(version)};
    const struct db_call call = DB_CALL(delete_begin_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("sandbox", err);
    if (PQgetisnull(result, 0, 0))
        return refuse_version("sandbox", err);
    *ret_generation = (uint32_t)db_get_int(result, 0, 0);
    return 0;
}

int store_container_delete_finish(struct db_pool *pool, const struct db_scope *scope,
                                  const struct id *id, const struct store_origin *origin,
                                  struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id), db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(delete_finish_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, scope, DB_DURABLE, &call, 1, &result, err);
}
