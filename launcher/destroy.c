#include "launcher/destroy.h"

#include "launcher/create.h"
#include "launcher/loop.h"

#include "lib/base/util.h"

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

enum {
    DEATH_USEC = 20 * 1000, /* a kill that takes longer gets help; most take less than 2 ms */
    CLEAN_RETRY_USEC = 1000,
    CLEAN_RETRY_SLOW_USEC = 100000,
    CLEAN_RETRIES_FAST = 200,
    DISK_RETRIES = 300, /* some ten seconds; the kernel unmounts what it has written back */
};

void destroy_kill(struct launcher *launcher, struct sandbox *sandbox)
{
    /* The end of its init ends a pid namespace: the kernel kills the rest and waits for it. */
    (void)pidfd_send_signal(sandbox->pidfd.fd, SIGKILL, NULL, 0);
    /* A frozen process of v1 takes no signal. */
    if (sandbox->frozen || sandbox->freezing)
        (void)cgroup_freeze(&launcher->cgroup, sandbox->name, false);
    loop_freeze_ended(launcher, sandbox, ESRCH);
    sandbox->phase = SANDBOX_DYING;
    sandbox->deadline_usec = monotonic_usec() + DEATH_USEC;
}

void destroy_hasten(struct launcher *launcher, struct sandbox *sandbox)
{
    sandbox->deadline_usec = 0;
    (void)cgroup_kill(&launcher->cgroup, sandbox->name);
    (void)cgroup_unlimit_cpu(&launcher->cgroup, sandbox->name);
}

void destroy_read_usage(const struct launcher *launcher, struct sandbox *sandbox)
{
    if (sandbox->usage_read)
        return;
    cgroup_usage(&launcher->cgroup, sandbox->name, &sandbox->usage);
    sandbox->usage_read = true;
}

static void reap(const struct launcher *launcher, struct sandbox *sandbox)
{
    siginfo_t info;

    if (sandbox->is_child)
        (void)waitid(P_PIDFD, (id_t)sandbox->pidfd.fd, &info, WEXITED | WNOHANG);
    loop_forget(launcher, &sandbox->pidfd);
    loop_forget(launcher, &sandbox->status);
    loop_forget(launcher, &sandbox->events);
    sandbox->pid = 0;
}

/*
 * The mounts go with the last process, unless somebody outside has a file of theirs open; a new
 * generation could not have the disk before. Should that last, the end comes all the same: the
 * disk's lock keeps the next create out.
 */
static bool disk_held(const struct launcher *launcher, const struct sandbox *sandbox)
{
    bool may_have = sandbox->shape.upper != LAUNCHER_UPPER_TMPFS; /* of an adopted one: unknown */

    return may_have && sandbox->retries < DISK_RETRIES && disk_busy(&launcher->disk, &sandbox->id);
}

bool destroy_clean(struct launcher *launcher, struct sandbox *sandbox)
{
    bool busy;

    if (sandbox->phase != SANDBOX_DEAD) {
        reap(launcher, sandbox);
        destroy_read_usage(launcher, sandbox);
        sandbox->phase = SANDBOX_DEAD;
    }
    busy = cgroup_remove(&launcher->cgroup, sandbox->name) < 0 || disk_held(launcher, sandbox);
    if (busy) {
        sandbox->retries++;
        sandbox->deadline_usec =
            monotonic_usec() +
            (sandbox->retries < CLEAN_RETRIES_FAST ? CLEAN_RETRY_USEC : CLEAN_RETRY_SLOW_USEC);
        return false;
    }
    (void)create_remove_folder(launcher, sandbox->name);
    if (sandbox->remove_disk)
        (void)disk_remove(&launcher->disk, &sandbox->id);
    sandbox_slot_free(&launcher->table, &sandbox->slot);
    sandbox->deadline_usec = 0;
    return true;
}
