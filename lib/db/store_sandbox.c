#include "lib/db/store_sandbox.h"

#include "lib/db/record.h"
#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

#include <errno.h>
#include <string.h>

/*
 * The project is the one that the scope is bound to, else the tenant's default one; without a
 * tenant there is none, and no row.
 */
static const struct db_statement insert_statement = {
    "sandbox_insert",
    "WITH made AS (INSERT INTO sandboxes (id, tenant_id, project_id, state, runtime, code,"
    " entry_point, env, timeout_ms, memory_limit_mb, file_count, file_bytes, idle_timeout_s,"
    " expires_at)"
    " SELECT $2::uuid, tenant_id, id, 'stopped', $3::text, $4::bytea, $5::text, $6::text::jsonb,"
    " $7::bigint, $8::bigint, $9::bigint, $10::bigint, $11::bigint,"
    " now() + $12::bigint * interval '1 second'"
    " FROM projects WHERE tenant_id = $1::uuid"
    " AND CASE WHEN $15::uuid IS NULL THEN is_default ELSE id = $15::uuid END"
    " RETURNING project_id, " RECORD_COLUMNS "),"
    " noted AS (INSERT INTO events (tenant_id, project_id, sandbox_id, kind, to_state,"
    " actor, request_id)"
    " SELECT $1::uuid, project_id, id, 'sandbox.created', state, $13::text, $14::text FROM made)"
    " SELECT " RECORD_COLUMNS " FROM made"};

static const struct db_statement insert_files_statement = {
    "sandbox_insert_files",
    "INSERT INTO sandbox_files (tenant_id, sandbox_id, path, content, executable)"
    " SELECT s.tenant_id, s.id, f.* FROM sandboxes s,"
    " unnest($3::bytea[], $4::bytea[], $5::boolean[]) f"
    " WHERE s.tenant_id = $1::uuid AND s.id = $2::uuid"};

static const struct db_statement get_statement = {
    "sandbox_get", "SELECT " RECORD_COLUMNS " FROM sandboxes"
                   " WHERE tenant_id = $1::uuid AND id = $2::uuid AND kind = 'definition'"
                   " AND state <> 'deleted'"};

static const struct db_statement list_statement = {
    "sandbox_list", "SELECT " RECORD_COLUMNS " FROM sandboxes"
                    " WHERE tenant_id = $1::uuid AND kind = 'definition' AND deleted_at IS NULL"
                    " AND id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')"
                    " ORDER BY id DESC LIMIT $3::bigint"};

static const struct db_statement holding_statement = {
    "sandbox_holding", "SELECT count(*), coalesce(sum(length(code) + pg_column_size(env)"
                       " + file_bytes), 0)::bigint FROM sandboxes"
                       " WHERE tenant_id = $1::uuid AND kind = 'definition'"
                       " AND deleted_at IS NULL"};

/* Row-level security shows a tenant itself only. */
static const struct db_statement tenant_statement = {"tenant_find",
                                                     "SELECT FROM tenants WHERE id = $1::uuid"};

/* Takes the row's lock first: what follows sees every file that another call has committed. */
static const struct db_statement touch_statement = {
    "sandbox_touch", "UPDATE sandboxes SET last_active_at = now() WHERE tenant_id = $1::uuid"
                     " AND id = $2::uuid AND kind = 'definition'"
                     " AND state NOT IN ('deleting', 'deleted')"};

static const struct db_statement put_files_statement = {
    "sandbox_put_files",
    "INSERT INTO sandbox_files (tenant_id, sandbox_id, path, content, executable)"
    " SELECT s.tenant_id, s.id, f.* FROM sandboxes s,"
    " unnest($3::bytea[], $4::bytea[], $5::boolean[]) f"
    " WHERE s.tenant_id = $1::uuid AND s.id = $2::uuid AND s.kind = 'definition'"
    " AND s.state NOT IN ('deleting', 'deleted')"
    " ON CONFLICT (sandbox_id, sha256(path))"
    " DO UPDATE SET content = excluded.content, executable = excluded.executable"};

