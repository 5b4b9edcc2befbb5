#include "server/services/services.h"

struct db_scope caller_scope(const struct caller *caller)
{
    return (struct db_scope){
        .tenant = caller->tenant,
        .has_project = caller->has_project,
        .project = caller->project,
        .is_operator = false,
        .claim = caller->claim,
    };
}

struct db_scope caller_operator_scope(const struct caller *caller, const struct id *tenant)
{
    return (struct db_scope){.tenant = *tenant, .is_operator = true, .claim = caller->claim};
}

int caller_new_id(const struct caller *caller, struct id *ret_id, struct error *err)
{
    if (id_new(ret_id, err) < 0)
        return -1;
    if (caller->claim)
        caller->claim->resource = *ret_id;
    return 0;
}
