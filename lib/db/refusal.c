#include "lib/db/refusal.h"

int refuse_missing(const char *what, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "there is no such %s", what);
}

int refuse_project(struct error *err)
{
    return error_set_field(err, ERR_NOT_FOUND, "project_id", "there is no such project");
}

int refuse_tenant(struct error *err)
{
    return error_set(err, ERR_FORBIDDEN, "the token's tenant does not exist");
}

int refuse_version(const char *what, struct error *err)
{
    return error_set(err, ERR_PRECONDITION, "the %s has another version than If-Match says", what);
}
