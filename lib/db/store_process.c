#include "lib/db/store_process.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>
#include <string.h>

static const char *const kinds[] = {
#define KIND_WORD(symbol, word) [symbol] = (word),
    STORE_PROCESS_KINDS(KIND_WORD)
#undef KIND_WORD
};

/* Of a caller: $1 the tenant, $2 the container. */
#define OWN_CONTAINER                                                                              \
    "tenant_id = $1::uuid AND id = $2::uuid AND kind = 'container' AND state <> 'deleted'"

/* Milliseconds from now; 0: none. */
#define DEADLINE(param)                                                                            \
    "coalesce(now() + nullif(" param "::bigint, 0) * interval '1 millisecond', 'infinity')"

#define SECOND_PASSED "last_active_at < now() - interval '1 second'"

static const struct db_statement begin_statement = {
    "process_begin",
    "WITH place AS (SELECT id, project_id, generation, state, env, command_timeout_ms"
    " FROM sandboxes WHERE " OWN_CONTAINER "),"
    " policy AS (SELECT version, command_policy::text AS rules FROM projects"
    " WHERE tenant_id = $1::uuid AND id = (SELECT project_id FROM place)"
    " AND command_policy->>'mode' <> 'off' AND $12::bigint <> version),"
    " begun AS (INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id,"
    " state, deadline_at, request_id, kind, command, tag, has_terminal, has_input)"
    " SELECT $3::uuid, $1::uuid, id, generation, $4::text, $5::uuid, 'running', " DEADLINE(
        "$14") ","
               " $6::text, $7::text, $8::text::jsonb, $9::text, $10::boolean, $11::boolean"
               " FROM place WHERE state = 'running' AND NOT EXISTS (SELECT FROM policy)"
               " RETURNING started_at),"
               " told AS (INSERT INTO events (tenant_id, project_id, sandbox_id, kind, to_state, "
               "actor,"
               " request_id, detail) SELECT $1::uuid, project_id, id, 'process.started', 'running',"
               " $13::text, $6::text, atoll_process_detail($3::uuid, $9::text) FROM place, begun"
               " WHERE $7::text = 'process'),"
               " used AS (UPDATE sandboxes SET last_active_at = now() WHERE " OWN_CONTAINER
               " AND state = 'running' AND " SECOND_PASSED ")"
               " SELECT state, generation, env::text, command_timeout_ms, begun.started_at, "
               "policy.rules,"
               " policy.version FROM place LEFT JOIN begun ON true LEFT JOIN policy ON true"};

/* No lock: a stop may come between this and the command, as it may come right behind a begin. */
static const struct db_statement look_statement = {
    "process_look",
    "SELECT s.state, s.generation, s.env::text, s.command_timeout_ms, now(),"
    " p.command_policy::text, p.version, NOT s." SECOND_PASSED " AND s.idle_timeout_s >= $3::bigint"
    " FROM (SELECT * FROM sandboxes WHERE " OWN_CONTAINER ") s"
    " LEFT JOIN projects p ON p.tenant_id = $1::uuid AND p.id = s.project_id"
    " AND p.command_policy->>'mode' <> 'off'"};

enum begin_column {
    BEGIN_STATE,
    BEGIN_GENERATION,
    BEGIN_ENV,
    BEGIN_TIMEOUT_MS,
    BEGIN_STARTED_AT,
    BEGIN_POLICY,
    BEGIN_POLICY_VERSION,
    LOOK_FRESH, /* of a look alone */
};

/* Below this idle timeout each exec is begun, so that its container is used. */
enum { FRESH_IDLE_S = 5 };

/*
 * An exec's end is a use of its container; a detached process ends whenever it does. When that was,
 * its sandbox says: what is not in the past, or no time at all, is now.
 */
