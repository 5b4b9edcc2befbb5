#include "server/services/why.h"

int why_get(struct services *services, const struct caller *caller, const struct id *sandbox,
            struct store_why *ret_why, struct error *err)
{
    const struct db_scope scope = caller_scope(caller);

    return store_why_get(services->db, &scope, sandbox, ret_why, err);
}
