#include "lib/db/store_project.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>

#define PROJECT_COLUMNS                                                                            \
    "id, tenant_id, name, labels::text, is_default, version, created_at, updated_at,"              \
    " command_policy::text"

enum project_column {
    COLUMN_ID,
    COLUMN_TENANT,
    COLUMN_NAME,
    COLUMN_LABELS,
    COLUMN_IS_DEFAULT,
    COLUMN_VERSION,
    COLUMN_CREATED_AT,
    COLUMN_UPDATED_AT,
    COLUMN_COMMAND_POLICY,
    PROJECT_COLUMN_COUNT,
};

static const struct db_statement insert_statement = {
    "project_insert",
    "WITH made AS (INSERT INTO projects (id, tenant_id, name, labels)"
    " SELECT $2::uuid, id, $3::text, coalesce($4::text, '{}')::jsonb FROM tenants"
    " WHERE id = $1::uuid RETURNING *),"
    " noted AS (INSERT INTO events (tenant_id, project_id, kind, actor, request_id, detail)"
    " SELECT tenant_id, id, 'project.created', $5::text, $6::text,"
    " jsonb_build_object('name', name) FROM made)"
    " SELECT " PROJECT_COLUMNS " FROM made"};

static const struct db_statement get_statement = {"project_get",
                                                  "SELECT " PROJECT_COLUMNS " FROM projects"
                                                  " WHERE tenant_id = $1::uuid AND id = $2::uuid"};

static const struct db_statement list_statement = {
    "project_list", "SELECT " PROJECT_COLUMNS " FROM projects WHERE tenant_id = $1::uuid"
                    " AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
                    " ORDER BY id DESC LIMIT $3::bigint"};

/* Always a row; its last column says whether the project is there at all. */
static const struct db_statement patch_statement = {
    "project_patch",
    "WITH old AS (SELECT id, version FROM projects WHERE tenant_id = $1::uuid AND id = $2::uuid"
    " FOR UPDATE),"
    " moved AS (UPDATE projects p SET name = coalesce($3::text, p.name),"
    " labels = coalesce($4::text::jsonb, p.labels),"
    " command_policy = coalesce($8::text::jsonb, p.command_policy), version = p.version + 1, "
    "updated_at = now()"
    " FROM old WHERE p.id = old.id AND ($7::bigint < 0 OR old.version = $7::bigint)"
    " RETURNING p.*),"
    " noted AS (INSERT INTO events (tenant_id, project_id, kind, actor, request_id, detail)"
    " SELECT tenant_id, id, 'project.changed', $5::text, $6::text,"
    " jsonb_build_object('name', name) FROM moved)"
    " SELECT " PROJECT_COLUMNS ", EXISTS (SELECT FROM old)"
    " FROM (VALUES (1)) one LEFT JOIN moved ON true"};

/* As creates do, which lock the quota, then the project (their foreign key): in another order they
 * and the delete, which removes the quota, would wait for each other. */
static const struct db_statement lock_quota_statement = {
    "project_lock_quota", "SELECT id FROM quotas WHERE tenant_id = $1::uuid"
                          " AND project_id = $2::uuid FOR UPDATE"};

/* The row's lock keeps new sandboxes out (their foreign key waits for it); what the next statement
 * sees is therefore all there is. */
static const struct db_statement lock_statement = {
    "project_lock", "SELECT version, is_default FROM projects"
                    " WHERE tenant_id = $1::uuid AND id = $2::uuid FOR UPDATE"};

static const struct db_statement delete_statement = {
    "project_delete",
    "WITH gone AS (DELETE FROM projects WHERE tenant_id = $1::uuid AND id = $2::uuid"
    " AND NOT is_default AND ($5::bigint < 0 OR version = $5::bigint)"
    " AND NOT EXISTS (SELECT FROM sandboxes WHERE tenant_id = $1::uuid AND project_id = $2::uuid"
    " AND deleted_at IS NULL) RETURNING tenant_id, id, name),"
    " noted AS (INSERT INTO events (tenant_id, project_id, kind, actor, request_id, detail)"
    " SELECT tenant_id, id, 'project.deleted', $3::text, $4::text,"
    " jsonb_build_object('name', name) FROM gone)"
    " SELECT id FROM gone"};

/* The only conflict that an insert or a change of a project can have. */
static int explain_conflict(struct error *err)
{
    if (err && err->code == ERR_CONFLICT)
        return error_set_field(err, ERR_CONFLICT, "name", "there is a project of this name");
    return -1;
}