static const struct db_statement end_statement = {
    "process_end",
    "WITH ended AS (UPDATE processes SET state = $3::text, exit_code = $4::bigint,"
    " signal = $5::bigint, timed_out = $6::boolean, truncated = $7::boolean,"
    " ended_at = CASE WHEN $8::bigint < extract(epoch FROM now()) * 1000000"
    " THEN 'epoch'::timestamptz + $8::bigint * interval '1 microsecond' ELSE now() END,"
    " cpu_usec = $9::bigint, memory_peak_bytes = $10::bigint, wall_usec = $11::bigint"
    " WHERE ($1::uuid IS NULL OR tenant_id = $1::uuid) AND id = $2::uuid AND kind IS NOT NULL"
    " AND ($12::uuid IS NULL OR sandbox_id = $12::uuid)"
    " AND (state = 'running' OR (state = 'lost' AND $3::text <> 'lost'))"
    " RETURNING sandbox_id, kind),"
    " used AS (UPDATE sandboxes s SET last_active_at = now() FROM ended"
    " WHERE s.id = ended.sandbox_id AND ended.kind = 'exec' AND s.is_up"
    " AND s." SECOND_PASSED ")"
    " SELECT FROM processes WHERE id = $2::uuid"};

static const struct db_statement write_statement = {
    "process_write",
    "INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id, deadline_at,"
    " request_id, kind, command, tag, has_terminal, has_input, started_at, state, exit_code,"
    " signal, timed_out, truncated, ended_at, cpu_usec, memory_peak_bytes, wall_usec)"
    " VALUES ($1::uuid, $2::uuid, $3::uuid, $4::bigint, $5::text, $6::uuid, " DEADLINE(
        "$19") ", $7::text,"
               " 'exec', $8::text::jsonb, $9::text, false, false,"
               " 'epoch'::timestamptz + $10::bigint * interval '1 microsecond', $11::text, "
               "$12::bigint,"
               " $13::bigint, $14::boolean, $15::boolean, CASE WHEN $11::text <> 'running' THEN "
               "now() END,"
               " $16::bigint, $17::bigint, $18::bigint) ON CONFLICT (id) DO NOTHING"};

#define PROCESS_COLUMNS                                                                            \
    "p.id, p.sandbox_id, p.generation, p.kind, p.state, p.command::text, p.tag, p.has_terminal,"   \
    " p.has_input, p.exit_code, p.signal, p.timed_out, p.truncated, p.started_at, p.ended_at,"     \
    " p.cpu_usec, p.memory_peak_bytes, p.wall_usec,"                                               \
    " s.state = 'running' AND s.generation = p.generation"

enum process_column {
    COLUMN_ID,
    COLUMN_SANDBOX,
    COLUMN_GENERATION,
    COLUMN_KIND,
    COLUMN_STATE,
    COLUMN_COMMAND,
    COLUMN_TAG,
    COLUMN_TERMINAL,
    COLUMN_INPUT,
    COLUMN_EXIT_CODE,
    COLUMN_SIGNAL,
    COLUMN_TIMED_OUT,
    COLUMN_TRUNCATED,
    COLUMN_STARTED_AT,
    COLUMN_ENDED_AT,
    COLUMN_CPU,
    COLUMN_MEMORY,
    COLUMN_WALL,
    COLUMN_REACHABLE,
};

/* The policy of sandboxes, which knows the caller's project, decides about their processes too. */
#define OWN_PROCESSES                                                                              \
    " FROM processes p JOIN sandboxes s ON s.id = p.sandbox_id AND s.tenant_id = p.tenant_id"      \
    " WHERE p.tenant_id = $1::uuid AND p.sandbox_id = $2::uuid AND p.kind IS NOT NULL"             \
    " AND s.kind = 'container' AND s.state <> 'deleted'"

static const struct db_statement get_statement = {
    "process_get", "SELECT " PROCESS_COLUMNS OWN_PROCESSES " AND p.id = $3::uuid"};

/* The main command has no row of its own: it is what its container says of it. */
static const struct db_statement main_statement = {
    "process_main",
    "SELECT id, id, generation, 'process', CASE WHEN is_up THEN 'running'"
    " WHEN exit_signal IS NOT NULL THEN 'killed' WHEN exit_code IS NULL THEN 'lost'"
    " WHEN exit_code = 0 THEN 'completed' ELSE 'failed' END,"
    " (coalesce(entrypoint, '[]') || coalesce(command, '[]'))::text, NULL, false, false, exit_code,"
    " exit_signal, false, false, started_at, CASE WHEN NOT is_up THEN state_changed_at END,"
    " NULL, NULL, NULL, state = 'running' FROM sandboxes"
    " WHERE " OWN_CONTAINER " AND (entrypoint IS NOT NULL OR command IS NOT NULL)"};