static const struct db_statement count_files_statement = {
    "sandbox_count_files",
    "WITH counted AS (UPDATE sandboxes s SET file_count = f.files, file_bytes = f.bytes"
    " FROM (SELECT count(*) AS files, coalesce(sum(length(content)), 0) AS bytes"
    " FROM sandbox_files WHERE tenant_id = $1::uuid AND sandbox_id = $2::uuid) f"
    " WHERE s.tenant_id = $1::uuid AND s.id = $2::uuid AND s.kind = 'definition'"
    " AND s.state NOT IN ('deleting', 'deleted') RETURNING s.id, s.project_id),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, actor, request_id, detail)"
    " SELECT $1::uuid, project_id, id, 'sandbox.files', $3::text, $4::text,"
    " jsonb_build_object('files', $5::bigint) FROM counted)"
    " SELECT id FROM counted"};

/* The files as three arrays, side by side. */
struct file_arrays {
    struct db_array paths;
    struct db_array contents;
    struct db_array executables;
    uint64_t bytes;
};

static void file_arrays_done(struct file_arrays *arrays)
{
    db_array_done(&arrays->paths);
    db_array_done(&arrays->contents);
    db_array_done(&arrays->executables);
}

static int file_arrays_fill(struct file_arrays *arrays, const struct sandbox_files *files,
                            struct db_param params[3], struct error *err)
{
    db_array_begin(&arrays->paths, DB_BYTEA);
    db_array_begin(&arrays->contents, DB_BYTEA);
    db_array_begin(&arrays->executables, DB_BOOL);
    for (size_t i = 0; i < files->count; i++) {
        const struct sandbox_file *file = &files->items[i];
        const uint8_t executable = file->executable;

        if (__builtin_add_overflow(arrays->bytes, file->size, &arrays->bytes) ||
            arrays->bytes > STORE_FILES_BYTES_MAX || i >= STORE_FILES_MAX)
            return error_set_field(err, ERR_TOO_LARGE, "files",
                                   "a sandbox's files are at most %d, of %d bytes together",
                                   STORE_FILES_MAX, STORE_FILES_BYTES_MAX);
        db_array_add(&arrays->paths, file->path, strlen(file->path));
        db_array_add(&arrays->contents, file->content, file->size);
        db_array_add(&arrays->executables, &executable, 1);
    }
    if (db_array_param(&arrays->paths, &params[0], err) < 0 ||
        db_array_param(&arrays->contents, &params[1], err) < 0 ||
        db_array_param(&arrays->executables, &params[2], err) < 0)
        return -1;
    return 0;
}

int store_sandbox_insert(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                         const struct sandbox_definition *definition,
                         const struct store_lifetime *lifetime, const struct store_origin *origin,
                         struct sandbox_record *ret_record, struct error *err)
{
    _cleanup_(file_arrays_done) struct file_arrays arrays = {.bytes = 0};
    struct db_param file_params[5] = {db_uuid(&scope->tenant), db_uuid(id)};
    PGresult *results[2] = {NULL};
    size_t count = definition->files.count > 0 ? 2 : 1;
    int status;

    if (file_arrays_fill(&arrays, &definition->files, file_params + 2, err) < 0)
        return -1;
    const struct db_param params[] = {db_uuid(&scope->tenant),
                                      db_uuid(id),
                                      db_text(definition->runtime),
                                      db_bytes(definition->code, definition->code_size),
                                      db_text(definition->entry_point),
                                      db_text(definition->env_json ? definition->env_json : "{}"),
                                      db_int8(definition->timeout_ms),
                                      db_int8(definition->memory_limit_mb),
                                      db_int8((int64_t)definition->files.count),
                                      db_int8((int64_t)arrays.bytes),
                                      db_int8(lifetime->idle_timeout_s),
                                      db_int8(lifetime->max_lifetime_s),
                                      db_text(origin->actor),
                                      db_text(origin->request_id),
                                      db_uuid(scope->has_project ? &scope->project : NULL)};
    const struct db_call calls[] = {DB_CALL(insert_statement, params),
                                    DB_CALL(insert_files_statement, file_params)};

