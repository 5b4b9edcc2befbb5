#include "lib/db/admission.h"

static const struct db_statement create_statement = {
    "admit", "SELECT atoll_admit($1::uuid, $2::uuid, $3::bigint, $4::bigint, $5::bigint,"
             " $6::bigint, $7::bigint, $8::bigint)"};

/* Most tenants have no quota: then the function is not even called. */
static const struct db_statement start_statement = {
    "admit_start", "SELECT atoll_admit_start($1::uuid, $2::uuid, $3::bigint, $4::bigint,"
                   " $5::bigint) WHERE EXISTS (SELECT FROM quotas WHERE tenant_id = $1::uuid)"};

static const struct db_statement refused_statement = {
    "admission_refused",
    "INSERT INTO events (tenant_id, project_id, sandbox_id, kind, actor, request_id, detail)"
    " SELECT $1::uuid, coalesce($2::uuid, s.project_id), $3::uuid, 'admission.refused', $4::text,"
    " $5::text, jsonb_build_object('why', $6::text, 'limit', $7::bigint, 'used', $8::bigint)"
    " FROM (VALUES (1)) one LEFT JOIN sandboxes s ON s.tenant_id = $1::uuid AND s.id = $3::uuid"};

struct db_call admission_create(struct admission_params *params, const struct id *tenant,
                                const struct id *project, const struct admission_need *need)
{
    *params = (struct admission_params){
        {db_uuid(tenant), db_uuid(project), db_int8((int64_t)need->sandboxes),
         db_int8((int64_t)need->cpu_milli), db_int8((int64_t)need->memory_mb),
         db_int8((int64_t)need->disk_mb), db_int8((int64_t)need->processes),
         db_int8((int64_t)need->creates)}};
    return (struct db_call){&create_statement, params->items, 8};
}

struct db_call admission_start(struct admission_params *params, const struct id *tenant,
                               const struct id *sandbox, const struct admission_need *need)
{
    *params = (struct admission_params){
        {db_uuid(tenant), db_uuid(sandbox), db_int8((int64_t)need->cpu_milli),
         db_int8((int64_t)need->processes), db_int8((int64_t)need->creates)}};
    return (struct db_call){&start_statement, params->items, 5};
}

void admission_note(struct db_pool *pool, const struct id *tenant, const struct id *project,
                    const struct id *sandbox, const struct store_origin *origin,
                    const struct error *err)
{
    const struct db_scope scope = {.tenant = *tenant};
    _cleanup_pg_result_ PGresult *result = NULL;
    struct error unnoted;

    if (!err || err->code != ERR_QUOTA)
        return;
    const struct db_param params[] = {db_uuid(tenant),
                                      db_uuid(project),
                                      db_uuid(sandbox),
                                      db_text(origin->actor),
                                      db_text(origin->request_id),
                                      db_text(err->message),
                                      db_int8(err->limit),
                                      db_int8(err->used)};
    const struct db_call call = DB_CALL(refused_statement, params);

    (void)db_run(pool, &scope, DB_RELAXED, &call, 1, &result, &unnoted);
}
