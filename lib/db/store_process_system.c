#include "lib/db/store_process_system.h"

#include "lib/db/transaction.h"

#include <errno.h>

static const struct db_statement open_statement = {
    "processes_open", "SELECT p.id, p.sandbox_id, p.generation,"
                      " coalesce(s.is_up AND s.generation = p.generation, false),"
                      " p.started_at < now() - interval '30 seconds'"
                      " FROM processes p LEFT JOIN sandboxes s ON s.id = p.sandbox_id"
                      " WHERE p.node_id = $1::text AND p.kind = 'process' AND p.ended_at IS NULL"
                      " ORDER BY p.sandbox_id, p.generation, p.id"};

static const struct db_statement lose_execs_statement = {
    "process_lose_execs",
    "WITH lost AS (UPDATE processes p SET state = 'lost', ended_at = now() FROM nodes n"
    " WHERE p.node_id = $1::text AND n.id = p.node_id"
    " AND (n.boot_id <> p.boot_id OR p.deadline_at + interval '60 seconds' < now())"
    " AND p.kind = 'exec' AND p.ended_at IS NULL RETURNING p.id)"
    " SELECT count(*) FROM lost"};

int store_processes_open(struct db_pool *pool, const char *node,
                         struct store_process_open **ret_processes, size_t *ret_count,
                         struct error *err)
{
    const struct db_param params[] = {db_text(node)};
    const struct db_call call = DB_CALL(open_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;
    struct store_process_open *processes = NULL;
    size_t count;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    count = (size_t)PQntuples(result);
    if (count > 0) {
        processes = calloc(count, sizeof(*processes));
        if (!processes)
            return error_set_errno(err, ENOMEM, "cannot list processes");
    }
    for (size_t i = 0; i < count; i++)
        processes[i] = (struct store_process_open){
            .id = db_get_uuid(result, (int)i, 0),
            .sandbox = db_get_uuid(result, (int)i, 1),
            .generation = (uint32_t)db_get_int(result, (int)i, 2),
            .is_up = db_get_bool(result, (int)i, 3),
            .is_settled = db_get_bool(result, (int)i, 4),
        };
    *ret_processes = processes;
    *ret_count = count;
    return 0;
}

int store_process_lose_execs(struct db_pool *pool, const char *node, uint64_t *ret_count,
                             struct error *err)
{
    const struct db_param params[] = {db_text(node)};
    const struct db_call call = DB_CALL(lose_execs_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    *ret_count = (uint64_t)db_get_int(result, 0, 0);
    return 0;
}
