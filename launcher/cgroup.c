#include "launcher/cgroup.h"

#include "launcher/cgroup_private.h"
#include "launcher/sys.h"

#include "lib/base/sandbox_name.h"
#include "lib/base/util.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

enum { CPU_PERIOD_USEC = 100000, GROUP_FILE_SIZE = SANDBOX_NAME_SIZE + 40 };

/* The descriptor of the hierarchy with this controller; -1 when the host has none. */
static int base_of(const struct cgroup_host *host, unsigned part)
{
    for (unsigned i = 0; i < host->count; i++)
        if (host->parts[i] & part)
            return host->bases[i];
    return -1;
}

static int write_group_file(const struct cgroup_host *host, unsigned part, const char *name,
                            const char *file, const char *value)
{
    char path[GROUP_FILE_SIZE];

    (void)snprintf(path, sizeof(path), "%s/%s", name, file);
    return sys_write_file(base_of(host, part), path, value);
}

static int write_number(const struct cgroup_host *host, unsigned part, const char *name,
                        const char *file, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return write_group_file(host, part, name, file, text);
}

static uint64_t cpu_quota_usec(const struct cgroup_limits *limits)
{
    /* The kernel's least quota is 1 ms (sched_rt.c, min_cfs_quota_period). */
    uint64_t quota = (uint64_t)limits->cpu_milli * (CPU_PERIOD_USEC / 1000);

    return quota < 1000 ? 1000 : quota;
}

static int limit_memory_v1(const struct cgroup_host *host, const char *name, uint64_t bytes)
{
    /* The limit without swap first: the one with swap may never be below it. */
    if (write_number(host, CGROUP_MEMORY, name, "memory.limit_in_bytes", bytes) < 0)
        return -1;
    if (host->memsw ? write_number(host, CGROUP_MEMORY, name, "memory.memsw.limit_in_bytes", bytes)
                    : write_number(host, CGROUP_MEMORY, name, "memory.swappiness", 0))
        return -1;
    /* Without a limit of their own, TCP buffers are not counted at all on v1. */
    if (!host->tcp_memory)
        return 0;
    return write_number(host, CGROUP_MEMORY, name, "memory.kmem.tcp.limit_in_bytes", bytes / 4);
}

static int limit_v1(const struct cgroup_host *host, unsigned parts, const char *name,
                    const struct cgroup_limits *limits)
{
    if ((parts & CGROUP_MEMORY) && limit_memory_v1(host, name, limits->memory_bytes) < 0)
        return -1;
    if ((parts & CGROUP_CPU) &&
        write_number(host, CGROUP_CPU, name, "cpu.cfs_quota_us", cpu_quota_usec(limits)) < 0)
        return -1;
    if ((parts & CGROUP_PIDS) &&
        write_number(host, CGROUP_PIDS, name, "pids.max", limits->pids_max) < 0)
        return -1;
    return 0;
}

static int limit_v2(const struct cgroup_host *host, const char *name,
                    const struct cgroup_limits *limits)
{
    char quota[48];

    (void)snprintf(quota, sizeof(quota), "%llu %d", (unsigned long long)cpu_quota_usec(limits),
                   CPU_PERIOD_USEC);
    if (write_number(host, CGROUP_MEMORY, name, "memory.max", limits->memory_bytes) < 0 ||
        write_group_file(host, CGROUP_CPU, name, "cpu.max", quota) < 0 ||
        write_number(host, CGROUP_PIDS, name, "pids.max", limits->pids_max) < 0)
        return -1;
    /* Absent in a kernel without swap, where there is nothing to forbid. */
    if (write_number(host, CGROUP_MEMORY, name, "memory.swap.max", 0) < 0 && errno != ENOENT)
        return -1;
    return 0;
}

