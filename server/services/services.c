#include "server/services/services.h"

struct db_scope caller_scope(const struct caller *caller)
{
    return (struct db_scope){
        .tenant = caller->tenant,
        .has_project = caller->has_project,
        .project = caller->project,
        .is_operator = false,
    };
}
