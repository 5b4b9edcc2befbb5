#include "lib/runtime/agent_check.h"

#include "lib/base/util.h"

#include <atoll/agent_proto.h>
#include <string.h>

/* A sandbox has so many ids (docs/security.md). */
enum { ID_MAX = 65535, ID_DIGITS_MAX = 5 };

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

/* One id in digits, up to `end`. */
static bool is_id(const char *text, const char *end)
{
    char digits[ID_DIGITS_MAX + 1];
    size_t length = (size_t)(end - text);
    uint64_t id;

    if (length > ID_DIGITS_MAX)
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    return parse_u64(digits, ID_MAX, &id);
}

/* A number alone would be taken for a name, which no user has. */
static bool is_user(const char *user)
{
    const char *colon = strchr(user, ':');

    if (!colon)
        return user[strspn(user, "-0123456789")] != '\0';
    return is_id(user, colon) && is_id(colon + 1, colon + 1 + strlen(colon + 1));
}

int agent_check_user(const char *user, struct error *err)
{
    if (agent_check_text("user", user, AGENT_USER_MAX, err) < 0)
        return -1;
    if (is_user(user))
        return 0;
    return error_set_field(err, ERR_INVALID_FIELD, "user",
                           "'user' must be a name inside the sandbox, or uid:gid, each 0 to %d",
                           ID_MAX);
}
