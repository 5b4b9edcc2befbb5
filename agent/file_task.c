#include "agent/file_task.h"

#include "agent/failure.h"
#include "agent/text.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER_MODE = 0755,
    PRIVATE_FOLDER_MODE = 0700,
    SKIPS_MAX = 4096, /* entries left out at a time, since they fill no outbox */
};

static void finish(struct file_task *task, int errnum)
{
    task->errnum = errnum;
    task->phase = FILE_TASK_ENDING;
}

static int stat_file(struct file_task *task, const struct agent_file_message *message,
                     struct outbox *outbox)
{
    int follow = message->flags & AGENT_FILE_FOLLOW ? 0 : O_NOFOLLOW;
    int fd = file_path_open(AT_FDCWD, message->path, O_PATH | follow);
    int errnum;

    if (fd < 0)
        return errno;
    /* The connection's operations come one after another: a whole outbox is free by now. */
    errnum = file_entry_put_at(outbox, fd, "", "", &task->names);
    close(fd);
    task->count = 1;
    return errnum;
}

static int begin_list(struct file_task *task, const struct agent_file_message *message)
{
    int fd = file_path_open(AT_FDCWD, message->path, O_RDONLY | O_DIRECTORY);

    if (fd < 0)
        return errno;
    task->walk.depth = 0;
    task->depth = message->number;
    task->limit = message->limit;
    task->skip = message->skip;
    file_walk_begin(&task->walk, fd);
    task->phase = FILE_TASK_LISTING;
    return EINPROGRESS;
}

/* Makes a folder with exactly this mode; `ret_fd` is its descriptor. */
static int make_folder(int parent, const char *name, mode_t mode, int *ret_fd)
{
    int fd;

    if (mkdirat(parent, name, PRIVATE_FOLDER_MODE) < 0)
        return errno;
    fd = file_path_enter(parent, name);
    if (fd < 0)
        return errno;
    if (fchmod(fd, mode) < 0) {
        int errnum = errno;

        close(fd);
        return errnum;
    }
    *ret_fd = fd;
    return 0;
}

/* Goes from `*fd` into `name`, which is made where it is missing. */
static int go_down(int *fd, const char *name, mode_t mode, uint64_t *inout_made)
{
    int next = file_path_open(*fd, name, O_PATH | O_DIRECTORY);
    int errnum = next < 0 ? errno : 0;

    if (errnum == ENOENT) {
        errnum = make_folder(*fd, name, mode, &next);
        *inout_made += errnum == 0;
    }
    if (errnum == EEXIST) /* another was faster, or a link leads nowhere */
        errnum = (next = file_path_open(*fd, name, O_PATH | O_DIRECTORY)) < 0 ? errno : 0;
    if (errnum != 0)
        return errnum;
    close(*fd);
    *fd = next;
    return 0;
}

static int make_folders(const char *path, mode_t mode, uint64_t *ret_made)
{
    char copy[AGENT_PATH_MAX];
    char *state = NULL;
    int fd = file_path_open(AT_FDCWD, "/", O_PATH | O_DIRECTORY);
    int errnum = fd < 0 ? errno : 0;

    (void)text_copy(copy, sizeof(copy), path);
    for (char *name = strtok_r(copy, "/", &state); name && errnum == 0;) {
        char *next = strtok_r(NULL, "/", &state);

        errnum = go_down(&fd, name, next ? FOLDER_MODE : mode, ret_made);
        name = next;
    }
    file_path_close(&fd);
    return errnum;
}

static int make_one_folder(const char *path, mode_t mode, uint64_t *ret_made)
{
    char name[NAME_MAX + 1];
    int parent, fd = -1;
    int errnum = file_path_split(path, &parent, name);

    if (errnum != 0)
        return errnum;
    errnum = make_folder(parent, name, mode, &fd);
    file_path_close(&fd);
    close(parent);
    *ret_made = errnum == 0;
    return errnum;
}

static int remove_file(struct file_task *task, const struct agent_file_message *message)
{
    char name[NAME_MAX + 1];
    int folder;
    int errnum = file_path_split(message->path, &folder, name);

    if (errnum != 0)
        return errnum;
    task->phase = FILE_TASK_REMOVING;
    return file_removal_begin(&task->removal, folder, name, message->flags & AGENT_FILE_RECURSIVE);
}

static int open_ends(struct file_task *task, const struct agent_file_message *message,
                     struct file_copy_ends *ends)
{
    int errnum = file_path_split(message->path, &ends->source_fd, ends->source);

    if (errnum != 0)
        return errnum;
    errnum = file_path_split(message->target, &ends->target_fd, ends->target);
    task->of_target = errnum != 0;
    if (errnum != 0)
        close(ends->source_fd);
    return errnum;
}

