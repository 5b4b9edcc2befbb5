#include "server/services/quotas.h"

int quotas_own(struct services *services, const struct caller *caller,
               struct quota_record *ret_record, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);

    return store_quota_get(services->db, &scope, &caller->tenant,
                           caller->has_project ? &caller->project : NULL, ret_record, err);
}

int quotas_of_project(struct services *services, const struct caller *caller,
                      const struct id *project, struct quota_record *ret_record, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);

    return store_quota_get(services->db, &scope, &caller->tenant, project, ret_record, err);
}

int quotas_get(struct services *services, const struct id *tenant, const struct id *project,
               struct quota_record *ret_record, struct error *err)
{
    const struct db_scope scope = {.tenant = *tenant, .is_operator = true};

    return store_quota_get(services->db, &scope, tenant, project, ret_record, err);
}

int quotas_put(struct services *services, const struct caller *caller, const struct id *tenant,
               const struct id *project, const struct quota_numbers *limits, int64_t version,
               struct quota_record *ret_record, struct error *err)
{
    const struct db_scope scope = caller_operator_scope(caller, tenant);
    const struct store_origin origin = caller_origin(caller);

    return store_quota_put(services->db, &scope, tenant, project, limits, version, &origin,
                           ret_record, err);
}