static int read_project(const PGresult *result, int row, struct project_record *ret_record,
                        struct error *err)
{
    struct project_record record = {
        .id = db_get_uuid(result, row, COLUMN_ID),
        .tenant = db_get_uuid(result, row, COLUMN_TENANT),
        .is_default = db_get_bool(result, row, COLUMN_IS_DEFAULT),
        .version = db_get_int(result, row, COLUMN_VERSION),
        .created_usec = db_get_time(result, row, COLUMN_CREATED_AT),
        .updated_usec = db_get_time(result, row, COLUMN_UPDATED_AT),
    };

    if (db_copy(result, row, COLUMN_NAME, &record.name, NULL, err) < 0 ||
        db_copy(result, row, COLUMN_LABELS, &record.labels_json, NULL, err) < 0 ||
        db_copy(result, row, COLUMN_COMMAND_POLICY, &record.policy_json, NULL, err) < 0) {
        project_record_free(&record);
        return -1;
    }
    *ret_record = record;
    return 0;
}

int store_project_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         const struct store_project_change *project,
                         const struct store_origin *origin, struct project_record *ret_record,
                         struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id),
                                      db_text(project->name),  db_text(project->labels_json),
                                      db_text(origin->actor),  db_text(origin->request_id)};
    const struct db_call call = DB_CALL(insert_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return explain_conflict(err);
    if (PQntuples(result) == 0)
        return refuse_tenant(err);
    return read_project(result, 0, ret_record, err);
}

int store_project_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct project_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_call call = DB_CALL(get_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("project", err);
    return read_project(result, 0, ret_record, err);
}

static int read_projects(const PGresult *result, struct project_record **ret_records,
                         size_t *ret_count, struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    struct project_record *records = count > 0 ? calloc(count, sizeof(*records)) : NULL;

    if (count > 0 && !records)
        return error_set_errno(err, ENOMEM, "cannot list projects");
    for (size_t i = 0; i < count; i++) {
        if (read_project(result, (int)i, &records[i], err) < 0) {
            while (i > 0)
                project_record_free(&records[--i]);
            free(records);
            return -1;
        }
    }
    *ret_records = records;
    *ret_count = count;
    return 0;
}

int store_project_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct project_record **ret_records,
                       size_t *ret_count, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(before), db_int8(limit)};
    const struct db_call call = DB_CALL(list_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    return read_projects(result, ret_records, ret_count, err);
}

int store_project_patch(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                        const struct store_project_change *change, int64_t version,
                        const struct store_origin *origin, struct project_record *ret_record,
                        struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id),
                                      db_text(change->name),   db_text(change->labels_json),
                                      db_text(origin->actor),  db_text(origin->request_id),
                                      db_int8(version),        db_text(change->policy_json)};
    const struct db_call call = DB_CALL(patch_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return explain_conflict(err);
    if (!db_get_bool(result, 0, PROJECT_COLUMN_COUNT))
        return refuse_missing("project", err);
    if (PQgetisnull(result, 0, COLUMN_ID))
        return refuse_version("project", err);
    return read_project(result, 0, ret_record, err);
}

static int explain_delete(const PGresult *locked, int64_t version, struct error *err)
{
    if (PQntuples(locked) == 0)
        return refuse_missing("project", err);
    if (version != TENANCY_ANY_VERSION && db_get_int(locked, 0, 0) != version)
        return refuse_version("project", err);
    if (db_get_bool(locked, 0, 1))
        return error_set(err, ERR_CONFLICT, "the default project cannot be deleted");
    return error_set(err, ERR_CONFLICT, "the project has sandboxes that are not deleted");
}

int store_project_delete(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         int64_t version, const struct store_origin *origin, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id), db_text(origin->actor),
                                      db_text(origin->request_id), db_int8(version)};
    const struct db_call calls[] = {{&lock_quota_statement, params, 2},
                                    {&lock_statement, params, 2},
                                    DB_CALL(delete_statement, params)};
    PGresult *results[3] = {NULL};
    int status = 0;

    if (db_run(pool, scope, DB_DURABLE, calls, 3, results, err) < 0)
        return -1;
    if (PQntuples(results[2]) == 0)
        status = explain_delete(results[1], version, err);
    db_results_clear(results, 3);
    return status;
}
