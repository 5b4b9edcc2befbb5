#include "lib/db/store_run.h"

#include "lib/db/admission.h"
#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>
#include <string.h>

/* The first active run is what took the sandbox out of stopped. */
static const struct db_statement begin_statement = {
    "run_begin",
    "WITH moved AS (UPDATE sandboxes SET state = 'running', generation = generation + 1,"
    " active_runs = active_runs + 1, last_active_at = now()"
    " WHERE tenant_id = $1::uuid AND id = $2::uuid AND kind = 'definition'"
    " AND state IN ('stopped', 'running')"
    " RETURNING id, project_id, generation, active_runs, runtime, code, entry_point, env,"
    " timeout_ms, memory_limit_mb),"
    " begun AS (INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id,"
    " state, deadline_at, request_id, project_id, cpu_milli, memory_mb, pids_max)"
    " SELECT $3::uuid, $1::uuid, id, generation, $4::text, $5::uuid, 'running',"
    " now() + $6::bigint * interval '1 millisecond', $8::text, project_id, $9::bigint,"
    " memory_limit_mb, $10::bigint FROM moved),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, request_id)"
    " SELECT $1::uuid, project_id, id, 'sandbox.running', 'stopped', 'running', $7::text, $8::text"
    " FROM moved WHERE active_runs = 1)"
    " SELECT generation, runtime, code, entry_point, env::text, timeout_ms, memory_limit_mb,"
    " p.command_policy::text FROM moved LEFT JOIN projects p ON p.id = moved.project_id"
    " AND p.tenant_id = $1::uuid AND p.command_policy->>'mode' <> 'off'"};

enum begin_column {
    BEGIN_GENERATION,
    BEGIN_RUNTIME,
    BEGIN_CODE,
    BEGIN_ENTRY_POINT,
    BEGIN_ENV,
    BEGIN_TIMEOUT_MS,
    BEGIN_MEMORY_LIMIT_MB,
    BEGIN_POLICY,
};

static const struct db_statement files_statement = {
    "run_files", "SELECT path, content, executable FROM sandbox_files"
                 " WHERE tenant_id = $1::uuid AND sandbox_id = $2::uuid ORDER BY path"};

/* Parameters $1 to $13, of both statements below; each has its own behind them. */
enum { OUTCOME_PARAMS = 13 };

/*
 * The usual end: the row of the run is live, and the run one of the sandbox's active ones, or a
 * sandbox of its own (store_once.h).
 */
static const struct db_statement end_statement = {
    "run_end", "WITH ended AS (UPDATE processes SET state = $4::text, exit_code = $5::bigint,"
               " signal = $6::bigint, timed_out = $7::boolean, oom_killed = $8::boolean,"
               " truncated = $9::boolean, ended_at = now(), cpu_usec = $10::bigint,"
               " memory_peak_bytes = $11::bigint, wall_usec = $12::bigint"
               " WHERE tenant_id = $1::uuid AND id = $2::uuid AND state = 'running'"
               " RETURNING id, project_id),"
               " released AS (UPDATE sandboxes s SET active_runs = greatest(s.active_runs - 1, 0),"
               " state = CASE WHEN s.state = 'running' AND s.active_runs = 1 THEN 'stopped'"
               " ELSE s.state END, last_active_at = now(), last_run_state = $4::text"
               " FROM ended WHERE s.tenant_id = $1::uuid AND s.id = $3::uuid"
               " RETURNING s.id, s.project_id, s.state, s.active_runs),"
               " noted AS (INSERT INTO events"
               " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, request_id)"
               " SELECT $1::uuid, project_id, id, 'sandbox.stopped', 'running', 'stopped', "
               "$14::text, $13::text"
               " FROM released WHERE active_runs = 0 AND state = 'stopped'"
               " UNION ALL"
               " SELECT $1::uuid, project_id, id, 'run.ended', 'running', $4::text, $14::text,"
               " $13::text FROM ended WHERE id = $3::uuid)"
               " SELECT id FROM ended"};

/*
 * When no row is live: the run was given up as lost (the truth replaces that), PostgreSQL forgot it
 * (the row is made), or its end is recorded (it stays). In none of them is the run an active one.
 */
