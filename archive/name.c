#include "archive/name.h"

#include <stdbool.h>
#include <string.h>

static bool is(const char *part, size_t size, const char *text)
{
    return strlen(text) == size && memcmp(part, text, size) == 0;
}

const char *name_clean(const char *name, char clean[static ARCHIVE_NAME_MAX + 1])
{
    unsigned depth = 0;
    size_t used = 0;

    if (name[0] == '/')
        return "its name is absolute";
    while (*name != '\0') {
        size_t size = strcspn(name, "/");

        if (is(name, size, ".."))
            return "its name has `..`";
        if (size > 0 && !is(name, size, ".")) {
            if (used + (used > 0) + size > ARCHIVE_NAME_MAX)
                return "its name is too long";
            if (++depth > ARCHIVE_DEPTH_MAX)
                return "it is too deep";
            if (used > 0)
                clean[used++] = '/';
            memcpy(clean + used, name, size);
            used += size;
        }
        name += size;
        name += strspn(name, "/");
    }
    clean[used] = '\0';
    return NULL;
}