static int open_group(const struct cgroup_host *host, unsigned index, const char *name)
{
    return openat(host->bases[index], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* In the first hierarchy only: its group is made first and removed last, so that a scan finds
 * whatever is left. */
static int mark_group(const struct cgroup_host *host, const char *name)
{
    _cleanup_close_ int group = open_group(host, 0, name);

    return group < 0 ? -1 : fsetxattr(group, CGROUP_MARK_NAME, host->mark, strlen(host->mark), 0);
}

/* Sets up the group that was just made; on success `*ret_fd` is what the child joins by. */
static int set_up_one(const struct cgroup_host *host, unsigned index, const char *name,
                      const struct cgroup_limits *limits, int *ret_fd)
{
    char path[GROUP_FILE_SIZE];
    int fd;

    if (index == 0 && mark_group(host, name) < 0)
        return -1;
    if ((host->v2 ? limit_v2(host, name, limits)
                  : limit_v1(host, host->parts[index], name, limits)) < 0)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/tasks", name);
    fd = host->v2 ? open_group(host, index, name)
                  : openat(host->bases[index], path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    *ret_fd = fd;
    return 0;
}

/* Removes the groups of the first `count` hierarchies, the marked one only when no other is left.
 */
static int remove_first(const struct cgroup_host *host, unsigned count, const char *name)
{
    int failure = 0;

    for (unsigned i = count; i-- > 0;)
        if ((i > 0 || failure == 0) && unlinkat(host->bases[i], name, AT_REMOVEDIR) < 0 &&
            errno != ENOENT)
            failure = errno;
    errno = failure;
    return failure ? -1 : 0;
}

/* `*ret_made` counts the hierarchies in which there is a group of ours now, also on failure. */
static int make_groups(const struct cgroup_host *host, const char *name,
                       const struct cgroup_limits *limits, struct cgroup_join *join,
                       unsigned *ret_made)
{
    for (unsigned i = 0; i < host->count; i++) {
        int fd = -1;

        if (mkdirat(host->bases[i], name, 0755) < 0)
            return -1;
        *ret_made = i + 1;
        if (set_up_one(host, i, name, limits, &fd) < 0)
            return -1;
        if (host->v2)
            join->into_fd = fd;
        else
            join->tasks_fds[join->tasks_count++] = fd;
    }
    return 0;
}

int cgroup_create(const struct cgroup_host *host, const char *name,
                  const struct cgroup_limits *limits, struct cgroup_join *ret_join)
{
    struct cgroup_join join = {.into_fd = -1};
    unsigned made = 0;
    int saved;

    if (make_groups(host, name, limits, &join, &made) == 0) {
        *ret_join = join;
        return 0;
    }
    saved = errno;
    cgroup_join_close(&join);
    /* A group that was there before is another sandbox's, not ours to remove. */
    (void)remove_first(host, made, name);
    errno = saved;
    return -1;
}

void cgroup_join_close(struct cgroup_join *join)
{
    cleanup_close(&join->into_fd);
    join->into_fd = -1;
    for (unsigned i = 0; i < join->tasks_count; i++)
        close(join->tasks_fds[i]);
    join->tasks_count = 0;
}

int cgroup_enter(const struct cgroup_join *join)
{
    /* "tasks", not "cgroup.procs", and by the thread itself: moving another process waits for a
     * grace period of the kernel's (13 ms against 57 µs for four groups). */
    for (unsigned i = 0; i < join->tasks_count; i++)
        if (write(join->tasks_fds[i], "0", 1) != 1)
            return -1;
    return 0;
}

int cgroup_rename(const struct cgroup_host *host, const char *from, const char *to)
{
    unsigned done = 0;
    int saved;

    /* A group that is there already is EEXIST: kernfs replaces none. */
    while (done < host->count && renameat(host->bases[done], from, host->bases[done], to) == 0)
        done++;
    if (done == host->count)
        return 0;
    saved = errno;
    while (done-- > 0)
        (void)renameat(host->bases[done], to, host->bases[done], from);
    errno = saved;
    return -1;
}

int cgroup_remove(const struct cgroup_host *host, const char *name)
{
    return remove_first(host, host->count, name);
}

int cgroup_freeze(const struct cgroup_host *host, const char *name, bool freeze)
{
    if (host->v2)
        return write_group_file(host, CGROUP_FREEZER, name, "cgroup.freeze", freeze ? "1" : "0");
    return write_group_file(host, CGROUP_FREEZER, name, "freezer.state",
                            freeze ? "FROZEN" : "THAWED");
}

int cgroup_frozen(const struct cgroup_host *host, const char *name, bool *ret_frozen)
{
    char path[GROUP_FILE_SIZE];
    char text[256];

    (void)snprintf(path, sizeof(path), "%s/%s", name, host->v2 ? "cgroup.events" : "freezer.state");
    if (sys_read_file(base_of(host, CGROUP_FREEZER), path, text, sizeof(text)) < 0)
        return -1;
    *ret_frozen = host->v2 ? strstr(text, "frozen 1") != NULL : strcmp(text, "FROZEN\n") == 0;
    return 0;
}

int cgroup_events(const struct cgroup_host *host, const char *name)
{
    char path[GROUP_FILE_SIZE];

    if (!host->v2) {
        errno = ENOTSUP;
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/cgroup.events", name);
    return openat(host->bases[0], path, O_RDONLY | O_CLOEXEC);
}

/* v1: the members of the group in one hierarchy, which only a thaw lets die. */
static void kill_members(int base, const char *name)
{
    _cleanup_free_ char *pids = NULL;
    char path[GROUP_FILE_SIZE];
    char *rest = NULL;
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/cgroup.procs", name);
    if (read_file(base, path, 1 << 20, &pids, &size, NULL) < 0)
        return;
    for (char *text = strtok_r(pids, "\n", &rest); text; text = strtok_r(NULL, "\n", &rest)) {
        uint64_t pid;

        if (parse_u64(text, INT32_MAX, &pid) && pid > 1)
            (void)kill((pid_t)pid, SIGKILL);
    }
}

int cgroup_kill(const struct cgroup_host *host, const char *name)
{
    /* cgroup.kill is of Linux 5.14. */
    if (host->v2)
        return write_group_file(host, CGROUP_FREEZER, name, "cgroup.kill", "1");
    /* Frozen while it is read, so that no fork slips through the list. */
    (void)cgroup_freeze(host, name, true);
    /* Of every hierarchy: a launcher that was killed as it renamed them left two names. */
    for (unsigned i = 0; i < host->count; i++)
        kill_members(host->bases[i], name);
    return cgroup_freeze(host, name, false);
}

int cgroup_unlimit_cpu(const struct cgroup_host *host, const char *name)
{
    return write_group_file(host, CGROUP_CPU, name, host->v2 ? "cpu.max" : "cpu.cfs_quota_us",
                            host->v2 ? "max" : "-1");
}

static uint64_t read_number(const struct cgroup_host *host, unsigned part, const char *name,
                            const char *file, const char *key)
{
    char path[GROUP_FILE_SIZE];
    char text[1024];
    char *found = text;
    uint64_t value;

    (void)snprintf(path, sizeof(path), "%s/%s", name, file);
    if (base_of(host, part) < 0 || sys_read_file(base_of(host, part), path, text, sizeof(text)) < 0)
        return UINT64_MAX;
    if (key) {
        found = strstr(text, key);
        if (!found)
            return UINT64_MAX;
        found += strlen(key);
    }
    found[strspn(found, "0123456789")] = '\0';
    return parse_u64(found, UINT64_MAX, &value) ? value : UINT64_MAX;
}

void cgroup_usage(const struct cgroup_host *host, const char *name,
                  struct launcher_usage *ret_usage)
{
    struct launcher_usage usage;

    if (host->v2) {
        usage.cpu_usec = read_number(host, CGROUP_CPU, name, "cpu.stat", "usage_usec ");
        usage.memory_peak_bytes = read_number(host, CGROUP_MEMORY, name, "memory.peak", NULL);
        usage.oom_kills = read_number(host, CGROUP_MEMORY, name, "memory.events", "oom_kill ");
    } else {
        usage.cpu_usec = read_number(host, CGROUP_CPUACCT, name, "cpuacct.usage", NULL);
        if (usage.cpu_usec != UINT64_MAX)
            usage.cpu_usec /= 1000;
        usage.memory_peak_bytes =
            read_number(host, CGROUP_MEMORY, name, "memory.max_usage_in_bytes", NULL);
        usage.oom_kills = read_number(host, CGROUP_MEMORY, name, "memory.oom_control", "oom_kill ");
    }
    usage.pids_peak = read_number(host, CGROUP_PIDS, name, "pids.peak", NULL);
    *ret_usage = usage;
}
