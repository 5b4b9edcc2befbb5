#include "agent/file_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

enum {
    STEP_ENTRIES = 64,
    STEP_BYTES = 1024 * 1024,
    PRIVATE_MODE = 0600,
    PRIVATE_FOLDER_MODE = 0700,
    KEPT_MODE = 0777, /* what a copy has of the mode */
};

/* The folder of the copy that takes the next entry. */
static int copy_folder(const struct file_copy *copy)
{
    return copy->walk.depth > 0 ? copy->made_levels[copy->walk.depth - 1].fd : copy->ends.target_fd;
}

/* The errno of a failure that is about the target. */
static int target_failed(struct file_copy *copy, int errnum)
{
    copy->of_target = true;
    return errnum;
}

static int begin_file(struct file_copy *copy, int from, const char *name, const char *new_name)
{
    int folder = copy_folder(copy);
    struct stat status;

    copy->in_fd = file_path_open(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (copy->in_fd < 0 || fstat(copy->in_fd, &status) < 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return EINVAL;
    copy->left = (uint64_t)status.st_size;
    copy->mode = status.st_mode & KEPT_MODE;
    copy->out_fd = openat(folder, new_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          PRIVATE_MODE);
    return copy->out_fd < 0 ? target_failed(copy, errno) : 0;
}

static int copy_link(struct file_copy *copy, int from, const char *name, const char *new_name)
{
    char link[AGENT_PATH_MAX];
    ssize_t length = readlinkat(from, name, link, sizeof(link) - 1);

    if (length < 0)
        return errno;
    link[length] = '\0';
    if (symlinkat(link, copy_folder(copy), new_name) < 0)
        return target_failed(copy, errno);
    copy->count++;
    return 0;
}

/* Opens the folder that was just made under `new_name`. */
static int open_made(struct file_copy *copy, int folder, const char *new_name, int *ret_fd)
{
    int fd = file_path_enter(folder, new_name);

    if (fd < 0)
        return errno;
    if (copy->walk.depth == 0 && fstat(fd, &copy->root) < 0) {
        int errnum = errno;

        close(fd);
        return errnum;
    }
    *ret_fd = fd;
    return 0;
}

static bool is_copy_itself(const struct file_copy *copy, const struct stat *status)
{
    return copy->walk.depth > 0 && status->st_dev == copy->root.st_dev &&
           status->st_ino == copy->root.st_ino;
}

static int begin_folder(struct file_copy *copy, int from, const char *name,
                        const struct stat *status, const char *new_name)
{
    int folder = copy_folder(copy);
    int errnum, fd = -1;

    if (is_copy_itself(copy, status))
        return target_failed(copy, EINVAL);
    if (mkdirat(folder, new_name, PRIVATE_FOLDER_MODE) < 0)
        return target_failed(copy, errno);
    copy->made = true;
    errnum = open_made(copy, folder, new_name, &fd);
    if (errnum != 0)
        return errnum;
    errnum = file_walk_enter(&copy->walk, from, name);
    if (errnum != 0) {
        close(fd);
        return errnum == EMLINK ? ENAMETOOLONG : errnum;
    }
    copy->made_levels[copy->walk.depth - 1].fd = fd;
    copy->made_levels[copy->walk.depth - 1].mode = status->st_mode & KEPT_MODE;
    copy->count++;
    return 0;
}

/* Copies an entry of the folder `from`; files and folders are only begun. */
static int copy_entry(struct file_copy *copy, int from, const char *name, const char *new_name)
{
    struct stat status;
    int errnum;

    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT && copy->walk.depth > 0 ? 0 : errno; /* gone meanwhile */
    switch (status.st_mode & S_IFMT) {
    case S_IFREG:
        errnum = begin_file(copy, from, name, new_name);
        copy->made |= copy->out_fd >= 0;
        return errnum;
    case S_IFLNK:
        errnum = copy_link(copy, from, name, new_name);
        copy->made |= errnum == 0;
        return errnum;
    case S_IFDIR:
        return copy->recursive ? begin_folder(copy, from, name, &status, new_name) : EISDIR;
    default:
        return copy->walk.depth > 0 ? 0 : EINVAL;
    }
}

static int end_file(struct file_copy *copy)
{
    int errnum = fchmod(copy->out_fd, copy->mode) < 0 ? errno : 0;

    file_path_close(&copy->in_fd);
    file_path_close(&copy->out_fd);
    copy->count++;
    return errnum;
}

static int copy_bytes(struct file_copy *copy)
{
    size_t size = copy->left < STEP_BYTES ? (size_t)copy->left : STEP_BYTES;
    ssize_t sent = size > 0 ? sendfile(copy->out_fd, copy->in_fd, NULL, size) : 0;

    if (sent < 0)
        return errno;
    copy->left -= (uint64_t)sent;
    return sent == 0 ? end_file(copy) : 0;
}

static int end_level(struct file_copy *copy)
{
    int *fd = &copy->made_levels[copy->walk.depth - 1].fd;
    int errnum = fchmod(*fd, copy->made_levels[copy->walk.depth - 1].mode) < 0 ? errno : 0;

    file_path_close(fd);
    file_walk_leave(&copy->walk);
    return errnum;
}

static int put_in_place(struct file_copy *copy)
{
    int folder = copy->ends.target_fd;

    if (file_path_rename(folder, copy->temporary, folder, copy->ends.target, copy->replace) < 0)
        return target_failed(copy, errno);
    copy->made = false;
    return 0;
}

/* One piece of work; `*ret_done` when all of the copy is made. */
static int step_once(struct file_copy *copy, bool *ret_done)
{
    const char *name;
    int errnum;

    if (copy->out_fd >= 0)
        return copy_bytes(copy);
    if (copy->walk.depth == 0) {
        *ret_done = true;
        return put_in_place(copy);
    }
    errnum = file_walk_next(&copy->walk, &name);
    if (errnum != 0)
        return errnum;
    return name ? copy_entry(copy, file_walk_top(&copy->walk)->fd, name, name) : end_level(copy);
}

int file_copy_begin(struct file_copy *copy, const struct file_copy_ends *ends, bool recursive,
                    bool replace)
{
    struct stat status;
    int errnum;

    copy->ends = *ends;
    copy->recursive = recursive;
    copy->replace = replace;
    copy->of_target = false;
    copy->made = false;
    copy->count = 0;
    copy->in_fd = copy->out_fd = -1;
    copy->walk.depth = 0;
    file_path_temporary(copy->temporary);
    /* Before the work; the rename decides. faccessat(2) would look with the agent's own rights. */
    if (!replace && fstatat(ends->target_fd, ends->target, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return target_failed(copy, EEXIST);
    errnum = copy_entry(copy, ends->source_fd, copy->ends.source, copy->temporary);
    return errnum == 0 ? EINPROGRESS : errnum;
}

int file_copy_step(struct file_copy *copy)
{
    bool done = false;

    for (int i = 0; i < STEP_ENTRIES && !done; i++) {
        bool large = copy->left > STEP_BYTES;
        int errnum = step_once(copy, &done);

        if (errnum != 0)
            return errnum;
        if (large)
            break;
    }
    return done ? 0 : EINPROGRESS;
}

bool file_copy_leftover(struct file_copy *copy, int *ret_folder_fd)
{
    if (!copy->made)
        return false;
    copy->made = false;
    *ret_folder_fd = copy->ends.target_fd;
    copy->ends.target_fd = -1;
    return true;
}

void file_copy_end(struct file_copy *copy)
{
    while (copy->walk.depth > 0) {
        file_path_close(&copy->made_levels[copy->walk.depth - 1].fd);
        file_walk_leave(&copy->walk);
    }
    if (copy->made)
        (void)unlinkat(copy->ends.target_fd, copy->temporary, 0);
    file_path_close(&copy->in_fd);
    file_path_close(&copy->out_fd);
    file_path_close(&copy->ends.source_fd);
    file_path_close(&copy->ends.target_fd);
}