static int begin_copy(struct file_task *task, const struct file_copy_ends *ends, bool recursive)
{
    task->phase = FILE_TASK_COPYING;
    return file_copy_begin(&task->copy, ends, recursive, task->flags & AGENT_FILE_REPLACE);
}

static int copy_file(struct file_task *task, const struct agent_file_message *message)
{
    struct file_copy_ends ends;
    int errnum = open_ends(task, message, &ends);

    return errnum == 0 ? begin_copy(task, &ends, message->flags & AGENT_FILE_RECURSIVE) : errnum;
}

/* Between two mounts a file is copied and then removed, as mv(1) does. */
static int move_by_copy(struct file_task *task, struct file_copy_ends *ends)
{
    task->source_fd = fcntl(ends->source_fd, F_DUPFD_CLOEXEC, 0);
    if (task->source_fd < 0) {
        int errnum = errno;

        close(ends->source_fd);
        close(ends->target_fd);
        return errnum;
    }
    task->moves = true;
    (void)text_copy(task->source, sizeof(task->source), ends->source);
    return begin_copy(task, ends, true);
}

/* What rename(2) says of the file that is in the way, or of a folder that would come to lie in
 * itself. */
static bool is_about_target(int errnum)
{
    return errnum == EEXIST || errnum == ENOTEMPTY || errnum == EISDIR || errnum == ENOTDIR ||
           errnum == EINVAL;
}

static int move_file(struct file_task *task, const struct agent_file_message *message)
{
    bool replace = message->flags & AGENT_FILE_REPLACE;
    struct file_copy_ends ends;
    int errnum = open_ends(task, message, &ends);

    if (errnum != 0)
        return errnum;
    if (file_path_rename(ends.source_fd, ends.source, ends.target_fd, ends.target, replace) < 0)
        errnum = errno;
    if (errnum == EXDEV)
        return move_by_copy(task, &ends);
    close(ends.source_fd);
    close(ends.target_fd);
    task->of_target = is_about_target(errnum);
    task->count = 1;
    return errnum;
}

/* chmod(2) takes no descriptor of O_PATH, which alone needs no right to the file; its name in the
 * agent's own /proc stands for it. */
static int change_mode(const struct agent_file_message *message)
{
    char path[FILE_DESCRIPTOR_PATH_MAX];
    int fd = file_path_open(AT_FDCWD, message->path, O_PATH);
    int errnum = fd < 0 ? errno : 0;

    if (errnum != 0)
        return errnum;
    file_path_of_descriptor(fd, path);
    errnum = chmod(path, message->number) < 0 ? errno : 0;
    close(fd);
    return errnum;
}

static int begin(struct file_task *task, const struct agent_file_message *message,
                 struct outbox *outbox)
{
    switch (message->type) {
    case AGENT_FRAME_STAT:
        return stat_file(task, message, outbox);
    case AGENT_FRAME_FOLDER:
        return begin_list(task, message);
    case AGENT_FRAME_MKDIR:
        return message->flags & AGENT_FILE_PARENTS
                   ? make_folders(message->path, message->number, &task->count)
                   : make_one_folder(message->path, message->number, &task->count);
    case AGENT_FRAME_REMOVE:
        return remove_file(task, message);
    case AGENT_FRAME_MOVE:
        return move_file(task, message);
    case AGENT_FRAME_COPY:
        return copy_file(task, message);
    case AGENT_FRAME_CHMOD:
        return change_mode(message);
    default:
        return ENOSYS; /* the decoder lets no other through */
    }
}

static void end_copy(struct file_task *task, int errnum);
static void end_removal(struct file_task *task, int errnum);

/* What a piece of work came to. */
static void judge(struct file_task *task, int errnum)
{
    if (errnum == EINPROGRESS)
        return;
    switch (task->phase) {
    case FILE_TASK_COPYING:
        end_copy(task, errnum);
        break;
    case FILE_TASK_REMOVING:
        end_removal(task, errnum);
        break;
    default:
        file_walk_end(&task->walk);
        finish(task, errnum);
        break;
    }
}

/* After the removal of what a failed copy left the copy's failure is what is told. */
static void end_removal(struct file_task *task, int errnum)
{
    finish(task, task->errnum != 0 ? task->errnum : errnum);
}

static void begin_removal(struct file_task *task, int folder_fd, const char *name)
{
    task->phase = FILE_TASK_REMOVING;
    judge(task, file_removal_begin(&task->removal, folder_fd, name, true));
}

static void end_copy(struct file_task *task, int errnum)
{
    int folder_fd;
    bool leftover = errnum != 0 && file_copy_leftover(&task->copy, &folder_fd);

    task->count = task->copy.count;
    task->errnum = errnum;
    task->of_target = errnum != 0 && task->copy.of_target;
    file_copy_end(&task->copy);
    if (leftover)
        begin_removal(task, folder_fd, task->copy.temporary);
    else if (errnum == 0 && task->moves)
        begin_removal(task, TAKE_FD(task->source_fd), task->source);
    else
        finish(task, errnum);
}

