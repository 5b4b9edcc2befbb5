/* The end of a sandbox, on a tenant's behalf: see store_sandbox.h. */
#include "lib/db/deletion.h"
#include "lib/db/refusal.h"
#include "lib/db/store_sandbox.h"
#include "lib/db/transaction.h"

#include <errno.h>
#include <string.h>

enum { DELETE_PARAMS = 4 };

/*
 * The usual case in one statement: nothing runs, and there is neither a disk nor a file, so that
 * nothing is left to do before the tombstone. The conditions are columns of the row, which
 * PostgreSQL reads again when it had to wait for the row's lock; what another transaction did to
 * other tables meanwhile, this statement's snapshot would not show.
 */
static const struct db_statement delete_idle_statement = {
    "sandbox_delete_idle",
    DELETION_TOMBSTONE("stopped", "tenant_id = $1::uuid AND kind = 'definition' AND active_runs = 0"
                                  " AND file_count = 0") " SELECT id FROM gone"};

static const struct db_statement delete_begin_statement = {
    "sandbox_delete_begin",
    "WITH old AS (SELECT id, state FROM sandboxes WHERE tenant_id = $1::uuid AND id = $2::uuid"
    " AND kind = 'definition' AND state <> 'deleted' FOR UPDATE),"
    " moved AS (UPDATE sandboxes s SET state = 'deleting', last_active_at = now()"
    " FROM old WHERE s.id = $2::uuid RETURNING s.id, s.project_id, old.state AS from_state),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, from_state, to_state, actor, request_id)"
    " SELECT $1::uuid, project_id, id, 'sandbox.deleting', from_state, 'deleting', $3::text, "
    "$4::text"
    " FROM moved WHERE from_state <> 'deleting')"
    " SELECT id FROM moved"};

/* A statement of its own: its snapshot is taken when sandbox_delete_begin has the row's lock, so
 * that it sees every run that began before. */
static const struct db_statement live_runs_statement = {
    "sandbox_live_runs", "SELECT generation FROM processes WHERE tenant_id = $1::uuid"
                         " AND sandbox_id = $2::uuid AND ended_at IS NULL ORDER BY generation"};

#define NO_LIVE_RUN                                                                                \
    " AND NOT EXISTS (SELECT FROM processes WHERE sandbox_id = $2::uuid AND ended_at IS NULL)"

static const struct db_statement finish_idle_statement = {
    "sandbox_finish_idle", DELETION_FINISH("tenant_id = $1::uuid" NO_LIVE_RUN)};

static const struct db_statement finish_statement = {"sandbox_delete_finish",
                                                     DELETION_FINISH("tenant_id = $1::uuid")};

void store_deletion_free(struct store_deletion *deletion)
{
    free(deletion->generations);
    memset(deletion, 0, sizeof(*deletion));
}

static int read_deletion(PGresult *const *results, struct store_deletion *ret_deletion,
                         struct error *err)
{
    struct store_deletion deletion = {.done = PQntuples(results[2]) == 1};
    int live = PQntuples(results[1]);

    if (PQntuples(results[0]) == 0)
        return refuse_missing("sandbox", err);
    if (live > 0) {
        deletion.generations = calloc((size_t)live, sizeof(*deletion.generations));
        if (!deletion.generations)
            return error_set_errno(err, ENOMEM, "cannot delete the sandbox");
        for (int i = 0; i < live; i++)
            deletion.generations[deletion.count++] = (uint32_t)db_get_int(results[1], i, 0);
    }
    *ret_deletion = deletion;
    return 0;
}

/* True in `ret_done` when the sandbox was idle and is deleted now. */
static int delete_idle(struct db_pool *pool, const struct db_scope *scope,
                       const struct db_param *params, bool *ret_done, struct error *err)
{
    const struct db_call call = {&delete_idle_statement, params, DELETE_PARAMS};
    _cleanup_pg_result_ PGresult *result = NULL;

    if (db_run(pool, scope, DB_DURABLE, &call, 1, &result, err) < 0)
        return -1;
    *ret_done = PQntuples(result) == 1;
    return 0;
}

int store_sandbox_delete_begin(struct db_pool *pool, const struct db_scope *scope,
                               const struct id *id, const struct store_origin *origin,
                               struct store_deletion *ret_deletion, struct error *err)
{
    const struct db_param params[DELETE_PARAMS] = {
        db_uuid(&scope->tenant), db_uuid(id), db_text(origin->actor), db_text(origin->request_id)};
    const struct db_call calls[] = {DB_CALL(delete_begin_statement, params),
                                    {&live_runs_statement, params, 2},
                                    DB_CALL(finish_idle_statement, params)};
    PGresult *results[3] = {NULL};
    bool done;
    int status;

    if (delete_idle(pool, scope, params, &done, err) < 0)
        return -1;
    if (done) {
        *ret_deletion = (struct store_deletion){.done = true};
        return 0;
    }
    if (db_run(pool, scope, DB_DURABLE, calls, 3, results, err) < 0)
        return -1;
    status = read_deletion(results, ret_deletion, err);
    db_results_clear(results, 3);
    return status;
}

int store_sandbox_delete_finish(struct db_pool *pool, const struct db_scope *scope,
                                const struct id *id, const struct store_origin *origin,
                                struct error *err)
{
    const struct db_param params[] = {db_uuid(&scope->tenant), db_uuid(id), db_text(origin->actor),
                                      db_text(origin->request_id)};
    const struct db_call call = DB_CALL(finish_statement, params);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, scope, DB_DURABLE, &call, 1, &result, err);
}
