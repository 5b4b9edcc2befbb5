#include "lib/db/store_quota.h"

#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

/* The limits' columns, each with a comma behind it. */
#define LIMIT_COLUMN(column, meaning) #column ", "
#define LIMIT_COLUMNS                 QUOTA_LIMITS(LIMIT_COLUMN)

#define ENUM_LIMIT(column, meaning) LIMIT_##column,
enum quota_limit { QUOTA_LIMITS(ENUM_LIMIT) LIMIT_COUNT };

enum quota_column {
    COLUMN_VERSION,
    COLUMN_UPDATED_AT,
    COLUMN_LIMITS,
    COLUMN_USED = COLUMN_LIMITS + LIMIT_COUNT,
};

/* There are no volumes and no deployments to count yet. */
static const struct db_statement get_statement = {
    "quota_get",
    "SELECT coalesce(q.version, 0), q.updated_at, q.sandboxes, q.cpu_milli, q.memory_mb,"
    " q.disk_mb, q.processes, q.volumes, q.deployments, q.creates_per_minute,"
    " used.sandboxes, used.cpu_milli, used.memory_mb, used.disk_mb, used.processes,"
    " 0::bigint, 0::bigint, CASE WHEN q.window_started_at > now() - interval '1 minute'"
    " THEN q.window_creates ELSE 0 END"
    " FROM projects p"
    " LEFT JOIN quotas q ON q.tenant_id = $1::uuid AND q.project_id IS NOT DISTINCT FROM $2::uuid"
    " CROSS JOIN atoll_quota_use($1::uuid, $2::uuid) used"
    " WHERE p.tenant_id = $1::uuid AND CASE WHEN $2::uuid IS NULL THEN p.is_default"
    " ELSE p.id = $2::uuid END"};

/* As in get_statement: a tenant is there when its default project is. */
static const struct db_statement put_statement = {
    "quota_put",
    "WITH old AS (SELECT version FROM quotas WHERE tenant_id = $1::uuid"
    " AND project_id IS NOT DISTINCT FROM $2::uuid FOR UPDATE),"
    " target AS (SELECT p.tenant_id FROM projects p WHERE p.tenant_id = $1::uuid"
    " AND CASE WHEN $2::uuid IS NULL THEN p.is_default ELSE p.id = $2::uuid END),"
    " moved AS (INSERT INTO quotas (" LIMIT_COLUMNS "tenant_id, project_id)"
    " SELECT $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bigint,"
    " $10::bigint, tenant_id, $2::uuid FROM target"
    " WHERE $11::bigint < 0 OR $11::bigint = coalesce((SELECT version FROM old), 0)"
    " ON CONFLICT (tenant_id, project_id) DO UPDATE SET (" LIMIT_COLUMNS "version, updated_at)"
    " = ($3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bigint,"
    " $10::bigint, quotas.version + 1, now())"
    " WHERE $11::bigint < 0 OR quotas.version = $11::bigint RETURNING *),"
    " noted AS (INSERT INTO events (tenant_id, project_id, kind, actor, request_id, detail)"
    " SELECT tenant_id, project_id, 'quota.changed', $12::text, $13::text,"
    " jsonb_strip_nulls(to_jsonb(moved) - '{id,tenant_id,project_id,version,updated_at,"
    "window_started_at,window_creates}'::text[]) FROM moved)"
    " SELECT EXISTS (SELECT FROM target), EXISTS (SELECT FROM moved)"};

static int64_t limit_or_none(const PGresult *result, int column)
{
    return PQgetisnull(result, 0, column) ? QUOTA_UNLIMITED : db_get_int(result, 0, column);
}

static struct quota_record read_quota(const PGresult *result, const struct id *tenant,
                                      const struct id *project)
{
    struct quota_record record = {
        .tenant = *tenant,
        .version = db_get_int(result, 0, COLUMN_VERSION),
        .updated_usec = db_get_time(result, 0, COLUMN_UPDATED_AT),
    };

    if (project)
        record.project = *project;
#define READ_LIMIT(column, meaning)                                                                \
    record.limits.column = limit_or_none(result, COLUMN_LIMITS + LIMIT_##column);                  \
    record.used.column = db_get_int(result, 0, COLUMN_USED + LIMIT_##column);
    QUOTA_LIMITS(READ_LIMIT)
#undef READ_LIMIT
    return record;
}

int store_quota_get(struct db_pool *pool, const struct db_scope *scope, const struct id *tenant,
                    const struct id *project, struct quota_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(tenant), db_uuid(project)};
    const struct db_call call = DB_CALL(get_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_RELAXED, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing(project ? "project" : "tenant", err);
    *ret_record = read_quota(result, tenant, project);
    return 0;
}

static struct db_param limit_param(int64_t limit)
{
    return limit == QUOTA_UNLIMITED ? db_null() : db_int8(limit);
}

static int read_put(PGresult *const *results, const struct id *tenant, const struct id *project,
                    struct quota_record *ret_record, struct error *err)
{
    if (!db_get_bool(results[0], 0, 0) || PQntuples(results[1]) == 0)
        return refuse_missing(project ? "project" : "tenant", err);
    if (!db_get_bool(results[0], 0, 1))
        return refuse_version("quota", err);
    *ret_record = read_quota(results[1], tenant, project);
    return 0;
}

int store_quota_put(struct db_pool *pool, const struct db_scope *scope, const struct id *tenant,
                    const struct id *project, const struct quota_numbers *limits, int64_t version,
                    const struct store_origin *origin, struct quota_record *ret_record,
                    struct error *err)
{
#define LIMIT_PARAM(column, meaning) limit_param(limits->column),
    const struct db_param params[] = {db_uuid(tenant), db_uuid(project),
                                      QUOTA_LIMITS(LIMIT_PARAM) db_int8(version),
                                      db_text(origin->actor), db_text(origin->request_id)};
#undef LIMIT_PARAM
    const struct db_call calls[] = {DB_CALL(put_statement, params), {&get_statement, params, 2}};
    PGresult *results[2] = {NULL};
    int status;

    if (db_run(pool, scope, DB_DURABLE, calls, 2, results, err) < 0)
        return -1;
    status = read_put(results, tenant, project, ret_record, err);
    db_results_clear(results, 2);
    return status;
}
