#include "launcher/cell.h"

#include "launcher/child.h"
#include "launcher/mounts.h"
#include "launcher/network.h"
#include "launcher/privileges.h"
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
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
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
        .shm_bytes = shape->memory_bytes / 2,
        .capabilities = shape->capabilities,
        .read_only_root = shape->read_only_root,
        .control = control,
        .status = status,
        .agent = launcher->agent,
        .archive = launcher->archive,
    };

    child_run(&plan);
}

/*
 * What the kernel counts by user (inotify instances, queued signals and timers, message queues,
 * processes) it counts a second time, above, for the maker of the user's namespace
 * (kernel/ucount.c, inc_ucount). With root for a maker one sandbox could use up what is the others'
 * and the host's; so it is the first uid of the block, which nobody else has. The capabilities stay
 * those of the launcher. -1 and errno; leave_block comes in any case.
 */
static int enter_block(const struct cell *cell)
{
    if (setresuid((uid_t)-1, cell->uid, (uid_t)-1) < 0 || privileges_raise() < 0)
        return -1;
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as in mount_kept_overlay */
}

/* The errno stays. */
static void leave_block(void)
{
    int saved = errno;

    /* Refused to nobody whose real uid is 0; whatever else keeps it, as a sandbox's it must not go
     * on. */
    if (setresuid((uid_t)-1, 0, (uid_t)-1) < 0)
        abort();
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    errno = saved;
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
    pid_t pid = -1;

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
    if (enter_block(cell) == 0)
        pid = sys_clone3(&args);
    if (pid == 0)
        run_child(launcher, shape, control, status);
    leave_block();
    if (pid < 0)
        return -1;
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

/* To look at a namespace takes its maker, or CAP_SYS_PTRACE. */
static int open_userns(const struct cell *cell, int proc)
{
    int userns = -1;

    if (enter_block(cell) == 0)
        userns = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
    leave_block();
    return userns;
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
    return open_userns(cell, proc);
}

/* What the mounts of one root are made from. */
struct plan {
    const struct sandbox_shape *shape;
    int rootfs;            /* the image's folder */
    int userns;            /* the child's */
    const struct id *kept; /* whose disk is the writable layer, or NULL */
};

static int make_upper(struct launcher *launcher, const struct cell *cell, const struct plan *plan,
                      uint32_t *ret_step)
{
    const struct sandbox_shape *shape = plan->shape;

    *ret_step = plan->kept ? STEP_KEPT_DISK : STEP_UPPER;
    if (plan->kept)
        return disk_mount_kept(&launcher->disk, plan->kept, shape->upper_bytes, plan->userns);
    if (shape->upper == LAUNCHER_UPPER_DISK)
        return disk_mount(&launcher->disk, shape->upper_bytes, cell->uid);
    return mount_upper_tmpfs(shape->upper_bytes, cell->uid);
}

/*
 * The overlay does its own work as whoever mounts it. On a kept disk, whose ids are mapped, the
 * launcher's uid does not exist, so it is the sandbox's root that mounts, with all the capabilities
 * of the launcher: a change of the file system uid takes some away.
 */
static int mount_kept_overlay(const struct launcher *launcher, const struct cell *cell, int lower,
                              int upper, bool setuid)
{
    int mount = -1;
    int saved;

    (void)setfsgid(cell->uid);
    (void)setfsuid(cell->uid);
    if (privileges_raise() == 0)
        mount = mount_overlay(lower, upper, launcher->layers_by_fd, setuid);
    saved = errno;
    (void)setfsuid(0);
    (void)setfsgid(0);
    /* The change of ids took it away (credentials(7)); children inherit it, and without it their
     * files of /proc are not ours to write. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    errno = saved;
    return mount;
}

/* Makes the overlay and its layers, each a detached mount; those made are in `mounts` also on
 * failure. */
static int make_overlay(struct launcher *launcher, const struct cell *cell, const struct plan *plan,
                        int mounts[static CHILD_MOUNTS], uint32_t *ret_step)
{
    bool setuid = plan->shape->profile == LAUNCHER_PROFILE_DEV;
    int lower, upper;

    *ret_step = STEP_LOWER;
    lower = mounts[CHILD_MOUNT_LOWER] = mount_image(plan->rootfs, plan->userns);
    if (lower < 0)
        return -1;
    upper = mounts[CHILD_MOUNT_UPPER] = make_upper(launcher, cell, plan, ret_step);
    if (upper < 0)
        return -1;
    *ret_step = STEP_OVERLAY;
    mounts[CHILD_MOUNT_ROOT] = plan->kept
                                   ? mount_kept_overlay(launcher, cell, lower, upper, setuid)
                                   : mount_overlay(lower, upper, launcher->layers_by_fd, setuid);
    return mounts[CHILD_MOUNT_ROOT] < 0 ? -1 : 0;
}

static void close_mounts(const int mounts[static CHILD_MOUNTS])
{
    for (size_t i = 0; i < CHILD_MOUNTS; i++)
        cleanup_close(&mounts[i]);
}

static int make_mounts(struct launcher *launcher, const struct cell *cell, const struct plan *plan,
                       int mounts[static CHILD_MOUNTS], uint32_t *ret_step)
{
    if (make_overlay(launcher, cell, plan, mounts, ret_step) < 0)
        return -1;
    *ret_step = STEP_DEVICES;
    mounts[CHILD_MOUNT_DEV] = mount_dev();
    return mounts[CHILD_MOUNT_DEV] < 0 ? -1 : 0;
}

int cell_furnish(struct launcher *launcher, struct cell *cell, const struct sandbox_shape *shape,
                 int rootfs, const struct id *kept, uint32_t *ret_step)
{
    _cleanup_close_ int userns = -1;
    struct plan plan = {.shape = shape, .rootfs = rootfs, .kept = kept};
    int mounts[CHILD_MOUNTS] = {-1, -1, -1, -1};
    int result, saved;

    *ret_step = STEP_IDS;
    userns = map_ids(launcher, cell);
    if (userns < 0)
        return -1;
    plan.userns = userns;
    result = make_mounts(launcher, cell, &plan, mounts, ret_step);
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
