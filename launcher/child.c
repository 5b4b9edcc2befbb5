#include "launcher/child.h"

#include "launcher/child_root.h"
#include "launcher/fd_message.h"
#include "launcher/privileges.h"
#include "launcher/steps.h"

#include "lib/base/util.h"

#include <atoll/agent_proto.h>
#include <atoll/launcher_proto.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static _Noreturn void fail(const struct child_plan *plan, uint32_t step)
{
    struct child_failure failure = {step, errno};

    /* A parent that is gone does not need the answer. */
    (void)!write(plan->status, &failure, sizeof(failure));
    _exit(1);
}

/* Lowers only: the host may not let anybody raise. */
static int lower_limit(__rlimit_resource_t resource, rlim_t soft, rlim_t hard)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) < 0)
        return -1;
    if (limit.rlim_max > hard)
        limit.rlim_max = hard;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    return setrlimit(resource, &limit);
}

static int lower_limits(void)
{
    static const struct {
        __rlimit_resource_t resource;
        rlim_t soft;
        rlim_t hard;
    } limits[] = {
        {RLIMIT_CORE, 0, 0}, {RLIMIT_NOFILE, 1024, 4096}, {RLIMIT_MEMLOCK, 65536, 65536},
        {RLIMIT_NICE, 0, 0}, {RLIMIT_RTPRIO, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        if (lower_limit(limits[i].resource, limits[i].soft, limits[i].hard) < 0)
            return -1;
    return 0;
}

/* The first word of both messages: how many of each kind of descriptor follow, in this order. */
struct message_word {
    uint32_t first; /* the mounts, or the socket: always there */
    uint32_t tasks;
    uint32_t logs;
};

int child_send_mounts(int control, const int *mounts, uint32_t count)
{
    const struct message_word word = {.first = count};

    return fd_message_send(control, &word, sizeof(word), mounts, count);
}

int child_send_parts(int control, const struct child_parts *parts)
{
    const struct message_word word = {1, parts->join.tasks_count, parts->logs < 0 ? 0 : 1};
    int fds[FD_MESSAGE_MAX];
    size_t count = 0;

    fds[count++] = parts->listen;
    for (unsigned i = 0; i < parts->join.tasks_count; i++)
        fds[count++] = parts->join.tasks_fds[i];
    if (parts->logs >= 0)
        fds[count++] = parts->logs;
    return fd_message_send(control, &word, sizeof(word), fds, count);
}

/* End-of-file: the parent died, and so must a child that is no sandbox yet. */
static int receive(int control, struct message_word *ret_word, int ret_fds[static FD_MESSAGE_MAX])
{
    size_t count;

    if (fd_message_receive(control, ret_word, sizeof(*ret_word), ret_fds, &count) < 0)
        return -1;
    if (ret_word->first <= CHILD_MOUNTS && ret_word->tasks <= CGROUP_HIERARCHIES &&
        ret_word->logs <= 1 && count == ret_word->first + ret_word->tasks + ret_word->logs)
        return 0;
    errno = EPROTO;
    return -1;
}

/* Those that were not sent are -1. */
static int receive_mounts(int control, int ret_mounts[static FD_MESSAGE_MAX])
{
    struct message_word word = {0};

    if (receive(control, &word, ret_mounts) < 0)
        return -1;
    if (word.first < CHILD_MOUNTS_MIN) {
        errno = EPROTO;
        return -1;
    }
    for (uint32_t i = word.first; i < CHILD_MOUNTS; i++)
        ret_mounts[i] = -1;
    return 0;
}

static int receive_parts(int control, struct child_parts *ret_parts)
{
    struct message_word word = {0};
    int fds[FD_MESSAGE_MAX];

    if (receive(control, &word, fds) < 0)
        return -1;
    if (word.first != 1) {
        errno = EPROTO;
        return -1;
    }
    *ret_parts = (struct child_parts){.listen = fds[0], .logs = -1, .join = {.into_fd = -1}};
    for (uint32_t i = 0; i < word.tasks; i++)
        ret_parts->join.tasks_fds[ret_parts->join.tasks_count++] = fds[1 + i];
    if (word.logs > 0)
        ret_parts->logs = fds[1 + word.tasks];
    return 0;
}

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/*
 * A copy held here would keep a connection, a pipe or the other end of its own control socket
 * alive. The descriptors up to AGENT_FD_LAST stay: they are among the launcher's first and never
 * given up, so that nothing received lands where the agent's go.
 */
static int close_inherited(const struct child_plan *plan)
{
    int kept[] = {plan->control, plan->status, plan->agent, plan->archive};
    int from = AGENT_FD_LAST + 1;

    qsort(kept, ARRAY_SIZE(kept), sizeof(kept[0]), compare_fds);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        if (kept[i] > from && close_range((unsigned)from, (unsigned)kept[i] - 1, 0) < 0)
            return -1;
        if (kept[i] >= from)
            from = kept[i] + 1;
    }
    return close_range((unsigned)from, ~0u, 0);
}

static int become_root(void)
{
    return setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0 ? -1 : 0;
}

/* 0 to 2: the sandbox's own /dev/null. */
static int arrange_standard_streams(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0)
        return -1;
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(null, fd) < 0)
            return -1;
    return close(null);
}

