#include "cli/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Writes folder + tail to `path`; true when it fits and the path exists. */
static bool exists(char path[static PATH_MAX], const char *folder, const char *tail)
{
    int size = snprintf(path, PATH_MAX, "%s%s", folder, tail);

    return size > 0 && size < PATH_MAX && access(path, F_OK) == 0;
}

int paths_find(struct paths *ret_paths, struct error *err)
{
    struct paths paths = {0};
    char folder[PATH_MAX];
    char probe[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", paths.self, sizeof(paths.self) - 1);

    if (size < 0)
        return error_set_errno(err, errno, "/proc/self/exe");
    memcpy(folder, paths.self, sizeof(folder));
    *strrchr(folder, '/') = '\0';
    if (exists(probe, folder, "/atoll-server"))
        memcpy(paths.programs, folder, sizeof(folder));
    else if (!exists(paths.programs, folder, "/../lib/atoll"))
        return error_set(err, ERR_INTERNAL, "the daemons are not beside %s", paths.self);
    if (!exists(paths.recipes, paths.programs, "/images") &&
        !exists(paths.recipes, folder, "/../../images"))
        return error_set(err, ERR_INTERNAL, "the recipes of the images are not beside %s",
                         paths.self);
    *ret_paths = paths;
    return 0;
}