static const struct db_statement place_statement = {
    "process_place", "SELECT id FROM sandboxes WHERE " OWN_CONTAINER};

static const struct db_statement list_statement = {
    "process_list", "SELECT " PROCESS_COLUMNS OWN_PROCESSES " AND p.id < $3::uuid"
                    " AND ($4::text IS NULL OR p.tag = $4::text)"
                    " ORDER BY p.id DESC LIMIT $5::bigint"};

static const struct db_statement use_statement = {
    "process_use", "UPDATE sandboxes SET last_active_at = now() WHERE " OWN_CONTAINER
                   " AND is_up AND " SECOND_PASSED};

static const struct db_statement touch_statement = {
    "process_touch",
    "UPDATE sandboxes SET last_active_at = now() WHERE tenant_id = $1::uuid"
    " AND id = ANY($2::uuid[]) AND kind = 'container' AND is_up AND " SECOND_PASSED};

void store_process_free(struct store_process *process)
{
    PQclear(process->owner);
    memset(process, 0, sizeof(*process));
}

void store_process_list_free(struct store_process_list *list)
{
    free(list->items);
    PQclear(list->owner);
    memset(list, 0, sizeof(*list));
}

void store_process_place_free(struct store_process_place *place)
{
    PQclear(place->owner);
    memset(place, 0, sizeof(*place));
}

static int take_place(PGresult **result, struct store_process_place *ret_place, struct error *err)
{
    if (PQntuples(*result) == 0)
        return refuse_missing("sandbox", err);
    if (strcmp(db_get_text(*result, 0, BEGIN_STATE), "running") != 0)
        return error_set(err, ERR_CONFLICT, "the sandbox is %s: nothing can be run in it",
                         db_get_text(*result, 0, BEGIN_STATE));
    *ret_place = (struct store_process_place){
        .generation = (uint32_t)db_get_int(*result, 0, BEGIN_GENERATION),
        .started_usec = db_get_time(*result, 0, BEGIN_STARTED_AT),
        .command_timeout_ms = (uint32_t)db_get_int(*result, 0, BEGIN_TIMEOUT_MS),
        .env_json = db_get_text(*result, 0, BEGIN_ENV),
        .policy_json = db_get_text(*result, 0, BEGIN_POLICY),
        .policy_version = db_get_int(*result, 0, BEGIN_POLICY_VERSION),
        .owner = *result,
    };
    *result = NULL;
    return 0;
}

int store_process_begin(struct db_pool *pool, const struct db_scope *scope,
                        const struct store_process_new *process, const struct store_origin *origin,
                        struct store_process_place *ret_place, struct error *err)
{
    const struct db_param params[] = {
        db_uuid(&scope->tenant),       db_uuid(&process->sandbox),
        db_uuid(&process->id),         db_text(process->node_id),
        db_uuid(&process->boot_id),    db_text(origin->request_id),
        db_text(kinds[process->kind]), db_text(process->command_json),
        db_text(process->tag),         db_bool(process->has_terminal),
        db_bool(process->has_input),   db_int8(process->policy_version),
        db_text(origin->actor),        db_int8((int64_t)process->deadline_ms)};
    const struct db_call call = DB_CALL(begin_statement, params);
    bool durable = scope->claim || process->kind == STORE_PROCESS_DETACHED;
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, durable ? DB_DURABLE : DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return take_place(&result, ret_place, err);
}

int store_process_look(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                       struct store_process_place *ret_place, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(sandbox),
                                      db_int8(FRESH_IDLE_S)};
    const struct db_call call = DB_CALL(look_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;
    bool is_fresh;

    if (db_run(pool, scope, DB_LOOKUP, &call, 1, &result, err) < 0)
        return -1;
    is_fresh = PQntuples(result) > 0 && db_get_bool(result, 0, LOOK_FRESH);
    if (take_place(&result, ret_place, err) < 0)
        return -1;
    ret_place->is_fresh = is_fresh;
    return 0;
}

