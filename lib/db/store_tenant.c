#include "lib/db/store_tenant.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>

#define TENANT_COLUMNS "id, name, state = 'suspended', version, created_at, updated_at"

enum tenant_column {
    COLUMN_ID,
    COLUMN_NAME,
    COLUMN_SUSPENDED,
    COLUMN_VERSION,
    COLUMN_CREATED_AT,
    COLUMN_UPDATED_AT,
    TENANT_COLUMN_COUNT,
};

static const struct db_statement insert_statement = {
    "tenant_insert",
    "WITH made AS (INSERT INTO tenants (id, name) VALUES ($1::uuid, $2::text) RETURNING *),"
    " noted AS (INSERT INTO events (tenant_id, kind, to_state, actor, request_id, detail)"
    " SELECT id, 'tenant.created', state, $3::text, $4::text, jsonb_build_object('name', name)"
    " FROM made)"
    " SELECT " TENANT_COLUMNS " FROM made"};

static const struct db_statement get_statement = {
    "tenant_get", "SELECT " TENANT_COLUMNS " FROM tenants WHERE id = $1::uuid"};

static const struct db_statement list_statement = {
    "tenant_list", "SELECT " TENANT_COLUMNS " FROM tenants"
                   " WHERE id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
                   " ORDER BY id DESC LIMIT $2::bigint"};

/* Always a row; its last column says whether the tenant is there at all. */
static const struct db_statement patch_statement = {
    "tenant_patch",
    "WITH old AS (SELECT id, version, state FROM tenants WHERE id = $1::uuid FOR UPDATE),"
    " moved AS (UPDATE tenants t SET name = coalesce($2::text, t.name),"
    " state = coalesce($3::text, t.state), version = t.version + 1, updated_at = now()"
    " FROM old WHERE t.id = old.id AND ($6::bigint < 0 OR old.version = $6::bigint)"
    " RETURNING t.*, old.state AS from_state),"
    " noted AS (INSERT INTO events"
    " (tenant_id, kind, from_state, to_state, actor, request_id, detail)"
    " SELECT id, 'tenant.changed', from_state, state, $4::text, $5::text,"
    " jsonb_build_object('name', name) FROM moved)"
    " SELECT " TENANT_COLUMNS ", EXISTS (SELECT FROM old)"
    " FROM (VALUES (1)) one LEFT JOIN moved ON true"};

/* As in store_project.c, in the order of atoll_admit. */
static const struct db_statement lock_quotas_statement = {
    "tenant_lock_quotas", "SELECT id FROM quotas WHERE tenant_id = $1::uuid"
                          " ORDER BY project_id NULLS FIRST FOR UPDATE"};

/* As in store_project.c: these locks keep new projects and new sandboxes out. */
static const struct db_statement lock_statement = {
    "tenant_lock", "SELECT version FROM tenants WHERE id = $1::uuid FOR UPDATE"};

static const struct db_statement lock_projects_statement = {
    "tenant_lock_projects",
    "SELECT id FROM projects WHERE tenant_id = $1::uuid ORDER BY id FOR UPDATE"};

static const struct db_statement delete_statement = {
    "tenant_delete",
    "WITH gone AS (DELETE FROM tenants WHERE id = $1::uuid"
    " AND ($4::bigint < 0 OR version = $4::bigint)"
    " AND NOT EXISTS (SELECT FROM sandboxes WHERE tenant_id = $1::uuid AND deleted_at IS NULL)"
    " RETURNING id, name, state),"
    " noted AS (INSERT INTO events (tenant_id, kind, from_state, actor, request_id, detail)"
    " SELECT id, 'tenant.deleted', state, $2::text, $3::text, jsonb_build_object('name', name)"
    " FROM gone)"
    " SELECT id FROM gone"};

/* The tenant concerned is set too: row-level security shows an operator no sandboxes but his. */
static struct db_scope operator_scope(const struct id *tenant)
{
    struct db_scope scope = {.is_operator = true};

    if (tenant)
        scope.tenant = *tenant;
    return scope;
}

/* The only conflict that an insert or a change of a tenant can have. */
static int explain_conflict(struct error *err)
{
    if (err && err->code == ERR_CONFLICT)
        return error_set_field(err, ERR_CONFLICT, "name", "there is a tenant of this name");
    return -1;
}

