#include "launcher/create.h"

#include "launcher/cell.h"
#include "launcher/child.h"
#include "launcher/loop.h"
#include "launcher/ready.h"
#include "launcher/ready_name.h"
#include "launcher/state_file.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AGENT_BACKLOG = 128 };

/* What one create holds while it is under way; everything is released with it. */
struct creation {
    struct launcher *launcher;
    struct sandbox *sandbox;
    struct cell cell;
    int rootfs; /* borrowed */
    int folder;
    struct child_parts parts;
};

static void close_names(struct creation *creation)
{
    cleanup_close(&creation->folder);
    cleanup_close(&creation->parts.listen);
    cleanup_close(&creation->parts.logs);
    creation->folder = creation->parts.listen = creation->parts.logs = -1;
    cgroup_join_close(&creation->parts.join);
}

static void creation_release(struct creation *creation)
{
    close_names(creation);
    cell_release(creation->launcher, &creation->cell);
}

int create_open_image(const struct launcher *launcher, const char *image,
                      struct sandbox_shape *shape)
{
    _cleanup_close_ int rootfs = -1;
    char path[LAUNCHER_IMAGE_SIZE + 8];
    struct stat status;

    (void)snprintf(path, sizeof(path), "%s/rootfs", image);
    rootfs = openat(launcher->images, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (rootfs < 0 || fstat(rootfs, &status) < 0)
        return -1;
    shape->image_dev = status.st_dev;
    shape->image_ino = status.st_ino;
    return TAKE_FD(rootfs);
}

static int make_folder(struct creation *creation)
{
    int parent = creation->launcher->sandboxes;
    const char *name = creation->sandbox->name;

    if (mkdirat(parent, name, 0750) < 0)
        return -1;
    creation->folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return creation->folder < 0 ? -1 : 0;
}

/* The folder above has the group of the client and is setgid, so that the socket inherits it. */
static int bind_socket(struct creation *creation)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX,
                                               .sun_path = LAUNCHER_AGENT_SOCKET};
    mode_t mask;
    int result;

    creation->parts.listen = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (creation->parts.listen < 0)
        return -1;
    /* bind(2) knows no folder's descriptor; there is one thread. A path through /proc/self/fd costs
     * more than all the rest of it. */
    if (fchdir(creation->folder) < 0)
        return -1;
    mask = umask(0117);
    result = bind(creation->parts.listen, (const struct sockaddr *)&address, sizeof(address));
    (void)umask(mask);
    if (chdir("/") < 0 || result < 0)
        return -1;
    return listen(creation->parts.listen, AGENT_BACKLOG);
}

static int make_logs(struct creation *creation)
{
    const struct launcher *launcher = creation->launcher;
    const struct sandbox *sandbox = creation->sandbox;

    if (!sandbox->shape.keep_logs)
        return 0;
    creation->parts.logs = logs_make(&launcher->log, &sandbox->id, sandbox->generation,
                                     creation->cell.uid, launcher->options.client_gid);
    return creation->parts.logs < 0 ? -1 : 0;
}

static int make_cgroup(struct creation *creation)
{
    const struct sandbox_shape *shape = &creation->sandbox->shape;
    const struct cgroup_limits limits = {
        .memory_bytes = shape->memory_bytes,
        .cpu_milli = shape->cpu_milli,
        .pids_max = shape->pids_max,
    };

    return cgroup_create(&creation->launcher->cgroup, creation->sandbox->name, &limits,
                         &creation->parts.join);
}

int create_write_state(int folder, const struct sandbox *sandbox)
{
    struct sandbox_state_file state = {
        .pid = sandbox->pid,
        .start_ticks = sandbox->start_ticks,
        .slot = sandbox->slot,
        .created_usec = sandbox->created_usec,
    };

    memcpy(state.image, sandbox->image, sizeof(state.image));
    return state_file_write(folder, &state);
}

static uint32_t lap_usec(int64_t *mark)
{
    int64_t now = monotonic_usec();
    int64_t lap = now - *mark;

    *mark = now;
    return lap > UINT32_MAX ? UINT32_MAX : (uint32_t)lap;
}

/* Everything that has the sandbox's name. On failure remove_names takes back what was made. */
static int make_names(struct creation *creation, uint32_t *ret_step)
{
    static const struct {
        uint32_t step;
        int (*run)(struct creation *creation);
    } steps[] = {
        {STEP_FOLDER, make_folder},
        {STEP_SOCKET, bind_socket},
        {STEP_LOGS, make_logs},
        {STEP_CGROUP, make_cgroup},
    };
    int64_t mark = monotonic_usec();

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        *ret_step = steps[i].step;
        if (steps[i].run(creation) < 0)
            return -1;
    }
    creation->sandbox->timings.cgroup_usec = lap_usec(&mark);
    return 0;
}

