#include "launcher/ready_name.h"

#include "lib/base/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "ready."

enum { UID_DIGITS_MAX = 10 };

void ready_name_format(uid_t uid, int64_t created_usec, char name[static SANDBOX_NAME_SIZE])
{
    (void)snprintf(name, SANDBOX_NAME_SIZE, PREFIX "%u.%" PRId64, uid, created_usec);
}

bool ready_name_valid(const char *name)
{
    char again[SANDBOX_NAME_SIZE];
    char digits[UID_DIGITS_MAX + 1] = {0};
    const char *point = strrchr(name, '.');
    uint64_t uid, created;
    size_t size;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || point < name + strlen(PREFIX))
        return false;
    size = (size_t)(point - name) - strlen(PREFIX);
    if (size > UID_DIGITS_MAX)
        return false;
    memcpy(digits, name + strlen(PREFIX), size);
    if (!parse_u64(digits, UINT32_MAX, &uid) || !parse_u64(point + 1, INT64_MAX, &created))
        return false;
    ready_name_format((uid_t)uid, (int64_t)created, again);
    return strcmp(again, name) == 0;
}