    if (db_run(pool, scope, DB_DURABLE, calls, count, results, err) < 0)
        return -1;
    if (PQntuples(results[0]) == 1)
        status = record_read(results[0], 0, ret_record, err);
    else
        status = refuse_tenant(err);
    db_results_clear(results, count);
    return status;
}

int store_sandbox_get(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                      struct sandbox_record *ret_record, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_call call = DB_CALL(get_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_LOOKUP, &call, 1, &result, err) < 0)
        return -1;
    if (PQntuples(result) == 0)
        return refuse_missing("sandbox", err);
    return record_read(result, 0, ret_record, err);
}

static int records_read(const PGresult *result, struct sandbox_record **ret_records,
                        size_t *ret_count, struct error *err)
{
    size_t count = (size_t)PQntuples(result);
    struct sandbox_record *records = NULL;

    if (count > 0) {
        records = calloc(count, sizeof(*records));
        if (!records)
            return error_set_errno(err, ENOMEM, "cannot list sandboxes");
    }
    for (size_t i = 0; i < count; i++) {
        if (record_read(result, (int)i, &records[i], err) < 0) {
            for (size_t k = 0; k < i; k++)
                sandbox_record_free(&records[k]);
            free(records);
            return -1;
        }
    }
    *ret_records = records;
    *ret_count = count;
    return 0;
}

int store_sandbox_list(struct db_pool *pool, const struct db_scope *scope, uint32_t limit,
                       const struct id *before, struct sandbox_record **ret_records,
                       size_t *ret_count, struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(before), db_int8(limit)};
    const struct db_param tenant_params[] = {db_uuid(&scope->tenant)};
    const struct db_call calls[] = {DB_CALL(list_statement, params),
                                    DB_CALL(tenant_statement, tenant_params)};
    PGresult *results[2] = {NULL};
    int status;

    if (db_run(pool, scope, DB_READ, calls, 2, results, err) < 0)
        return -1;
    if (PQntuples(results[1]) == 1)
        status = records_read(results[0], ret_records, ret_count, err);
    else
        status = refuse_tenant(err);
    db_results_clear(results, 2);
    return status;
}

int store_sandbox_put_files(struct db_pool *pool, const struct db_scope *scope, const struct id *id,
                            const struct sandbox_files *files, const struct store_origin *origin,
                            struct error *err)
{
    _cleanup_(file_arrays_done) struct file_arrays arrays = {.bytes = 0};
    struct db_param put_params[5] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_param touch_params[] = {db_uuid(&scope->tenant), db_uuid(id)};
    const struct db_param count_params[] = {db_uuid(&scope->tenant), db_uuid(id),
                                            db_text(origin->actor), db_text(origin->request_id),
                                            db_int8((int64_t)files->count)};
    const struct db_call calls[] = {DB_CALL(touch_statement, touch_params),
                                    DB_CALL(put_files_statement, put_params),
                                    DB_CALL(count_files_statement, count_params)};
    PGresult *results[3] = {NULL};
    bool found;

    if (file_arrays_fill(&arrays, files, put_params + 2, err) < 0 ||
        db_run(pool, scope, DB_DURABLE, calls, 3, results, err) < 0)
        return -1;
    found = PQntuples(results[2]) == 1;
    db_results_clear(results, 3);
    return found ? 0 : refuse_missing("sandbox", err);
}

int store_sandbox_holding(struct db_pool *pool, const struct id *tenant,
                          struct store_holding *ret_holding, struct error *err)
{
    const struct db_scope scope = {.tenant = *tenant};
    const struct db_param params[] = {db_uuid(tenant)};
    const struct db_call call = DB_CALL(holding_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, &scope, DB_READ, &call, 1, &result, err) < 0)
        return -1;
    *ret_holding = (struct store_holding){
        .definitions = (uint64_t)db_get_int(result, 0, 0),
        .bytes = (uint64_t)db_get_int(result, 0, 1),
    };
    return 0;
}
