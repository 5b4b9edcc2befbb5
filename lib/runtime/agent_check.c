#include "lib/runtime/agent_check.h"

#include <atoll/agent_proto.h>
#include <string.h>

int agent_check_text(const char *field, const char *text, size_t size, struct error *err)
{
    if (text[0] != '\0' && strlen(text) < size)
        return 0;
    return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' has 1 to %zu bytes", field,
                           size - 1);
}

int agent_check_path(const char *field, const char *path, struct error *err)
{
    if (agent_check_text(field, path, AGENT_PATH_MAX, err) < 0)
        return -1;
    if (path[0] == '/')
        return 0;
    return error_set_field(err, ERR_INVALID_FIELD, field, "'%s' must be absolute", field);
}

int agent_check_user(const char *user, struct error *err)
{
    return agent_check_text("user", user, AGENT_USER_MAX, err);
}
