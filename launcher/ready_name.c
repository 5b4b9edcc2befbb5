#include "launcher/ready_name.h"

#include "lib/base/util.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "ready."

void ready_name_format(uid_t uid, char name[static SANDBOX_NAME_SIZE])
{
    (void)snprintf(name, SANDBOX_NAME_SIZE, PREFIX "%u", uid);
}

bool ready_name_valid(const char *name)
{
    char again[SANDBOX_NAME_SIZE];
    uint64_t uid;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        !parse_u64(name + strlen(PREFIX), UINT32_MAX, &uid))
        return false;
    ready_name_format((uid_t)uid, again);
    return strcmp(again, name) == 0;
}