static const struct db_statement end_late_statement = {
    "run_end_late",
    "WITH ended AS (INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id,"
    " state, exit_code, signal, timed_out, oom_killed, truncated, started_at, deadline_at,"
    " ended_at, cpu_usec, memory_peak_bytes, wall_usec, request_id, project_id, memory_mb)"
    " SELECT $2::uuid, $1::uuid, $3::uuid, $14::bigint, $15::text, $16::uuid, $4::text,"
    " $5::bigint, $6::bigint, $7::boolean, $8::boolean, $9::boolean,"
    " now() - coalesce($12::bigint, 0) * interval '1 microsecond', now(), now(), $10::bigint,"
    " $11::bigint, $12::bigint, $13::text, s.project_id, s.memory_limit_mb"
    " FROM (VALUES (1)) one LEFT JOIN sandboxes s ON s.tenant_id = $1::uuid AND s.id = $3::uuid"
    " ON CONFLICT (id) DO UPDATE SET state = excluded.state, exit_code = excluded.exit_code,"
    " signal = excluded.signal, timed_out = excluded.timed_out, oom_killed = excluded.oom_killed,"
    " truncated = excluded.truncated, ended_at = excluded.ended_at, cpu_usec = excluded.cpu_usec,"
    " memory_peak_bytes = excluded.memory_peak_bytes, wall_usec = excluded.wall_usec"
    " WHERE processes.state = 'lost' RETURNING id)"
    " UPDATE sandboxes s SET generation = greatest(s.generation, $14::bigint),"
    " last_active_at = now(), last_run_state = $4::text"
    " FROM ended WHERE s.tenant_id = $1::uuid AND s.id = $3::uuid"};

static const struct db_statement register_statement = {
    "node_register",
    "INSERT INTO nodes (id, boot_id) VALUES ($1::text, $2::uuid) ON CONFLICT (id) DO UPDATE SET"
    " boot_id = excluded.boot_id, started_at = now(), seen_at = now()"};

static int read_file_row(const PGresult *result, int row, struct sandbox_file *file,
                         struct error *err)
{
    if (db_copy(result, row, 0, &file->path, NULL, err) < 0 ||
        db_copy(result, row, 1, &file->content, &file->size, err) < 0)
        return -1;
    file->executable = db_get_bool(result, row, 2);
    return 0;
}

static int read_files(const PGresult *result, struct sandbox_files *files, struct error *err)
{
    int count = PQntuples(result);

    if (count == 0)
        return 0;
    files->items = calloc((size_t)count, sizeof(*files->items));
    if (!files->items)
        return error_set_errno(err, ENOMEM, "cannot read the sandbox's files");
    for (int i = 0; i < count; i++) {
        files->count++;
        if (read_file_row(result, i, &files->items[i], err) < 0)
            return -1;
    }
    return 0;
}

static int read_definition(PGresult *const *results, struct sandbox_definition *definition,
                           struct error *err)
{
    const PGresult *row = results[0];

    definition->timeout_ms = (uint32_t)db_get_int(row, 0, BEGIN_TIMEOUT_MS);
    definition->memory_limit_mb = (uint32_t)db_get_int(row, 0, BEGIN_MEMORY_LIMIT_MB);
    if (db_copy(row, 0, BEGIN_RUNTIME, &definition->runtime, NULL, err) < 0 ||
        db_copy(row, 0, BEGIN_CODE, &definition->code, &definition->code_size, err) < 0 ||
        db_copy(row, 0, BEGIN_ENTRY_POINT, &definition->entry_point, NULL, err) < 0 ||
        db_copy(row, 0, BEGIN_ENV, &definition->env_json, NULL, err) < 0 ||
        db_copy(row, 0, BEGIN_POLICY, &definition->policy_json, NULL, err) < 0)
        return -1;
    return read_files(results[1], &definition->files, err);
}

