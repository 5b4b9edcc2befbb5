#include "lib/db/store_api_key.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KEY_COLUMNS                                                                                \
    "id, name, prefix, role, project_id, created_by, created_at, expires_at, last_used_at"

enum key_column {
    KEY_ID,
    KEY_NAME,
    KEY_PREFIX,
    KEY_ROLE,
    KEY_PROJECT,
    KEY_CREATED_BY,
    KEY_CREATED,
    KEY_EXPIRES,
    KEY_LAST_USED,
};

/* Row-level security shows a transaction that is bound to a project that one only. */
static const struct db_statement insert_statement = {
    "api_key_insert",
    "WITH made AS (INSERT INTO api_keys"
    " (id, tenant_id, project_id, name, prefix, secret_hash, role, created_by, expires_at)"
    " SELECT $2::uuid, $1::uuid, $3::uuid, $4::text, $5::text, $6::bytea, $7::text, $9::text,"
    " 'epoch'::timestamptz + $8::bigint * interval '1 microsecond'"
    " WHERE $3::uuid IS NULL OR EXISTS"
    " (SELECT FROM projects WHERE tenant_id = $1::uuid AND id = $3::uuid)"
    " RETURNING " KEY_COLUMNS "),"
    " noted AS (INSERT INTO events (tenant_id, project_id, kind, actor, request_id, detail)"
    " SELECT $1::uuid, project_id, 'admin.api_key_created', $9::text, $10::text,"
    " jsonb_build_object('id', replace(id::text, '-', ''), 'prefix', prefix, 'role', role)"
    " FROM made)"
    " SELECT * FROM made"};

static const struct db_statement get_statement = {
    "api_key_get", "SELECT " KEY_COLUMNS " FROM api_keys"
                   " WHERE tenant_id = $1::uuid AND id = $2::uuid AND revoked_at IS NULL"};

static const struct db_statement list_statement = {
    "api_key_list", "SELECT " KEY_COLUMNS " FROM api_keys"
                    " WHERE tenant_id = $1::uuid AND revoked_at IS NULL"
                    " AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
                    " ORDER BY id DESC LIMIT $3::bigint"};

static const struct db_statement revoke_statement = {
    "api_key_revoke",
    "WITH gone AS (UPDATE api_keys SET revoked_at = now()"
    " WHERE tenant_id = $1::uuid AND id = $2::uuid AND revoked_at IS NULL"
    " RETURNING id, project_id, prefix),"
    " noted AS (INSERT INTO events (tenant_id, project_id, kind, actor, request_id, detail)"
    " SELECT $1::uuid, project_id, 'admin.api_key_revoked', $3::text, $4::text,"
    " jsonb_build_object('id', replace(id::text, '-', ''), 'prefix', prefix) FROM gone)"
    " SELECT id FROM gone"};

static const struct db_statement find_statement = {
    "api_key_find", "SELECT id, tenant_id, project_id, role, secret_hash, expires_at, is_expired,"
                    " is_revoked FROM api_key_find($1::text)"};

enum found_column {
    FOUND_ID,
    FOUND_TENANT,
    FOUND_PROJECT,
    FOUND_ROLE,
    FOUND_HASH,
    FOUND_EXPIRES,
    FOUND_IS_EXPIRED,
    FOUND_IS_REVOKED,
};

static const struct db_statement tenant_statement = {
    "standing_tenant", "SELECT state = 'active' FROM tenants WHERE id = $1::uuid"};

static const struct db_statement key_statement = {
    "standing_key",
    "WITH used AS (UPDATE api_keys SET last_used_at = now()"
    " WHERE tenant_id = $1::uuid AND id = $2::uuid AND revoked_at IS NULL"
    " AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute'))"
    " SELECT FROM api_keys WHERE tenant_id = $1::uuid AND id = $2::uuid AND revoked_at IS NULL"
    " AND (expires_at IS NULL OR expires_at > now())"};

void store_api_key_done(struct store_api_key *key)
{
    free(key->name);
    free(key->created_by);
    *key = (struct store_api_key){.name = NULL};
}

void store_api_keys_free(struct store_api_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        store_api_key_done(&keys->items[i]);
    free(keys->items);
    *keys = (struct store_api_keys){.items = NULL};
}

/* The words of the column are those of roles. */
static enum role read_role(const PGresult *result, int row, int column)
{
    return role_of_scope(db_get_text(result, row, column));
}

static int read_key(const PGresult *result, int row, struct store_api_key *ret_key,
                    struct error *err)
{
    _cleanup_(store_api_key_done) struct store_api_key key = {
        .id = db_get_uuid(result, row, KEY_ID),
        .role = read_role(result, row, KEY_ROLE),
        .has_project = !PQgetisnull(result, row, KEY_PROJECT),
        .project = db_get_uuid(result, row, KEY_PROJECT),
        .created_usec = db_get_time(result, row, KEY_CREATED),
        .expires_usec = db_get_time(result, row, KEY_EXPIRES),
        .last_used_usec = db_get_time(result, row, KEY_LAST_USED),
    };

