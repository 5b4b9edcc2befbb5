#include "agent/file_op.h"

#include "agent/failure.h"
#include "agent/file_entry.h"
#include "agent/text.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_MODE = 0755, PRIVATE_MODE = 0600 };

/* Splits an absolute path into its folder ("" for the root) and a name. The folder is `path`
 * itself, cut. */
static int split_path(char *path, char name[NAME_MAX + 1])
{
    char *slash = strrchr(path, '/');
    size_t length = strlen(slash + 1);

    if (length > NAME_MAX)
        return ENAMETOOLONG;
    if (length == 0 || strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0)
        return EISDIR;
    memcpy(name, slash + 1, length + 1);
    *slash = '\0';
    return 0;
}

/* Opens the folder `name` in `parent`, made if it is missing. Returns its descriptor or -1. */
static int enter_folder(int parent, const char *name, const struct file_write *op)
{
    int fd = file_path_open(parent, name, O_PATH | O_DIRECTORY);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    if (mkdirat(parent, name, FOLDER_MODE) < 0 && errno != EEXIST)
        return -1;
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && op->as_root && fchown(fd, op->account.uid, op->account.gid) < 0)
        file_path_close(&fd);
    return fd;
}

/* Walks `folder` from the root and makes what is missing. */
static int make_folders(char *folder, const struct file_write *op, int *ret_fd)
{
    _cleanup_close_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *state = NULL;

    if (fd < 0)
        return errno;
    for (const char *name = strtok_r(folder, "/", &state); name;
         name = strtok_r(NULL, "/", &state)) {
        int next = enter_folder(fd, name, op);

        if (next < 0)
            return errno;
        close(fd);
        fd = next;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static int open_folder(char *folder, const struct file_write *op, int *ret_fd)
{
    int fd = file_path_open(AT_FDCWD, *folder ? folder : "/", O_PATH | O_DIRECTORY);

    if (fd < 0 && errno == ENOENT)
        return make_folders(folder, op, ret_fd);
    if (fd < 0)
        return errno;
    *ret_fd = fd;
    return 0;
}

static int make_file(struct file_write *op, mode_t mode)
{
    file_path_temporary(op->temporary);
    op->fd = openat(op->folder_fd, op->temporary,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, PRIVATE_MODE);
    if (op->fd < 0)
        return errno;
    if (op->as_root && fchown(op->fd, op->account.uid, op->account.gid) < 0)
        return errno;
    return fchmod(op->fd, mode) < 0 ? errno : 0;
}

static int open_target(struct file_write *op, const struct agent_write_message *message)
{
    char path[AGENT_PATH_MAX];
    int errnum = ENAMETOOLONG;

    if (text_copy(path, sizeof(path), message->path))
        errnum = split_path(path, op->name);
    if (errnum == 0)
        errnum = open_folder(path, op, &op->folder_fd);
    return errnum == 0 ? make_file(op, message->mode) : errnum;
}

/* Removes what was begun, and keeps the reason. */
static void write_failed(struct file_write *op, enum agent_stage stage, int errnum)
{
    if (op->fd >= 0)
        (void)unlinkat(op->folder_fd, op->temporary, 0);
    file_path_close(&op->fd);
    file_path_close(&op->folder_fd);
    op->stage = stage;
    op->errnum = errnum;
}

/* Runs as the owner, unless root writes for him. */
static int enter_owner(const struct file_write *op)
{
    return op->as_root ? 0 : account_enter(&op->account);
}

static void leave_owner(const struct file_write *op)
{
    if (!op->as_root)
        account_leave(&op->account);
}

void file_write_begin(struct file_write *op, const struct agent_write_message *message)
{
    int errnum;

    op->active = true;
    op->folder_fd = op->fd = -1;
    op->errnum = 0;
    op->written = 0;
    op->flags = message->flags;
    op->match = *message;
    errnum = account_resolve(message->owner, &op->account);
    if (errnum != 0) {
        write_failed(op, AGENT_STAGE_USER, errnum);
        return;
    }
    op->as_root = (message->flags & AGENT_WRITE_PRIVILEGED) || op->account.uid == 0;
    errnum = enter_owner(op);
    if (errnum == 0) {
        errnum = open_target(op, message);
        if (errnum != 0)
            write_failed(op, AGENT_STAGE_FILE, errnum);
        leave_owner(op);
    } else {
        write_failed(op, AGENT_STAGE_IDENTITY, errnum);
    }
}

void file_write_data(struct file_write *op, const uint8_t *bytes, size_t size)
{
    while (size > 0 && op->errnum == 0) {
        ssize_t written = write(op->fd, bytes, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            write_failed(op, AGENT_STAGE_FILE, errno);
            return;
        }
        bytes += written;
        size -= (size_t)written;
        op->written += (uint64_t)written;
    }
}

static int64_t mtime_of(const struct stat *status)
{
    return status->st_mtim.tv_sec * INT64_C(1000000000) + status->st_mtim.tv_nsec;
}

/* Whether the file at the path is still the one that the request describes. */
static bool is_match(const struct file_write *op)
{
    _cleanup_close_ int fd = file_path_open(op->folder_fd, op->name, O_PATH);
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && (uint64_t)status.st_size == op->match.size &&
           status.st_ino == op->match.inode && mtime_of(&status) == op->match.mtime_nsec;
}

/* What runs by its mode, a script that is edited say, still does when it has other content. */
static int keep_mode(const struct file_write *op)
{
    struct stat status;

    if (fstatat(op->folder_fd, op->name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(status.st_mode))
        return 0;
    return fchmod(op->fd, status.st_mode & 0777) < 0 ? errno : 0;
}

/* No other request comes between the condition and the rename: the agent has one thread. */
static int rename_if_wanted(const struct file_write *op)
{
    bool absent = op->flags & AGENT_WRITE_ABSENT;
    int errnum = op->flags & AGENT_WRITE_KEEP_MODE ? keep_mode(op) : 0;

    if (errnum != 0)
        return errnum;
    if (op->flags & AGENT_WRITE_MATCH && !is_match(op))
        return ESTALE;
    if (file_path_rename(op->folder_fd, op->temporary, op->folder_fd, op->name, !absent) == 0)
        return 0;
    return absent && errno == EEXIST ? ESTALE : errno;
}

static void put_in_place(struct file_write *op)
{
    int errnum = enter_owner(op);

    if (errnum != 0) {
        write_failed(op, AGENT_STAGE_IDENTITY, errnum);
        return;
    }
    errnum = rename_if_wanted(op);
    if (errnum != 0)
        write_failed(op, AGENT_STAGE_FILE, errnum);
    leave_owner(op);
}

/* The connection's operations come one after another: a whole outbox is free by now. */
static void describe_written(const struct file_write *op, struct outbox *outbox)
{
    struct file_names names = {.users.count = 0};
    struct stat status;

    if (fstat(op->fd, &status) == 0)
        (void)file_entry_put(outbox, &status, "", "", &names);
}

bool file_write_end(struct file_write *op, struct outbox *outbox,
                    struct agent_error_message *ret_error)
{
    if (op->errnum == 0)
        put_in_place(op);
    if (op->errnum == 0 && op->flags & AGENT_WRITE_DESCRIBE)
        describe_written(op, outbox);
    file_path_close(&op->fd);
    file_path_close(&op->folder_fd);
    op->active = false;
    if (op->errnum == 0)
        return true;
    return agent_failed(ret_error, op->stage, op->errnum);
}

void file_write_abort(struct file_write *op)
{
    if (!op->active)
        return;
    write_failed(op, AGENT_STAGE_FILE, ECANCELED);
    op->active = false;
}

/* Without O_NONBLOCK the open of a FIFO would wait for its writer. */
static int open_regular(const char *path, int *ret_fd, struct stat *ret_status)
{
    _cleanup_close_ int fd = file_path_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

    if (fd < 0 || fstat(fd, ret_status) < 0)
        return errno;
    if (!S_ISREG(ret_status->st_mode))
        return S_ISDIR(ret_status->st_mode) ? EISDIR : EINVAL;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

bool file_read_begin(struct file_read *op, const struct agent_read_message *message,
                     struct agent_error_message *ret_error)
{
    struct account account;
    int errnum = account_resolve(message->user, &account);

    ret_error->stage = AGENT_STAGE_USER;
    if (errnum == 0) {
        ret_error->stage = AGENT_STAGE_IDENTITY;
        errnum = account_enter(&account);
    }
    if (errnum == 0) {
        ret_error->stage = AGENT_STAGE_FILE;
        errnum = open_regular(message->path, &op->fd, &op->status);
        account_leave(&account);
    }
    ret_error->errnum = (uint32_t)errnum;
    op->active = errnum == 0;
    op->described = !(message->flags & AGENT_READ_DESCRIBE);
    op->offset = (off_t)message->offset;
    op->left = message->limit;
    return op->active;
}

static void read_end(struct file_read *op, struct outbox *outbox, int errnum)
{
    const struct agent_error_message error = {
        .stage = AGENT_STAGE_FILE,
        .errnum = (uint32_t)errnum,
    };
    size_t size;
    uint8_t *space = outbox_space(outbox, OUTBOX_CONTROL_MAX, &size);

    if (errnum != 0)
        outbox_commit(outbox, AGENT_FRAME_ERROR, agent_error_encode(&error, space, size));
    else
        outbox_commit(outbox, AGENT_FRAME_DONE,
                      agent_done_encode((uint64_t)op->status.st_size, space, size));
    file_read_abort(op);
}

static enum file_read_step describe(struct file_read *op, struct outbox *outbox)
{
    struct file_names names = {.users.count = 0};

    if (!file_entry_put(outbox, &op->status, "", "", &names))
        return FILE_READ_WAITS;
    op->described = true;
    return FILE_READ_MOVED;
}

enum file_read_step file_read_pump(struct file_read *op, struct outbox *outbox)
{
    uint8_t *space;
    size_t size;
    ssize_t got = 0;

    if (!op->active)
        return FILE_READ_WAITS;
    if (!op->described)
        return describe(op, outbox);
    space = outbox_space(outbox, OUTBOX_DATA_MIN, &size);
    if (!space)
        return FILE_READ_WAITS;
    if (size > op->left)
        size = (size_t)op->left;
    if (size > 0)
        got = pread(op->fd, space, size, op->offset);
    if (got <= 0) {
        read_end(op, outbox, got < 0 ? errno : 0);
        return got < 0 ? FILE_READ_FAILED : FILE_READ_DONE;
    }
    outbox_commit(outbox, AGENT_FRAME_DATA, (size_t)got);
    op->offset += got;
    op->left -= (uint64_t)got;
    return FILE_READ_MOVED;
}

void file_read_abort(struct file_read *op)
{
    if (op->active)
        file_path_close(&op->fd);
    op->active = false;
}
