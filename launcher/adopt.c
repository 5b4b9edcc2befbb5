#include "launcher/adopt.h"

#include "launcher/create.h"
#include "launcher/loop.h"
#include "launcher/ready_name.h"
#include "launcher/state_file.h"
#include "launcher/sys.h"

#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

enum { SWEEP_WAIT_MS = 5000, SWEEP_RETRY_MS = 5 };

/* True when the process of the state file still is the one that was started. */
static bool is_same_process(const struct launcher *launcher, const char *name,
                            const struct sandbox_state_file *state)
{
    char path[64];
    char stat[1024];
    uint64_t ticks;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", state->pid);
    return sys_read_file(AT_FDCWD, path, stat, sizeof(stat)) > 0 &&
           state_file_start_ticks(stat, &ticks) && ticks == state->start_ticks &&
           cgroup_holds(&launcher->cgroup, name, state->pid);
}

/* The pidfd is opened before the process is checked, so that it cannot be another's. */
static int open_process(const struct launcher *launcher, const char *name,
                        struct sandbox_state_file *ret_state)
{
    _cleanup_close_ int pidfd = -1;
    _cleanup_close_ int folder =
        openat(launcher->sandboxes, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (folder < 0 || state_file_read(folder, ret_state) < 0)
        return -1;
    pidfd = pidfd_open(ret_state->pid, 0);
    if (pidfd < 0 || !is_same_process(launcher, name, ret_state))
        return -1;
    return TAKE_FD(pidfd);
}

/* Returns false when nothing of the sandbox lives. */
static bool adopt_one(struct launcher *launcher, const char *name)
{
    struct sandbox_state_file state;
    _cleanup_close_ int pidfd = open_process(launcher, name, &state);
    struct sandbox *sandbox;
    uint32_t generation;
    struct id id;

    if (pidfd < 0 || !sandbox_name_parse(name, &id, &generation))
        return false;
    sandbox = sandbox_table_add(&launcher->table, &id, generation);
    if (!sandbox)
        return false;
    sandbox->pidfd.fd = TAKE_FD(pidfd);
    sandbox->pid = state.pid;
    sandbox->phase = SANDBOX_LIVE;
    sandbox->created_usec = state.created_usec;
    memcpy(sandbox->image, state.image, sizeof(sandbox->image));
    (void)cgroup_frozen(&launcher->cgroup, name, &sandbox->frozen);
    /* Two sandboxes never share ids, nor does one outside the range go on. */
    if (sandbox_slot_claim(&launcher->table, state.slot, &sandbox->slot) < 0 ||
        loop_watch(launcher, sandbox) < 0) {
        (void)pidfd_send_signal(sandbox->pidfd.fd, SIGKILL, NULL, 0);
        sandbox_table_remove(&launcher->table, sandbox);
        return false;
    }
    log_info("adopted the sandbox %s, process %d", name, state.pid);
    return true;
}

/* Kills what may be left in the groups and waits until they can be removed. */
static void sweep(struct launcher *launcher, const char *name)
{
    int64_t deadline = monotonic_usec() + (int64_t)SWEEP_WAIT_MS * 1000;

    (void)cgroup_kill(&launcher->cgroup, name);
    while (cgroup_remove(&launcher->cgroup, name) < 0) {
        if (errno != EBUSY || monotonic_usec() > deadline) {
            log_error("cannot sweep the cgroup of the dead sandbox %s", name);
            return;
        }
        /* At the start nobody is served yet, and v1 has no event for an empty group. */
        (void)poll(NULL, 0, SWEEP_RETRY_MS);
        /* The child of a create that the old launcher had just let go may join only now. */
        (void)cgroup_kill(&launcher->cgroup, name);
    }
    if (create_remove_folder(launcher, name) < 0)
        log_error("cannot sweep the folder of the dead sandbox %s", name);
    else
        log_info("swept the dead sandbox %s", name);
}

static void visit_group(const char *name, void *context)
{
    struct launcher *launcher = context;
    uint32_t generation;
    struct id id;

    /* A group with a run folder has been judged by its state file before. */
    if (sandbox_name_parse(name, &id, &generation) &&
        sandbox_table_find(&launcher->table, NULL, &id, generation))
        return;
    sweep(launcher, name);
}

static void judge_folder(struct launcher *launcher, const char *name)
{
    uint32_t generation;
    struct id id;

    /* What was ready is nobody's. */
    if (ready_name_valid(name) ||
        (sandbox_name_parse(name, &id, &generation) && !adopt_one(launcher, name)))
        sweep(launcher, name);
}

int adopt_all(struct launcher *launcher, struct error *err)
{
    _cleanup_closedir_ DIR *folders = folder_open(launcher->sandboxes);

    if (!folders)
        return error_set_errno(err, errno, "cannot read the run folder");
    for (struct dirent *entry = readdir(folders); entry; entry = readdir(folders))
        judge_folder(launcher, entry->d_name);
    return cgroup_scan(&launcher->cgroup, visit_group, launcher, err);
}