/* The child gets what belongs to this sandbox, and goes on by itself. */
static int release_child(struct creation *creation, uint32_t *ret_step)
{
    struct sandbox *sandbox = creation->sandbox;

    *ret_step = STEP_STATE;
    /* What is nobody's gets it with its name. */
    if (!sandbox->ready && create_write_state(creation->folder, sandbox) < 0)
        return -1;
    *ret_step = STEP_RELEASE;
    if (child_send_parts(creation->cell.control, &creation->parts) < 0)
        return -1;
    sandbox->released_usec = monotonic_usec();
    return 0;
}

int create_remove_folder(const struct launcher *launcher, const char *name)
{
    static const char *const files[] = {LAUNCHER_AGENT_SOCKET, STATE_FILE_NAME};
    _cleanup_close_ int folder =
        openat(launcher->sandboxes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (folder < 0)
        return errno == ENOENT ? 0 : -1;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        (void)unlinkat(folder, files[i], 0);
    return unlinkat(launcher->sandboxes, name, AT_REMOVEDIR);
}

/* Before a process has joined: takes back what make_names made up to the step that failed. */
static void remove_names(struct creation *creation, uint32_t step)
{
    const struct launcher *launcher = creation->launcher;
    const char *name = creation->sandbox->name;

    if (step > STEP_CGROUP)
        (void)cgroup_remove(&launcher->cgroup, name);
    if (creation->parts.logs >= 0)
        logs_unmake(&launcher->log, &creation->sandbox->id, creation->sandbox->generation);
    /* Where the folder could not be made, one of that name is not this sandbox's. */
    if (step > STEP_FOLDER)
        (void)create_remove_folder(launcher, name);
    close_names(creation);
}

/* From here on the sandbox owns the process, the slot and the report. */
static void take_process(struct creation *creation)
{
    struct sandbox *sandbox = creation->sandbox;
    struct cell *cell = &creation->cell;

    sandbox->slot = cell->slot;
    cell->slot = SANDBOX_NO_SLOT;
    sandbox->pid = cell->pid;
    sandbox->is_child = true;
    sandbox->pidfd.fd = TAKE_FD(cell->pidfd);
    sandbox->status.fd = TAKE_FD(cell->status);
}

/* Up to the clone. On failure nothing is left. */
static int start_child(struct creation *creation, uint32_t *ret_step)
{
    struct launcher *launcher = creation->launcher;
    struct sandbox *sandbox = creation->sandbox;
    int64_t mark;
    int saved;

    *ret_step = STEP_SLOT;
    if (cell_take_slot(launcher, &creation->cell) < 0)
        return -1;
    if (sandbox->ready)
        ready_name_format(creation->cell.uid, sandbox->created_usec, sandbox->name);
    if (make_names(creation, ret_step) == 0) {
        mark = monotonic_usec();
        if (cell_start(launcher, &creation->cell, &sandbox->shape, creation->parts.join.into_fd,
                       ret_step) == 0) {
            sandbox->timings.clone_usec = lap_usec(&mark);
            return 0;
        }
    }
    saved = errno;
    remove_names(creation, *ret_step);
    errno = saved;
    return -1;
}

/* From the clone to the child's release. On failure the child still lives. */
static int furnish(struct creation *creation, uint32_t *ret_step)
{
    struct sandbox *sandbox = creation->sandbox;
    int64_t mark = monotonic_usec();

    if (cell_furnish(creation->launcher, &creation->cell, &sandbox->shape, creation->rootfs,
                     sandbox->shape.keep_disk ? &sandbox->id : NULL, ret_step) < 0)
        return -1;
    sandbox->start_ticks = creation->cell.start_ticks;
    if (release_child(creation, ret_step) < 0)
        return -1;
    sandbox->timings.mount_usec = lap_usec(&mark);
    return 0;
}

/* Nothing would tell of the child's end, which is awaited here: it has run nothing of its own that
 * could delay it. Nothing is left. */
static void undo_child(struct creation *creation)
{
    struct launcher *launcher = creation->launcher;
    struct sandbox *sandbox = creation->sandbox;
    siginfo_t info;

    (void)pidfd_send_signal(sandbox->pidfd.fd, SIGKILL, NULL, 0);
    (void)waitid(P_PIDFD, (id_t)sandbox->pidfd.fd, &info, WEXITED);
    loop_forget(launcher, &sandbox->pidfd);
    loop_forget(launcher, &sandbox->status);
    remove_names(creation, STEP_WATCH);
    sandbox_slot_free(&launcher->table, &sandbox->slot);
    sandbox_table_remove(&launcher->table, sandbox);
}

/* Returns 0 or an errno value; with a child, the sandbox keeps that too. Without one it is gone. */
static int start(struct launcher *launcher, struct sandbox *sandbox, int rootfs,
                 struct sandbox **ret_sandbox, uint32_t *ret_step)
{
    _cleanup_(creation_release) struct creation creation = {
        .launcher = launcher,
        .sandbox = sandbox,
        .rootfs = rootfs,
        .folder = -1,
        .parts = {.listen = -1, .logs = -1, .join = {.into_fd = -1}},
    };
    int failure = 0;

    cell_init(&creation.cell);
    if (start_child(&creation, ret_step) < 0) {
        failure = errno;
        sandbox_table_remove(&launcher->table, sandbox);
        return failure;
    }
    take_process(&creation);
    *ret_step = STEP_WATCH;
    if (loop_watch(launcher, sandbox) < 0) {
        failure = errno;
        undo_child(&creation);
        return failure;
    }
    if (furnish(&creation, ret_step) < 0) {
        failure = errno;
        sandbox->failure = failure;
        sandbox->failure_step = *ret_step;
    }
    *ret_sandbox = sandbox;
    return failure;
}

/* NULL when memory is out. */
static struct sandbox *add_entry(struct launcher *launcher, const struct id *id,
                                 uint32_t generation, const char image[static LAUNCHER_IMAGE_SIZE],
                                 const struct sandbox_shape *shape)
{
    struct sandbox *sandbox = sandbox_table_add(&launcher->table, id, generation);

    if (!sandbox)
        return NULL;
    sandbox->created_usec = monotonic_usec();
    sandbox->deadline_usec = sandbox->created_usec + CREATE_DEADLINE_USEC;
    sandbox->shape = *shape;
    memcpy(sandbox->image, image, sizeof(sandbox->image));
    return sandbox;
}

/* Returns 0 or an errno value. */
static int check_free(const struct launcher *launcher, const struct launcher_request *request)
{
    const struct sandbox_table *table = &launcher->table;

    if (sandbox_table_find(table, NULL, &request->id, request->generation))
        return EEXIST;
    /* The disk has a lock of its own, which outlives the launcher; this is the clear answer. */
    if (request->keep_disk && sandbox_table_find_running(table, &request->id, 0))
        return EBUSY;
    return 0;
}

/* Those of `strict` are none, whoever runs. */
static uint32_t capabilities_of(const struct launcher_request *request)
{
    if (request->profile != LAUNCHER_PROFILE_DEV)
        return 0;
    return ((uint32_t)LAUNCHER_CAPABILITIES_ALL & ~request->cap_drop) | request->cap_add;
}

int create_start(struct launcher *launcher, const struct launcher_request *request,
                 struct sandbox **ret_sandbox, uint32_t *ret_step)
{
    struct sandbox_shape shape = {
        .profile = request->profile,
        .upper = request->upper,
        .upper_bytes = request->upper_bytes,
        .memory_bytes = request->memory_bytes,
        .cpu_milli = request->cpu_milli,
        .pids_max = request->pids_max,
        .capabilities = capabilities_of(request),
        .read_only_root = request->read_only_root != 0,
        .keep_logs = request->keep_logs != 0,
        .keep_disk = request->keep_disk != 0,
    };
    _cleanup_close_ int rootfs = -1;
    struct sandbox *sandbox;
    int failure;

    *ret_step = STEP_IMAGE;
    rootfs = create_open_image(launcher, request->image, &shape);
    if (rootfs < 0)
        return errno;
    *ret_step = STEP_ENTRY;
    failure = check_free(launcher, request);
    if (failure)
        return failure;
    sandbox = ready_claim(launcher, request, &shape);
    if (sandbox) {
        *ret_sandbox = sandbox;
        return 0;
    }
    sandbox = add_entry(launcher, &request->id, request->generation, request->image, &shape);
    if (!sandbox)
        return ENOMEM;
    sandbox->creating = true;
    return start(launcher, sandbox, rootfs, ret_sandbox, ret_step);
}

int create_ahead(struct launcher *launcher, const char image[static LAUNCHER_IMAGE_SIZE],
                 const struct sandbox_shape *shape, int rootfs, struct sandbox **ret_sandbox,
                 uint32_t *ret_step)
{
    static const struct id nobody;
    struct sandbox *sandbox = add_entry(launcher, &nobody, 0, image, shape);

    *ret_step = STEP_ENTRY;
    if (!sandbox)
        return ENOMEM;
    sandbox->ready = true;
    return start(launcher, sandbox, rootfs, ret_sandbox, ret_step);
}

enum create_outcome create_finish(struct sandbox *sandbox)
{
    struct child_failure word;
    ssize_t got = read(sandbox->status.fd, &word, sizeof(word));

    if (got == (ssize_t)sizeof(word) && word.errnum == 0) {
        sandbox->exec_announced = true;
        return CREATE_PENDING;
    }
    if (got == 0 && sandbox->exec_announced) {
        sandbox->timings.setup_usec =
            (uint32_t)((monotonic_usec() - sandbox->released_usec) & UINT32_MAX);
        return CREATE_DONE;
    }
    sandbox->failure = got == (ssize_t)sizeof(word) ? word.errnum : ECHILD;
    sandbox->failure_step = got == (ssize_t)sizeof(word) ? word.step : STEP_DIED;
    return CREATE_FAILED;
}