int store_run_begin(struct db_pool *pool, const struct db_scope *scope, const struct store_run *run,
                    const struct store_origin *origin, uint32_t *ret_generation,
                    struct sandbox_definition *ret_definition, struct error *err)
{
    const struct admission_need need = {
        .cpu_milli = run->cpu_milli, .processes = run->pids_max, .creates = 1};
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(&run->sandbox),
                                      db_uuid(&run->id),       db_text(run->node_id),
                                      db_uuid(&run->boot_id),  db_int8((int64_t)run->deadline_ms),
                                      db_text(origin->actor),  db_text(origin->request_id),
                                      db_int8(run->cpu_milli), db_int8(run->pids_max)};
    struct admission_params admission;
    const struct db_call calls[] = {
        admission_start(&admission, &scope->tenant, &run->sandbox, &need),
        DB_CALL(begin_statement, params),
        {&files_statement, params, 2}};
    _cleanup_(sandbox_definition_free) struct sandbox_definition definition = {.runtime = NULL};
    PGresult *results[3] = {NULL};
    int status = 0;

    /* A key must outlive a crash of PostgreSQL from here on: a retry would run it beside this one.
     */
    if (db_run(pool, scope, scope->claim ? DB_DURABLE : DB_RELAXED, calls, 3, results, err) < 0) {
        admission_note(pool, &scope->tenant, NULL, &run->sandbox, origin, err);
        return -1;
    }
    if (PQntuples(results[1]) == 0)
        status = refuse_missing("sandbox", err);
    else
        status = read_definition(results + 1, &definition, err);
    if (status == 0) {
        *ret_generation = (uint32_t)db_get_int(results[1], 0, BEGIN_GENERATION);
        *ret_definition = definition;
        memset(&definition, 0, sizeof(definition));
    }
    db_results_clear(results, 3);
    return status;
}

static void fill_outcome(struct db_param *params, const struct db_scope *scope,
                         const struct store_run_end *end, const struct store_origin *origin)
{
    const struct db_param outcome[OUTCOME_PARAMS] = {
        db_uuid(&scope->tenant),          db_uuid(&end->id),
        db_uuid(&end->sandbox),           db_text(process_state_name(end->state)),
        db_known(end->exit_code),         db_known(end->signal > 0 ? end->signal : -1),
        db_bool(end->timed_out),          db_bool(end->oom_killed),
        db_bool(end->truncated),          db_known(end->cpu_usec),
        db_known(end->memory_peak_bytes), db_known(end->wall_usec),
        db_text(origin->request_id)};

    memcpy(params, outcome, sizeof(outcome));
}

static int end_live(struct db_pool *pool, const struct db_scope *scope,
                    const struct store_run_end *end, const struct store_origin *origin,
                    bool *ret_ended, struct error *err)
{
    struct db_param params[OUTCOME_PARAMS + 1];
    const struct db_call call = DB_CALL(end_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    fill_outcome(params, scope, end, origin);
    params[OUTCOME_PARAMS] = db_text(origin->actor);
    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    *ret_ended = PQntuples(result) == 1;
    return 0;
}

static int end_late(struct db_pool *pool, const struct db_scope *scope,
                    const struct store_run_end *end, const struct store_origin *origin,
                    struct error *err)
{
    struct db_param params[OUTCOME_PARAMS + 3];
    const struct db_call call = DB_CALL(end_late_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    fill_outcome(params, scope, end, origin);
    params[OUTCOME_PARAMS] = db_int8(end->generation);
    params[OUTCOME_PARAMS + 1] = db_text(end->node_id);
    params[OUTCOME_PARAMS + 2] = db_uuid(&end->boot_id);
    return db_run(pool, scope, DB_DURABLE, &call, 1, &result, err);
}

int store_run_end(struct db_pool *pool, const struct db_scope *scope,
                  const struct store_run_end *end, const struct store_origin *origin,
                  struct error *err)
{
    bool ended;

    if (end_live(pool, scope, end, origin, &ended, err) < 0)
        return -1;
    return ended || end->in_doubt ? 0 : end_late(pool, scope, end, origin, err);
}

int store_node_register(struct db_pool *pool, const char *node_id, const struct id *boot_id,
                        struct error *err)
{
    const struct db_param params[] = {db_text(node_id), db_uuid(boot_id)};
    const struct db_call call = DB_CALL(register_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err);
}