int store_process_end(struct db_pool *pool, const struct db_scope *scope,
                      const struct process_end *end, bool *ret_found, struct error *err)
{
    const struct db_param params[] = {db_uuid(scope ? &scope->tenant : NULL),
                                      db_uuid(&end->id),
                                      db_text(process_state_name(end->state)),
                                      db_known(end->exit_code),
                                      db_known(end->signal > 0 ? end->signal : -1),
                                      db_bool(end->timed_out),
                                      db_bool(end->truncated),
                                      db_known(end->ended_usec > 0 ? end->ended_usec : -1),
                                      db_known(end->cpu_usec),
                                      db_known(end->memory_peak_bytes),
                                      db_known(end->wall_usec),
                                      db_uuid(end->sandbox)};
    const struct db_call call = DB_CALL(end_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    *ret_found = PQntuples(result) == 1;
    return 0;
}

void store_process_take_end(struct store_process *process, const struct process_end *end)
{
    process->state = end->state;
    process->exit_code = end->exit_code;
    process->signal = end->signal;
    process->timed_out = end->timed_out;
    process->truncated = end->truncated;
    process->ended_usec = end->ended_usec;
    process->cpu_usec = end->cpu_usec;
    process->memory_peak_bytes = end->memory_peak_bytes;
    process->wall_usec = end->wall_usec;
}

int store_process_write(struct db_pool *pool, const struct db_scope *scope,
                        const struct store_process_new *process,
                        const struct store_process_place *place, const struct process_end *end,
                        const struct store_origin *origin, struct error *err)
{
    const struct process_end none = process_end_unknown(&process->id, PROCESS_RUNNING);
    const struct process_end *how = end ? end : &none;
    const struct db_param params[] = {db_uuid(&process->id),
                                      db_uuid(&scope->tenant),
                                      db_uuid(&process->sandbox),
                                      db_int8(place->generation),
                                      db_text(process->node_id),
                                      db_uuid(&process->boot_id),
                                      db_text(origin->request_id),
                                      db_text(process->command_json),
                                      db_text(process->tag),
                                      db_int8(place->started_usec),
                                      db_text(process_state_name(how->state)),
                                      db_known(how->exit_code),
                                      db_known(how->signal > 0 ? how->signal : -1),
                                      db_bool(how->timed_out),
                                      db_bool(how->truncated),
                                      db_known(how->cpu_usec),
                                      db_known(how->memory_peak_bytes),
                                      db_known(how->wall_usec),
                                      db_int8((int64_t)process->deadline_ms)};
    const struct db_param use_params[] = {db_uuid(&scope->tenant), db_uuid(&process->sandbox)};
    const struct db_call calls[] = {DB_CALL(write_statement, params),
                                    DB_CALL(use_statement, use_params)};
    PGresult *results[2] = {NULL};
    int status =
        db_run(pool, scope, end ? DB_DURABLE : DB_RELAXED, calls, end ? 1 : 2, results, err);

    db_results_clear(results, 2);
    return status;
}

static int64_t read_counter(const PGresult *result, int row, enum process_column column)
{
    return PQgetisnull(result, row, (int)column) ? -1 : db_get_int(result, row, (int)column);
}

static int read_process(const PGresult *result, int row, struct store_process *process,
                        struct error *err)
{
    *process = (struct store_process){
        .id = db_get_uuid(result, row, COLUMN_ID),
        .sandbox = db_get_uuid(result, row, COLUMN_SANDBOX),
        .generation = (uint32_t)db_get_int(result, row, COLUMN_GENERATION),
        .command_json = db_get_text(result, row, COLUMN_COMMAND),
        .tag = db_get_text(result, row, COLUMN_TAG),
        .has_terminal = db_get_bool(result, row, COLUMN_TERMINAL),
        .has_input = db_get_bool(result, row, COLUMN_INPUT),
        .exit_code = (int)read_counter(result, row, COLUMN_EXIT_CODE),
        .signal = (int)db_get_int(result, row, COLUMN_SIGNAL),
        .timed_out = db_get_bool(result, row, COLUMN_TIMED_OUT),
        .truncated = db_get_bool(result, row, COLUMN_TRUNCATED),
        .started_usec = db_get_time(result, row, COLUMN_STARTED_AT),
        .ended_usec = db_get_time(result, row, COLUMN_ENDED_AT),
        .cpu_usec = read_counter(result, row, COLUMN_CPU),
        .memory_peak_bytes = read_counter(result, row, COLUMN_MEMORY),
        .wall_usec = read_counter(result, row, COLUMN_WALL),
        .is_reachable = db_get_bool(result, row, COLUMN_REACHABLE),
    };
    if (strcmp(db_get_text(result, row, COLUMN_KIND), kinds[STORE_PROCESS_DETACHED]) == 0)
        process->kind = STORE_PROCESS_DETACHED;
    if (!process_state_parse(db_get_text(result, row, COLUMN_STATE), &process->state))
        return error_set(err, ERR_INTERNAL, "the database has an unknown state");
    return 0;
}

static int get_process(struct db_pool *pool, const struct db_scope *scope,
                       const struct db_call *call, const char *missing,
                       struct store_process *ret_process, struct error *err)
{
    _cleanup_pg_result_ PGresult *result = NULL;
    struct store_process process;

    if (db_run(pool, scope, DB_RELAXED, call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing(missing, err);
    if (read_process(result, 0, &process, err) < 0)
        return -1;
    process.owner = TAKE_PTR(result);
    *ret_process = process;
    return 0;
}

int store_process_get(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                      const struct id *id, struct store_process *ret_process, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(sandbox), db_uuid(id)};
    const struct db_call call = DB_CALL(get_statement, params);

    return get_process(pool, scope, &call, "process", ret_process, err);
}

int store_process_main(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                       struct store_process *ret_process, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(sandbox)};
    const struct db_call call = DB_CALL(main_statement, params);

    return get_process(pool, scope, &call, "sandbox with a main command", ret_process, err);
}

static int take_list(PGresult **result, struct store_process_list *ret_list, struct error *err)
{
    size_t count = (size_t)PQntuples(*result);
    _cleanup_free_ struct store_process *items = calloc(count + 1, sizeof(*items));

    if (!items)
        return error_set_errno(err, ENOMEM, "cannot list processes");
    for (size_t i = 0; i < count; i++)
        if (read_process(*result, (int)i, &items[i], err) < 0)
            return -1;
    *ret_list = (struct store_process_list){
        .items = TAKE_PTR(items), .count = count, .owner = TAKE_PTR(*result)};
    return 0;
}

int store_process_list(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                       const struct store_process_filter *filter,
                       struct store_process_list *ret_list, struct error *err)
{
    static const struct id newest = {.bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(sandbox),
                                      db_uuid(filter->before ? filter->before : &newest),
                                      db_text(filter->tag), db_int8(filter->limit)};
    const struct db_call calls[] = {{&place_statement, params, 2}, DB_CALL(list_statement, params)};
    PGresult *results[2] = {NULL};
    int status;

    if (db_run(pool, scope, DB_RELAXED, calls, 2, results, err) < 0)
        return -1;
    status = PQntuples(results[0]) == 0 ? refuse_missing("sandbox", err)
                                        : take_list(&results[1], ret_list, err);
    db_results_clear(results, 2);
    return status;
}

int store_process_touch(struct db_pool *pool, const struct db_scope *scope,
                        const struct id *sandboxes, size_t count, struct error *err)
{
    struct db_param params[] = {db_uuid(&scope->tenant), db_null()};
    const struct db_call call = DB_CALL(touch_statement, params);
    _cleanup_db_array_ struct db_array ids;
    _cleanup_pg_result_ PGresult *result = NULL;

    db_array_begin(&ids, DB_UUID);
    for (size_t i = 0; i < count; i++)
        db_array_add(&ids, sandboxes[i].bytes, ID_BYTES);
    if (db_array_param(&ids, &params[1], err) < 0)
        return -1;
    return db_run(pool, scope, DB_RELAXED, &call, 1, &result, err);
}
