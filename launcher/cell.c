#include "launcher/cell.h"

#include "launcher/child.h"
#include "launcher/mounts.h"
#include "launcher/network.h"
#include "launcher/state_file.h"
#include "launcher/steps.h"
#include "launcher/sys.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* For the agent, so that a crowd of its commands, which have 0, cannot keep it from killing them at
 * their time limit. Between groups the value counts nothing. */
enum { AGENT_NICE = -20 };

void cell_init(struct cell *cell)
{
    *cell = (struct cell){.slot = SANDBOX_NO_SLOT, .pidfd = -1, .status = -1, .control = -1};
}

void cell_release(struct launcher *launcher, struct cell *cell)
{
    const int fds[] = {cell->pidfd, cell->status, cell->control};

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        cleanup_close(&fds[i]);
    sandbox_slot_free(&launcher->table, &cell->slot);
    cell_init(cell);
}

int cell_take_slot(struct launcher *launcher, struct cell *cell)
{
    if (sandbox_slot_take(&launcher->table, &cell->slot) < 0) {
        errno = EAGAIN;
        return -1;
    }
    cell->uid = launcher_sandbox_uid(launcher, cell->slot);
    return 0;
}

static int take_network(struct launcher *launcher)
{
    if (!launcher->network_ready && network_prepare() < 0)
        return -1;
    launcher->network_ready = false;
    launcher->network_failed = false;
    return 0;
}

static _Noreturn void run_child(const struct launcher *launcher, const struct sandbox_shape *shape,
                                int control, int status)
{
    const struct child_plan plan = {
        .profile = shape->profile,
        .filter = &launcher->filters[shape->profile],
        .shm_bytes = shape->shm_bytes,
        .control = control,
        .status = status,
        .agent = launcher->agent,
    };

    child_run(&plan);
}

static int clone_child(const struct launcher *launcher, struct cell *cell,
                       const struct sandbox_shape *shape, int into_fd)
{
    /* Only the child's copies may stay open: their end tells the child's end. */
    _cleanup_close_ int control = -1;
    _cleanup_close_ int status = -1;
    int pidfd = -1;
    int ends[2];
    struct clone_args args = {
        /* The network namespace is inherited: network.h. */
        .flags =
            CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    cell->control = ends[0];
    control = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    cell->status = ends[0];
    status = ends[1];
    if (into_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned)into_fd;
    }
    pid = sys_clone3(&args);
    if (pid < 0)
        return -1;
    if (pid == 0)
        run_child(launcher, shape, control, status);
    /* Only possible from here: inside no capability counts for it. A host may not let us. */
    (void)setpriority(PRIO_PROCESS, (id_t)pid, AGENT_NICE);
    cell->pid = pid;
    cell->pidfd = pidfd;
    return 0;
}

int cell_start(struct launcher *launcher, struct cell *cell, const struct sandbox_shape *shape,
               int into_fd, uint32_t *ret_step)
{
    *ret_step = STEP_NETWORK;
    if (take_network(launcher) < 0)
        return -1;
    *ret_step = STEP_CLONE;
    return clone_child(launcher, cell, shape, into_fd);
}

static int read_start(int proc, uint64_t *ret_ticks)
{
    char stat[1024];

    if (sys_read_file(proc, "stat", stat, sizeof(stat)) < 0)
        return -1;
    if (state_file_start_ticks(stat, ret_ticks))
        return 0;
    errno = EBADMSG;
    return -1;
}

/* Notes when the child started, too. Returns its user namespace, or -1. */
static int map_ids(const struct launcher *launcher, struct cell *cell)
{
    _cleanup_close_ int proc = -1;
    char path[32];
    char map[48];

    (void)snprintf(path, sizeof(path), "/proc/%d", cell->pid);
    proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0 || read_start(proc, &cell->start_ticks) < 0)
        return -1;
    (void)snprintf(map, sizeof(map), "0 %u %d", cell->uid, SANDBOX_UIDS);
    if (sys_write_file(proc, "uid_map", map) < 0 || sys_write_file(proc, "gid_map", map) < 0)
        return -1;
    /* A launcher that systemd protects from the OOM killer must not protect its sandboxes too. */
    if (launcher->oom_protected && sys_write_file(proc, "oom_score_adj", "0") < 0)
        return -1;
    return openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
}

/* Makes the overlay and its layers, each a detached mount; those made are in `mounts` also on
 * failure. */
static int make_overlay(struct launcher *launcher, const struct cell *cell,
                        const struct sandbox_shape *shape, int rootfs, int userns,
                        int mounts[static CHILD_MOUNTS], uint32_t *ret_step)
{
    int lower, upper;

    *ret_step = STEP_LOWER;
    lower = mounts[CHILD_MOUNT_LOWER] = mount_image(rootfs, userns);
    if (lower < 0)
        return -1;
    *ret_step = STEP_UPPER;
    upper = mounts[CHILD_MOUNT_UPPER] =
        shape->upper == LAUNCHER_UPPER_DISK
            ? disk_mount(&launcher->disk, shape->upper_bytes, cell->uid)
            : mount_upper_tmpfs(shape->upper_bytes, cell->uid);
    if (upper < 0)
        return -1;
    *ret_step = STEP_OVERLAY;
    mounts[CHILD_MOUNT_ROOT] =
        mount_overlay(lower, upper, launcher->layers_by_fd, shape->profile == LAUNCHER_PROFILE_DEV);
    return mounts[CHILD_MOUNT_ROOT] < 0 ? -1 : 0;
}

static void close_mounts(const int mounts[static CHILD_MOUNTS])
{
    for (size_t i = 0; i < CHILD_MOUNTS; i++)
        cleanup_close(&mounts[i]);
}

static int make_mounts(struct launcher *launcher, const struct cell *cell,
                       const struct sandbox_shape *shape, int rootfs, int userns,
                       int mounts[static CHILD_MOUNTS], uint32_t *ret_step)
{
    if (make_overlay(launcher, cell, shape, rootfs, userns, mounts, ret_step) < 0)
        return -1;
    *ret_step = STEP_DEVICES;
    mounts[CHILD_MOUNT_DEV] = mount_dev();
    return mounts[CHILD_MOUNT_DEV] < 0 ? -1 : 0;
}

int cell_furnish(struct launcher *launcher, struct cell *cell, const struct sandbox_shape *shape,
                 int rootfs, uint32_t *ret_step)
{
    _cleanup_close_ int userns = -1;
    int mounts[CHILD_MOUNTS] = {-1, -1, -1, -1};
    int result, saved;

    *ret_step = STEP_IDS;
    userns = map_ids(launcher, cell);
    if (userns < 0)
        return -1;
    result = make_mounts(launcher, cell, shape, rootfs, userns, mounts, ret_step);
    if (result == 0) {
        *ret_step = STEP_FURNISH;
        result = child_send_mounts(cell->control, mounts,
                                   launcher->layers_by_fd ? CHILD_MOUNTS : CHILD_MOUNTS_MIN);
    }
    saved = errno;
    close_mounts(mounts);
    errno = saved;
    return result;
}
