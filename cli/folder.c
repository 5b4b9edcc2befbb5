#include "cli/folder.h"

#include "cli/spawn.h"
#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int folder_ensure(const char *path, const struct identity *owner, mode_t mode, struct error *err)
{
    _cleanup_close_ int fd = -1;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "%s", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, owner->uid, owner->gid) < 0 || fchmod(fd, mode) < 0)
        return error_set_errno(err, errno, "%s", path);
    return 0;
}

int folder_ensure_parents(const char *path, struct error *err)
{
    _cleanup_free_ char *copy = strdup(path);

    if (!copy)
        return error_no_memory(err);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return error_set_errno(err, errno, "%s", copy);
        *slash = '/';
    }
    return 0;
}

static bool may_enter(const struct stat *info, const struct identity *user)
{
    if (info->st_uid == user->uid)
        return info->st_mode & S_IXUSR;
    if (info->st_gid == user->gid)
        return info->st_mode & S_IXGRP;
    return info->st_mode & S_IXOTH;
}

int folder_check_way(const char *path, const struct identity *user, struct error *err)
{
    _cleanup_free_ char *copy = strdup(path);

    if (!copy)
        return error_no_memory(err);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        struct stat info;

        *slash = '\0';
        if (stat(copy, &info) < 0)
            return error_set_errno(err, errno, "%s", copy);
        if (!may_enter(&info, user))
            return error_set(err, ERR_INTERNAL,
                             "the folder %s is closed to uid %u, which the daemons run as: "
                             "chmod o+x it, or set state.dir elsewhere",
                             copy, user->uid);
        *slash = '/';
    }
    return 0;
}

int folder_remove(const char *path, struct error *err)
{
    const char *argv[] = {"rm", "-rf", "--one-file-system", "--", path, NULL};

    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    return spawn_tool(argv, err);
}
