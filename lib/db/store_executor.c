#include "lib/db/store_executor.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <string.h>

static const struct db_statement key_statement = {"executor_key", "SELECT key FROM executor_key"};

static const struct db_statement find_statement = {
    "executor_find",
    "SELECT tenant_id, project_id, is_active, chosen_hash FROM executor_find($1::uuid)"};

enum found_column { FOUND_TENANT, FOUND_PROJECT, FOUND_IS_ACTIVE, FOUND_CHOSEN_HASH };

static int copy_bytes(const PGresult *result, int column, size_t size, void *target,
                      struct error *err)
{
    if ((size_t)PQgetlength(result, 0, column) != size)
        return error_set(err, ERR_INTERNAL, "a key or hash of the database has a wrong size");
    memcpy(target, PQgetvalue(result, 0, column), size);
    return 0;
}

int store_executor_key(struct db_pool *pool, unsigned char ret_key[static STORE_EXECUTOR_KEY_SIZE],
                       struct error *err)
{
    const struct db_call call = {&key_statement, NULL, 0};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_READ, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) != 1)
        return error_set(err, ERR_INTERNAL, "the database has no key for secrets of sandboxes");
    return copy_bytes(result, 0, STORE_EXECUTOR_KEY_SIZE, ret_key, err);
}

int store_executor_find(struct db_pool *pool, const struct id *sandbox,
                        struct store_executor *ret_executor, struct error *err)
{
    const struct db_param params[] = {db_uuid(sandbox)};
    const struct db_call call = DB_CALL(find_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;
    struct store_executor executor;

    if (db_run(pool, NULL, DB_READ, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("sandbox", err);
    executor = (struct store_executor){
        .tenant = db_get_uuid(result, 0, FOUND_TENANT),
        .project = db_get_uuid(result, 0, FOUND_PROJECT),
        .is_active = db_get_bool(result, 0, FOUND_IS_ACTIVE),
        .has_chosen = !PQgetisnull(result, 0, FOUND_CHOSEN_HASH),
    };
    if (executor.has_chosen && copy_bytes(result, FOUND_CHOSEN_HASH, STORE_EXECUTOR_HASH_SIZE,
                                          executor.chosen_hash, err) < 0)
        return -1;
    *ret_executor = executor;
    return 0;
}
