#include "agent/file_removal.h"

#include "agent/file_path.h"
#include "agent/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP_ENTRIES = 64 };

/* The folder above the level that is read. */
static int parent_of(const struct file_removal *removal)
{
    return removal->walk.depth > 1 ? removal->walk.levels[removal->walk.depth - 2].fd
                                   : removal->folder_fd;
}

/* Removes anything but a folder with content; ENOTEMPTY for that. */
static int remove_one(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return errno;
    if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    return errno == EEXIST ? ENOTEMPTY : errno;
}

/* Moves a folder that is too deep up to the first level, which is read again. */
static int hoist(struct file_removal *removal, const char *name)
{
    struct file_level *first = &removal->walk.levels[0];
    char temporary[FILE_TEMPORARY_MAX];

    file_path_temporary(temporary);
    if (file_path_rename(file_walk_top(&removal->walk)->fd, name, first->fd, temporary, false) < 0)
        return errno;
    first->changed = true;
    return 0;
}

static int remove_entry(struct file_removal *removal, const char *name)
{
    struct file_level *level = file_walk_top(&removal->walk);
    int errnum = remove_one(level->fd, name);

    level->changed = true;
    if (errnum != ENOTEMPTY)
        return errnum;
    errnum = file_walk_enter(&removal->walk, level->fd, name);
    switch (errnum) {
    case EMLINK:
        return hoist(removal, name);
    case EXDEV:
        return EBUSY; /* something is mounted there */
    case ENOENT:
    case ENOTDIR:
        return 0; /* somebody put another file there: it is seen when the level is read again */
    default:
        return errnum;
    }
}

/* A level whose entries were removed is read once more: some may have come in the meantime. */
static int end_level(struct file_removal *removal)
{
    struct file_level *level = file_walk_top(&removal->walk);
    int parent = parent_of(removal);
    int errnum;

    if (level->changed) {
        level->changed = false;
        file_walk_rewind(&removal->walk);
        return 0;
    }
    errnum = remove_one(parent, removal->walk.depth > 1 ? level->name : removal->name);
    file_walk_leave(&removal->walk);
    return errnum;
}

static int over(struct file_removal *removal, int errnum)
{
    if (errnum != EINPROGRESS)
        file_removal_abort(removal);
    return errnum;
}

int file_removal_begin(struct file_removal *removal, int folder_fd, const char *name,
                       bool recursive)
{
    struct stat status;
    int errnum;

    removal->folder_fd = folder_fd;
    removal->walk.depth = 0;
    (void)text_copy(removal->name, sizeof(removal->name), name);
    if (fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return over(removal, errno);
    errnum = remove_one(folder_fd, name);
    if (errnum != ENOTEMPTY || !recursive)
        return over(removal, errnum);
    errnum = file_walk_enter(&removal->walk, folder_fd, name);
    return over(removal, errnum == 0 ? EINPROGRESS : errnum == EXDEV ? EBUSY : errnum);
}

int file_removal_step(struct file_removal *removal)
{
    for (int i = 0; i < STEP_ENTRIES; i++) {
        const char *name;
        int errnum = file_walk_next(&removal->walk, &name);

        if (errnum == 0)
            errnum = name ? remove_entry(removal, name) : end_level(removal);
        if (errnum != 0 || removal->walk.depth == 0)
            return over(removal, errnum);
    }
    return EINPROGRESS;
}

void file_removal_abort(struct file_removal *removal)
{
    file_walk_end(&removal->walk);
    file_path_close(&removal->folder_fd);
}