    (void)snprintf(key.prefix, sizeof(key.prefix), "%s", db_get_text(result, row, KEY_PREFIX));
    if (db_copy(result, row, KEY_NAME, &key.name, NULL, err) < 0 ||
        db_copy(result, row, KEY_CREATED_BY, &key.created_by, NULL, err) < 0)
        return -1;
    *ret_key = key;
    key = (struct store_api_key){.name = NULL};
    return 0;
}

int store_api_key_insert(struct db_pool *pool, const struct db_scope *scope,
                         const struct store_api_key_new *key, const struct store_origin *origin,
                         struct store_api_key *ret_key, struct error *err)
{
    const struct db_param params[] = {
        db_uuid(&scope->tenant),       db_uuid(&key->id),
        db_uuid(key->project),         db_text(key->name),
        db_text(key->prefix),          db_bytes(key->hash, STORE_KEY_HASH_SIZE),
        db_text(role_name(key->role)), key->expires_usec ? db_int8(key->expires_usec) : db_null(),
        db_text(origin->actor),        db_text(origin->request_id),
    };
    const struct db_call call = DB_CALL(insert_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return error_set_field(err, ERR_NOT_POSSIBLE, "project_id",
                               "'project_id' names no project");
    return read_key(result, 0, ret_key, err);
}

int store_api_key_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct store_api_key *ret_key, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_call call = DB_CALL(get_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return PQntuples(result) == 0 ? refuse_missing("API key", err)
                                  : read_key(result, 0, ret_key, err);
}

/* What was read before a failure is the caller's to free too. */
static int read_keys(const PGresult *result, struct store_api_keys *keys, struct error *err)
{
    int count = PQntuples(result);

    if (count == 0)
        return 0;
    keys->items = calloc((size_t)count, sizeof(*keys->items));
    if (!keys->items)
        return error_set_errno(err, ENOMEM, "cannot list API keys");
    for (int i = 0; i < count; i++) {
        if (read_key(result, i, &keys->items[i], err) < 0)
            return -1;
        keys->count++;
    }
    return 0;
}

int store_api_key_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct store_api_keys *ret_keys, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(before), db_int8(limit)};
    const struct db_call call = DB_CALL(list_statement, params);
    _cleanup_(store_api_keys_free) struct store_api_keys keys = {.items = NULL};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0 ||
        read_keys(result, &keys, err) < 0)
        return -1;
    *ret_keys = keys;
    keys = (struct store_api_keys){.items = NULL};
    return 0;
}

int store_api_key_revoke(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         const struct store_origin *origin, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id), db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(revoke_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    return PQntuples(result) == 0 ? refuse_missing("API key", err) : 0;
}

int store_api_key_find(struct db_pool *pool, const char *prefix, struct store_found_key *ret_key,
                       struct error *err)
{
    const struct db_param params[] = {db_text(prefix)};
    const struct db_call call = DB_CALL(find_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, NULL, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("API key", err);
    if (PQgetlength(result, 0, FOUND_HASH) != STORE_KEY_HASH_SIZE)
        return error_set(err, ERR_INTERNAL, "the hash of an API key has a wrong size");
    *ret_key = (struct store_found_key){
        .id = db_get_uuid(result, 0, FOUND_ID),
        .tenant = db_get_uuid(result, 0, FOUND_TENANT),
        .has_project = !PQgetisnull(result, 0, FOUND_PROJECT),
        .project = db_get_uuid(result, 0, FOUND_PROJECT),
        .role = read_role(result, 0, FOUND_ROLE),
        .expires_usec = db_get_time(result, 0, FOUND_EXPIRES),
        .is_expired = db_get_bool(result, 0, FOUND_IS_EXPIRED),
        .is_revoked = db_get_bool(result, 0, FOUND_IS_REVOKED),
    };
    memcpy(ret_key->hash, PQgetvalue(result, 0, FOUND_HASH), STORE_KEY_HASH_SIZE);
    return 0;
}

int store_standing_get(struct db_pool *pool, const struct id *tenant, const struct id *key,
                       struct store_standing *ret_standing, struct error *err)
{
    const struct db_scope scope = {.tenant = *tenant};
    const struct db_param params[] = {db_uuid(tenant), db_uuid(key)};
    const struct db_call calls[] = {{&tenant_statement, params, 1}, {&key_statement, params, 2}};
    PGresult *results[2] = {NULL};

    if (db_run(pool, &scope, DB_RELAXED, calls, key ? 2 : 1, results, err) < 0)
        return -1;
    *ret_standing = (struct store_standing){
        .tenant_exists = PQntuples(results[0]) == 1,
        .tenant_active = PQntuples(results[0]) == 1 && db_get_bool(results[0], 0, 0),
        .key_valid = !key || PQntuples(results[1]) == 1,
    };
    db_results_clear(results, 2);
    return 0;
}
