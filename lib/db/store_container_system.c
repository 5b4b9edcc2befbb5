#include "lib/db/store_container_system.h"

#include "lib/db/container_row.h"
#include "lib/db/transaction.h"

#include <errno.h>

#define PLACE_COLUMNS                                                                              \
    "id, tenant_id, generation, state, entrypoint IS NOT NULL OR command IS NOT NULL,"             \
    " extract(epoch FROM now() - state_changed_at)::bigint"

enum place_column {
    COLUMN_ID,
    COLUMN_TENANT,
    COLUMN_GENERATION,
    COLUMN_STATE,
    COLUMN_HAS_COMMAND,
    COLUMN_IN_STATE,
};

static const struct db_statement up_statement = {
    "containers_up",
    "SELECT " PLACE_COLUMNS " FROM sandboxes WHERE is_up AND node_id = $1::text ORDER BY id"};

/* A stop that is under way is somebody's, also when he takes long. */
static const struct db_statement stop_idle_statement = {
    "containers_stop_idle",
    "WITH due AS (SELECT id FROM sandboxes s WHERE is_up AND node_id = $1::text"
    " AND state = 'running' AND active_runs = 0 AND state_reason IS DISTINCT FROM 'stop_requested'"
    " AND " CONTAINER_IDLE_ENDS " <= now()"
    " AND NOT EXISTS (SELECT FROM processes p WHERE p.sandbox_id = s.id AND p.kind = 'exec'"
    " AND p.ended_at IS NULL)"
    " ORDER BY id LIMIT $2::bigint FOR UPDATE SKIP LOCKED),"
    " moved AS (UPDATE sandboxes s SET state = 'stopped', state_reason = 'idle_timeout',"
    " state_changed_at = now() FROM due WHERE s.id = due.id RETURNING s.*),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, detail)"
    " SELECT tenant_id, project_id, id, 'sandbox.stopped', 'running', 'stopped', 'worker',"
    " jsonb_build_object('reason', state_reason, 'generation', generation) FROM moved)"
    " SELECT " PLACE_COLUMNS " FROM moved"};

static const struct db_statement is_in_statement = {
    "container_is_in", "SELECT FROM sandboxes WHERE id = $1::uuid AND generation = $2::bigint"
                       " AND state = $3::text"};

static const struct db_statement missing_statement = {
    "containers_missing",
    "SELECT disk.id FROM unnest($1::uuid[]) disk (id) WHERE NOT EXISTS (SELECT FROM sandboxes s"
    " WHERE s.id = disk.id AND s.kind = 'container' AND s.state <> 'deleted')"};

/* What is up has its logs. The generation that was the last ended when the state changed. */
static const struct db_statement forgotten_statement = {
    "generations_forgotten",
    "SELECT g.id, g.generation FROM unnest($1::uuid[], $2::bigint[]) g (id, generation)"
    " LEFT JOIN sandboxes s ON s.id = g.id AND s.kind = 'container' AND s.deleted_at IS NULL"
    " WHERE s.id IS NULL OR (NOT (s.is_up AND s.generation = g.generation)"
    " AND (s.generation <> g.generation"
    " OR s.state_changed_at < now() - $3::bigint * interval '1 second')"
    " AND NOT EXISTS (SELECT FROM processes p WHERE p.sandbox_id = g.id AND p.kind = 'process'"
    " AND p.generation = g.generation AND (p.ended_at IS NULL"
    " OR p.ended_at > now() - $3::bigint * interval '1 second')))"};

static int read_place(const PGresult *result, int row, struct store_container_place *place,
                      struct error *err)
{
    if (!sandbox_state_parse(db_get_text(result, row, COLUMN_STATE), &place->state))
        return error_set(err, ERR_INTERNAL, "the database has an unknown state");
    place->id = db_get_uuid(result, row, COLUMN_ID);
    place->tenant = db_get_uuid(result, row, COLUMN_TENANT);
    place->generation = (uint32_t)db_get_int(result, row, COLUMN_GENERATION);
    place->has_command = db_get_bool(result, row, COLUMN_HAS_COMMAND);
    place->in_state_s = (uint32_t)db_get_int(result, row, COLUMN_IN_STATE);
    return 0;
}

static int read_places(const PGresult *result, struct store_container_place **ret_places,
                       size_t *ret_count, struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    _cleanup_free_ struct store_container_place *places = NULL;

    if (count > 0) {
        places = calloc(count, sizeof(*places));
        if (!places)
            return error_set_errno(err, ENOMEM, "cannot list containers");
    }
    for (size_t i = 0; i < count; i++)
        if (read_place(result, (int)i, &places[i], err) < 0)
            return -1;
    *ret_places = TAKE_PTR(places);
    *ret_count = count;
    return 0;
}

int store_containers_up(struct db_pool *pool, const char *node,
                        struct store_container_place **ret_places, size_t *ret_count,
                        struct error *err)
{
    const struct db_param params[] = {db_text(node)};
    const struct db_call call = DB_CALL(up_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return read_places(result, ret_places, ret_count, err);
}

int store_containers_stop_idle(struct db_pool *pool, const char *node, uint32_t limit,
                               struct store_container_place **ret_places, size_t *ret_count,
                               struct error *err)
{
    const struct db_param params[] = {db_text(node), db_int8(limit)};
    const struct db_call call = DB_CALL(stop_idle_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    return read_places(result, ret_places, ret_count, err);
}

int store_container_is_in(struct db_pool *pool, const struct store_container_place *place,
                          bool *ret_is_in, struct error *err)
{
    const struct db_param params[] = {db_uuid(&place->id), db_int8(place->generation),
                                      db_text(sandbox_state_name(place->state))};
    const struct db_call call = DB_CALL(is_in_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    *ret_is_in = PQntuples(result) == 1;
    return 0;
}

int store_containers_missing(struct db_pool *pool, struct id *ids, size_t *count, struct error *err)
{
    _cleanup_db_array_ struct db_array array;
    struct db_param params[1];
    const struct db_call call = DB_CALL(missing_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    db_array_begin(&array, DB_UUID);
    for (size_t i = 0; i < *count; i++)
        db_array_add(&array, ids[i].bytes, ID_BYTES);
    if (db_array_param(&array, &params[0], err) < 0 ||
        db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    *count = (size_t)PQntuples(result);
    for (size_t i = 0; i < *count; i++)
        ids[i] = db_get_uuid(result, (int)i, 0);
    return 0;
}

int store_generations_forgotten(struct db_pool *pool, uint32_t retention_s,
                                struct store_generation *generations, size_t *count,
                                struct error *err)
{
    _cleanup_db_array_ struct db_array ids;
    _cleanup_db_array_ struct db_array numbers;
    struct db_param params[3];
    const struct db_call call = DB_CALL(forgotten_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    db_array_begin(&ids, DB_UUID);
    db_array_begin(&numbers, DB_INT8);
    for (size_t i = 0; i < *count; i++) {
        db_array_add(&ids, generations[i].id.bytes, ID_BYTES);
        db_array_add_int8(&numbers, generations[i].generation);
    }
    params[2] = db_int8(retention_s);
    if (db_array_param(&ids, &params[0], err) < 0 ||
        db_array_param(&numbers, &params[1], err) < 0 ||
        db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    *count = (size_t)PQntuples(result);
    for (size_t i = 0; i < *count; i++)
        generations[i] = (struct store_generation){
            .id = db_get_uuid(result, (int)i, 0),
            .generation = (uint32_t)db_get_int(result, (int)i, 1),
        };
    return 0;
}