/* Then what the agent is handed; nothing else survives. */
static int arrange_descriptors(const struct child_plan *plan, const struct child_parts *parts)
{
    if (dup2(parts->listen, AGENT_FD_LISTEN) < 0)
        return -1;
    if (parts->logs < 0)
        (void)close(AGENT_FD_LOGS);
    else if (dup2(parts->logs, AGENT_FD_LOGS) < 0)
        return -1;
    if (plan->archive < 0)
        (void)close(AGENT_FD_ARCHIVE);
    else if (dup2(plan->archive, AGENT_FD_ARCHIVE) < 0)
        return -1;
    return close_range(AGENT_FD_LAST + 1, ~0u, CLOSE_RANGE_CLOEXEC);
}

/* What needs nothing of the second message. */
static void lock_down_early(const struct child_plan *plan)
{
    if (arrange_standard_streams() < 0)
        fail(plan, STEP_CHILD_DESCRIPTORS);
    if (privileges_drop_bounding(plan->profile) < 0)
        fail(plan, STEP_CHILD_BOUNDING);
    /* `dev` is allowed setuid programs, so it loads its filter by capability. */
    if (plan->profile != LAUNCHER_PROFILE_DEV && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        fail(plan, STEP_CHILD_SECCOMP);
}

/* The filter refuses what entering the cgroups takes. */
static void lock_down(const struct child_plan *plan)
{
    if (seccomp_load_program(plan->filter) < 0)
        fail(plan, STEP_CHILD_SECCOMP);
    if (privileges_keep_agent(plan->profile) < 0)
        fail(plan, STEP_CHILD_CAPABILITIES);
}

_Noreturn void child_run(const struct child_plan *plan)
{
    static char name[] = "atoll-agent";
    static char strict[] = "--profile=strict";
    static char dev[] = "--profile=dev";
    char capabilities[32];
    bool is_dev = plan->profile == LAUNCHER_PROFILE_DEV;
    char *const arguments[] = {name, is_dev ? dev : strict, is_dev ? capabilities : NULL, NULL};
    char *const environment[] = {NULL};
    const struct child_failure announcement = {STEP_CHILD_EXEC, 0};
    int mounts[FD_MESSAGE_MAX];
    struct child_parts parts;
    uint32_t step;

    (void)snprintf(capabilities, sizeof(capabilities), "--capabilities=%08x", plan->capabilities);
    if (close_inherited(plan) < 0)
        fail(plan, STEP_CHILD_INHERITED);
    if (sethostname("sandbox", 7) < 0)
        fail(plan, STEP_CHILD_HOSTNAME);
    if (lower_limits() < 0)
        fail(plan, STEP_CHILD_LIMITS);
    (void)setsid();
    (void)signal(SIGPIPE, SIG_DFL); /* the launcher ignores it */
    (void)umask(022);
    if (receive_mounts(plan->control, mounts) < 0)
        fail(plan, STEP_CHILD_RECEIVE);
    if (become_root() < 0)
        fail(plan, STEP_CHILD_ROOT_USER);
    if (child_root_enter(mounts, plan->shm_bytes, plan->read_only_root, &step) < 0)
        fail(plan, step);
    lock_down_early(plan);
    if (receive_parts(plan->control, &parts) < 0)
        fail(plan, STEP_CHILD_PARTS);
    /* The cgroup namespace is made when its root is the sandbox's group, so that nothing of the
     * host's tree shows in /proc/self/cgroup. */
    if (cgroup_enter(&parts.join) < 0 || unshare(CLONE_NEWCGROUP) < 0)
        fail(plan, STEP_CHILD_CGROUP);
    if (arrange_descriptors(plan, &parts) < 0)
        fail(plan, STEP_CHILD_DESCRIPTORS);
    lock_down(plan);
    (void)!write(plan->status, &announcement, sizeof(announcement));
    (void)execveat(plan->agent, "", arguments, environment, AT_EMPTY_PATH);
    fail(plan, STEP_CHILD_EXEC);
}