static int read_tenant(const PGresult *result, int row, struct tenant_record *ret_record,
                       struct error *err)
{
    struct tenant_record record = {
        .id = db_get_uuid(result, row, COLUMN_ID),
        .suspended = db_get_bool(result, row, COLUMN_SUSPENDED),
        .version = db_get_int(result, row, COLUMN_VERSION),
        .created_usec = db_get_time(result, row, COLUMN_CREATED_AT),
        .updated_usec = db_get_time(result, row, COLUMN_UPDATED_AT),
    };

    if (db_copy(result, row, COLUMN_NAME, &record.name, NULL, err) < 0)
        return -1;
    *ret_record = record;
    return 0;
}

int store_tenant_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        const char *name, const struct store_origin *origin,
                        struct tenant_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(id), db_text(name), db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(insert_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return explain_conflict(err);
    return read_tenant(result, 0, ret_record, err);
}

int store_tenant_get(struct db_pool *pool, const struct id *id, struct tenant_record *ret_record,
                     struct error *err)
{
    const struct db_scope scope = operator_scope(id);
    const struct db_param params[] = {db_uuid(id)};
    const struct db_call call = DB_CALL(get_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, &scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("tenant", err);
    return read_tenant(result, 0, ret_record, err);
}

static int read_tenants(const PGresult *result, struct tenant_record **ret_records,
                        size_t *ret_count, struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    struct tenant_record *records = count > 0 ? calloc(count, sizeof(*records)) : NULL;

    if (count > 0 && !records)
        return error_set_errno(err, ENOMEM, "cannot list tenants");
    for (size_t i = 0; i < count; i++) {
        if (read_tenant(result, (int)i, &records[i], err) < 0) {
            while (i > 0)
                tenant_record_free(&records[--i]);
            free(records);
            return -1;
        }
    }
    *ret_records = records;
    *ret_count = count;
    return 0;
}

int store_tenant_list(struct db_pool *pool, uint32_t limit, const struct id *before,
                      struct tenant_record **ret_records, size_t *ret_count, struct error *err)
{
    const struct db_scope scope = operator_scope(NULL);
    const struct db_param params[] = {db_uuid(before), db_int8(limit)};
    const struct db_call call = DB_CALL(list_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, &scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return read_tenants(result, ret_records, ret_count, err);
}

int store_tenant_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                       const struct store_tenant_change *change, int64_t version,
                       const struct store_origin *origin, struct tenant_record *ret_record,
                       struct error *err)
{
    const struct db_param params[] = {db_uuid(id),
                                      db_text(change->name),
                                      db_text(change->state),
                                      db_text(origin->actor),
                                      db_text(origin->request_id),
                                      db_int8(version)};
    const struct db_call call = DB_CALL(patch_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return explain_conflict(err);
    if (!db_get_bool(result, 0, TENANT_COLUMN_COUNT))
        return refuse_missing("tenant", err);
    if (PQgetisnull(result, 0, COLUMN_ID))
        return refuse_version("tenant", err);
    return read_tenant(result, 0, ret_record, err);
}

static int explain_delete(const PGresult *locked, int64_t version, struct error *err)
{
    if (PQntuples(locked) == 0)
        return refuse_missing("tenant", err);
    if (version != TENANCY_ANY_VERSION && db_get_int(locked, 0, 0) != version)
        return refuse_version("tenant", err);
    return error_set(err, ERR_CONFLICT, "the tenant has sandboxes that are not deleted");
}

int store_tenant_delete(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        int64_t version, const struct store_origin *origin, struct error *err)
{
    const struct db_param params[] = {db_uuid(id), db_text(origin->actor),
                                      db_text(origin->request_id), db_int8(version)};
    const struct db_call calls[] = {{&lock_quotas_statement, params, 1},
                                    {&lock_statement, params, 1},
                                    {&lock_projects_statement, params, 1},
                                    DB_CALL(delete_statement, params)};
    PGresult *results[4] = {NULL};
    int status = 0;

    if (db_run(pool, scope, DB_DURABLE, calls, 4, results, err) < 0)
        return -1;
    if (PQntuples(results[3]) == 0)
        status = explain_delete(results[1], version, err);
    db_results_clear(results, 4);
    return status;
}
