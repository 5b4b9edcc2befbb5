#include "lib/db/store_once.h"

#include "lib/db/admission.h"
#include "lib/db/refusal.h"
#include "lib/db/transaction.h"

static const struct db_statement begin_statement = {
    "once_begin",
    "WITH begun AS (INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id,"
    " state, deadline_at, request_id, project_id, cpu_milli, memory_mb, pids_max)"
    " SELECT $2::uuid, tenant_id, $2::uuid, 1, $4::text, $5::uuid, 'running',"
    " now() + $6::bigint * interval '1 millisecond', $8::text, id, $9::bigint, $10::bigint,"
    " $11::bigint FROM projects WHERE tenant_id = $1::uuid"
    " AND CASE WHEN $3::uuid IS NULL THEN is_default ELSE id = $3::uuid END"
    " RETURNING tenant_id, project_id, id),"
    " noted AS (INSERT INTO events"
    " (tenant_id, project_id, sandbox_id, kind, to_state, actor, request_id)"
    " SELECT tenant_id, project_id, id, 'run.started', 'running', $7::text, $8::text FROM begun)"
    " SELECT p.command_policy::text FROM begun LEFT JOIN projects p ON p.id = begun.project_id"
    " AND p.tenant_id = $1::uuid AND p.command_policy->>'mode' <> 'off'"};

int store_once_begin(struct db_pool *pool, const struct db_scope *scope,
                     const struct store_run *run, uint32_t memory_mb, const struct id *project,
                     const struct store_origin *origin, char **ret_policy_json, struct error *err)
{
    const struct id *in = project || !scope->has_project ? project : &scope->project;
    const struct db_param params[] = {
        db_uuid(&scope->tenant), db_uuid(&run->id),           db_uuid(in),
        db_text(run->node_id),   db_uuid(&run->boot_id),      db_int8((int64_t)run->deadline_ms),
        db_text(origin->actor),  db_text(origin->request_id), db_int8(run->cpu_milli),
        db_int8(memory_mb),      db_int8(run->pids_max)};
    const struct admission_need need = {
        .sandboxes = 1,
        .cpu_milli = run->cpu_milli,
        .memory_mb = memory_mb,
        .processes = run->pids_max,
        .creates = 1,
    };
    struct admission_params admission;
    const struct db_call calls[] = {admission_create(&admission, &scope->tenant, in, &need),
                                    DB_CALL(begin_statement, params)};
    PGresult *results[2] = {NULL};
    bool begun;
    int status = 0;

    /* Before the quotas are asked: see store_container_insert. */
    if (project && scope->has_project && !id_equal(project, &scope->project))
        return refuse_project(err);
    /* As in store_run_begin: a key must outlive a crash of PostgreSQL. */
    if (db_run(pool, scope, scope->claim ? DB_DURABLE : DB_RELAXED, calls, 2, results, err) < 0) {
        admission_note(pool, &scope->tenant, in, NULL, origin, err);
        return -1;
    }
    begun = PQntuples(results[1]) == 1;
    if (begun)
        status = db_copy(results[1], 0, 0, ret_policy_json, NULL, err);
    db_results_clear(results, 2);
    if (begun)
        return status;
    return project ? refuse_project(err) : refuse_tenant(err);
}