/* Tells an entry, or leaves it out. */
static int list_entry(struct file_task *task, struct outbox *outbox, int folder, const char *name)
{
    char path[AGENT_PATH_MAX];
    int errnum;

    if (task->skip > 0) {
        task->skip--;
        return 0;
    }
    if (!file_walk_path(&task->walk, name, path, sizeof(path)))
        return ENAMETOOLONG;
    errnum = file_entry_put_at(outbox, folder, name, path, &task->names);
    task->count += errnum == 0;
    return errnum == ENOENT ? 0 : errnum;
}

/* Lists until the outbox is full or all is told. */
static int list_step(struct file_task *task, struct outbox *outbox)
{
    size_t room;

    for (unsigned left = SKIPS_MAX; left > 0 && outbox_space(outbox, AGENT_ENTRY_MAX, &room);
         left--) {
        struct file_level *level = file_walk_top(&task->walk);
        const char *name;
        int errnum = file_walk_next(&task->walk, &name);

        if (errnum != 0)
            return errnum;
        if (!name) {
            file_walk_leave(&task->walk);
            if (task->walk.depth == 0)
                return 0;
            continue;
        }
        if (task->count == task->limit)
            return 0;
        errnum = list_entry(task, outbox, level->fd, name);
        if (errnum != 0)
            return errnum;
        /* What is no folder, on another mount or not to be read is shown, not entered. */
        if (task->walk.depth < task->depth)
            (void)file_walk_enter(&task->walk, level->fd, name);
    }
    return EINPROGRESS;
}

static int enter(struct file_task *task)
{
    int errnum = account_enter(&task->account);

    task->stage = errnum == 0 ? AGENT_STAGE_FILE : AGENT_STAGE_IDENTITY;
    return errnum;
}

void file_task_begin(struct file_task *task, const struct agent_file_message *message,
                     struct outbox *outbox)
{
    int errnum = account_resolve(message->user, &task->account);

    task->phase = FILE_TASK_ENDING;
    task->stage = AGENT_STAGE_USER;
    task->errnum = 0;
    task->count = 0;
    task->flags = message->flags;
    task->of_target = false;
    task->moves = false;
    task->source_fd = -1;
    task->names.users.count = task->names.groups.count = 0;
    if (errnum == 0)
        errnum = enter(task);
    if (errnum != 0) {
        finish(task, errnum);
        return;
    }
    judge(task, begin(task, message, outbox));
    account_leave(&task->account);
}

bool file_task_busy(const struct file_task *task)
{
    return task->phase != FILE_TASK_IDLE;
}

static int work(struct file_task *task, struct outbox *outbox)
{
    switch (task->phase) {
    case FILE_TASK_LISTING:
        return list_step(task, outbox);
    case FILE_TASK_COPYING:
        return file_copy_step(&task->copy);
    default:
        return file_removal_step(&task->removal);
    }
}

static enum file_task_step tell_end(struct file_task *task, struct agent_error_message *ret_error)
{
    file_path_close(&task->source_fd);
    task->phase = FILE_TASK_IDLE;
    if (task->errnum == 0)
        return FILE_TASK_DONE;
    (void)agent_failed(ret_error, task->of_target ? AGENT_STAGE_TARGET : task->stage, task->errnum);
    return FILE_TASK_FAILED;
}

enum file_task_step file_task_pump(struct file_task *task, struct outbox *outbox,
                                   struct agent_error_message *ret_error)
{
    size_t room;

    if (task->phase == FILE_TASK_IDLE ||
        !outbox_space(
            outbox, task->phase == FILE_TASK_LISTING ? AGENT_ENTRY_MAX : OUTBOX_CONTROL_MAX, &room))
        return FILE_TASK_WAITS;
    if (task->phase == FILE_TASK_ENDING)
        return tell_end(task, ret_error);
    if (enter(task) != 0) {
        file_task_abort(task);
        finish(task, EPERM);
        return FILE_TASK_MOVED;
    }
    judge(task, work(task, outbox));
    account_leave(&task->account);
    return FILE_TASK_MOVED;
}

void file_task_abort(struct file_task *task)
{
    switch (task->phase) {
    case FILE_TASK_LISTING:
        file_walk_end(&task->walk);
        break;
    case FILE_TASK_COPYING:
        file_copy_end(&task->copy);
        break;
    case FILE_TASK_REMOVING:
        file_removal_abort(&task->removal);
        break;
    case FILE_TASK_IDLE:
        return;
    case FILE_TASK_ENDING:
        break;
    }
    file_path_close(&task->source_fd);
    task->phase = FILE_TASK_IDLE;
}
