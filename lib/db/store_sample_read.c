#include "lib/db/store_sample_read.h"

#include "lib/db/transaction.h"

static const struct db_statement past_statement = {
    "sample_past", "SELECT coalesce(cpu_usec, -1),"
                   " (extract(epoch FROM now() - at) * 1000000)::bigint FROM samples"
                   " WHERE tenant_id = $1::uuid AND sandbox_id = $2::uuid"
                   " AND generation = $3::bigint AND at <= now() - interval '1 second'"
                   " AND at > now() - interval '1 minute' ORDER BY at DESC LIMIT 1"};

int store_sample_past(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                      uint32_t generation, struct store_sample_past *ret_past, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(sandbox),
                                      db_int8(generation)};
    const struct db_call call = DB_CALL(past_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_READ, &call, 1, &result, err) < 0)
        return -1;
    *ret_past = (struct store_sample_past){.cpu_usec = -1};
    if (PQntuples(result) == 1)
        *ret_past = (struct store_sample_past){.cpu_usec = db_get_int(result, 0, 0),
                                               .age_usec = db_get_int(result, 0, 1)};
    return 0;
}
