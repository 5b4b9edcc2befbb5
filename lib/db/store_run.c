#include "lib/db/store_run.h"

#include "lib/db/transaction.h"

#include <errno.h>
#include <string.h>

/* The first active run is what took the sandbox out of stopped. */
static const struct db_statement begin_statement = {
    "run_begin",
    "WITH moved AS (UPDATE sandboxes SET state = 'running', generation = generation + 1,"
    " active_runs = active_runs + 1, last_active_at = now(), node_id = $4::text"
    " WHERE tenant_id = $1::uuid AND id = $2::uuid AND state IN ('stopped', 'running')"
    " RETURNING id, generation, active_runs, runtime, code, entry_point, env, timeout_ms,"
    " memory_limit_mb),"
    " begun AS (INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id,"
    " state, deadline_at, request_id)"
    " SELECT $3::uuid, $1::uuid, id, generation, $4::text, $5::uuid, 'running',"
    " now() + $6::bigint * interval '1 millisecond', $8::text FROM moved),"
    " noted AS (INSERT INTO events"
    " (tenant_id, sandbox_id, kind, from_state, to_state, actor, request_id)"
    " SELECT $1::uuid, id, 'sandbox.running', 'stopped', 'running', $7::text, $8::text"
    " FROM moved WHERE active_runs = 1)"
    " SELECT generation, runtime, code, entry_point, env::text, timeout_ms, memory_limit_mb"
    " FROM moved"};

enum begin_column {
    BEGIN_GENERATION,
    BEGIN_RUNTIME,
    BEGIN_CODE,
    BEGIN_ENTRY_POINT,
    BEGIN_ENV,
    BEGIN_TIMEOUT_MS,
    BEGIN_MEMORY_LIMIT_MB,
};

static const struct db_statement files_statement = {
    "run_files", "SELECT path, content, executable FROM sandbox_files"
                 " WHERE tenant_id = $1::uuid AND sandbox_id = $2::uuid ORDER BY path"};

/*
 * `old` decides what is still to do: the row runs (release the sandbox), it was given up as lost
 * (the truth replaces that), it is not there (PostgreSQL forgot it), or its end is recorded.
 */
static const struct db_statement end_statement = {
    "run_end",
    "WITH old AS (SELECT id, state FROM processes WHERE tenant_id = $1::uuid AND id = $2::uuid"
    " FOR UPDATE),"
    " ended AS (UPDATE processes p SET state = $7::text, exit_code = $8::bigint,"
    " signal = $9::bigint, timed_out = $10::boolean, oom_killed = $11::boolean,"
    " truncated = $12::boolean, ended_at = now(), cpu_usec = $13::bigint,"
    " memory_peak_bytes = $14::bigint, wall_usec = $15::bigint"
    " FROM old WHERE p.id = $2::uuid AND old.state IN ('running', 'lost')"
    " RETURNING (old.state = 'running')::integer AS runs),"
    " made AS (INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id,"
    " state, exit_code, signal, timed_out, oom_killed, truncated, started_at, deadline_at,"
    " ended_at, cpu_usec, memory_peak_bytes, wall_usec, request_id)"
    " SELECT $2::uuid, $1::uuid, $3::uuid, $4::bigint, $5::text, $6::uuid, $7::text,"
    " $8::bigint, $9::bigint, $10::boolean, $11::boolean, $12::boolean,"
    " now() - coalesce($15::bigint, 0) * interval '1 microsecond', now(), now(), $13::bigint,"
    " $14::bigint, $15::bigint, $17::text WHERE NOT EXISTS (SELECT FROM old) RETURNING 0 AS runs),"
    " released AS (UPDATE sandboxes s SET active_runs = greatest(s.active_runs - c.runs, 0),"
    " state = CASE WHEN s.state = 'running' AND s.active_runs = c.runs THEN 'stopped'"
    " ELSE s.state END, generation = greatest(s.generation, $4::bigint), last_active_at = now(),"
    " last_run_state = $7::text"
    " FROM (SELECT runs FROM ended UNION ALL SELECT runs FROM made) c"
    " WHERE s.tenant_id = $1::uuid AND s.id = $3::uuid"
    " RETURNING s.id, s.state, s.active_runs, c.runs)"
    " INSERT INTO events (tenant_id, sandbox_id, kind, from_state, to_state, actor, request_id)"
    " SELECT $1::uuid, id, 'sandbox.stopped', 'running', 'stopped', $16::text, $17::text"
    " FROM released WHERE runs = 1 AND active_runs = 0 AND state = 'stopped'"};

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
        db_copy(row, 0, BEGIN_ENV, &definition->env_json, NULL, err) < 0)
        return -1;
    return read_files(results[1], &definition->files, err);
}

int store_run_begin(struct db_pool *pool, const struct id *tenant, const struct store_run *run,
                    const struct store_origin *origin, uint32_t *ret_generation,
                    struct sandbox_definition *ret_definition, struct error *err)
{
    const struct db_param params[] = {db_uuid(tenant),        db_uuid(&run->sandbox),
                                      db_uuid(&run->id),      db_text(run->node_id),
                                      db_uuid(&run->boot_id), db_int8((int64_t)run->deadline_ms),
                                      db_text(origin->actor), db_text(origin->request_id)};
    const struct db_call calls[] = {DB_CALL(begin_statement, params),
                                    {&files_statement, params, 2}};
    _cleanup_(sandbox_definition_free) struct sandbox_definition definition = {.runtime = NULL};
    PGresult *results[2] = {NULL};
    int status = 0;

    if (db_run(pool, tenant, DB_RELAXED, calls, 2, results, err) < 0)
        return -1;
    if (PQntuples(results[0]) == 0)
        status = error_set(err, ERR_NOT_FOUND, "there is no such sandbox");
    else
        status = read_definition(results, &definition, err);
    if (status == 0) {
        *ret_generation = (uint32_t)db_get_int(results[0], 0, BEGIN_GENERATION);
        *ret_definition = definition;
        memset(&definition, 0, sizeof(definition));
    }
    db_results_clear(results, 2);
    return status;
}

/* SQL NULL for what is not known. */
static struct db_param counter(int64_t value)
{
    return value < 0 ? db_null() : db_int8(value);
}

int store_run_end(struct db_pool *pool, const struct id *tenant, const struct store_run_end *end,
                  const struct store_origin *origin, struct error *err)
{
    const struct db_param params[] = {db_uuid(tenant),
                                      db_uuid(&end->id),
                                      db_uuid(&end->sandbox),
                                      db_int8(end->generation),
                                      db_text(end->node_id),
                                      db_uuid(&end->boot_id),
                                      db_text(process_state_name(end->state)),
                                      counter(end->exit_code),
                                      end->signal > 0 ? db_int8(end->signal) : db_null(),
                                      db_bool(end->timed_out),
                                      db_bool(end->oom_killed),
                                      db_bool(end->truncated),
                                      counter(end->cpu_usec),
                                      counter(end->memory_peak_bytes),
                                      counter(end->wall_usec),
                                      db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(end_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, tenant, DB_DURABLE, &call, 1, &result, err);
}

int store_node_register(struct db_pool *pool, const char *node_id, const struct id *boot_id,
                        struct error *err)
{
    const struct db_param params[] = {db_text(node_id), db_uuid(boot_id)};
    const struct db_call call = DB_CALL(register_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err);
}
