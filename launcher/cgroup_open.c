/*
 * Finding the host's hierarchies. The mount table says where they are; nothing but `atoll` and, on
 * v2, the leaf `supervisor` is ever made in them.
 */
#include "launcher/cgroup.h"
#include "launcher/cgroup_private.h"
#include "launcher/sys.h"

#include "lib/base/util.h"
#include "lib/host/cgroup_mounts.h"

#include <atoll/cleanup.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int make_base(int parent, struct cgroup_host *host, unsigned parts, struct error *err)
{
    _cleanup_close_ int base = -1;

    if (mkdirat(parent, "atoll", 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "cannot make the cgroup `atoll`");
    base = openat(parent, "atoll", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (base < 0)
        return error_set_errno(err, errno, "cannot open the cgroup `atoll`");
    /* The monitor reads it without privileges, whoever made it. */
    if (fchmod(base, 0755) < 0)
        return error_set_errno(err, errno, "cannot open the cgroup `atoll` to readers");
    host->parts[host->count] = parts;
    host->bases[host->count++] = TAKE_FD(base);
    return 0;
}

/*
 * The v2 rule "no internal processes", which holds at the root that a container sees: whoever is in
 * `parent` goes to its leaf `supervisor`.
 */
static int move_to_leaf(int parent, struct error *err)
{
    _cleanup_free_ char *pids = NULL;
    _cleanup_close_ int leaf = -1;
    char *rest = NULL;
    size_t size;

    if (mkdirat(parent, "supervisor", 0755) < 0 && errno != EEXIST)
        return error_set_errno(err, errno, "cannot make the cgroup `supervisor`");
    leaf = openat(parent, "supervisor", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (leaf < 0)
        return error_set_errno(err, errno, "cannot open the cgroup `supervisor`");
    if (read_file(parent, "cgroup.procs", 1 << 20, &pids, &size, err) < 0)
        return -1;
    for (char *pid = strtok_r(pids, "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest))
        if (sys_write_file(leaf, "cgroup.procs", pid) < 0 && errno != ESRCH)
            return error_set_errno(err, errno, "cannot move process %s to `supervisor`", pid);
    return 0;
}

static int enable_controllers(int group, struct error *err)
{
    static const char wanted[] = "+memory +cpu +pids";
    char enabled[256];

    if (sys_read_file(group, "cgroup.subtree_control", enabled, sizeof(enabled)) < 0)
        return error_set_errno(err, errno, "cannot read cgroup.subtree_control");
    if (cgroup_words_hold(enabled, "memory") && cgroup_words_hold(enabled, "cpu") &&
        cgroup_words_hold(enabled, "pids"))
        return 0;
    if (sys_write_file(group, "cgroup.subtree_control", wanted) == 0)
        return 0;
    if (errno != EBUSY)
        return error_set_errno(err, errno, "cannot enable memory, cpu and pids for sub-cgroups");
    if (move_to_leaf(group, err) < 0)
        return -1;
    if (sys_write_file(group, "cgroup.subtree_control", wanted) < 0)
        return error_set_errno(err, errno, "cannot enable memory, cpu and pids for sub-cgroups");
    return 0;
}

/*
 * `atoll` goes to the root of the mount, also below systemd: in a unit's own delegated cgroup,
 * living sandboxes would keep systemd 252 from starting the unit again (the main process goes to
 * the unit's cgroup, which may hold none while its children have controllers: 219/CGROUP).
 */
static int open_v2(const struct cgroup_mounts *mounts, struct cgroup_host *host, struct error *err)
{
    _cleanup_close_ int parent = open(mounts->v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (parent < 0)
        return error_set_errno(err, errno, "cannot open %s", mounts->v2);
    host->v2 = true;
    if (enable_controllers(parent, err) < 0 || make_base(parent, host, CGROUP_V2_PARTS, err) < 0)
        return -1;
    return enable_controllers(host->bases[0], err);
}

static int open_v1(const struct cgroup_mounts *mounts, struct cgroup_host *host, struct error *err)
{
    for (unsigned i = 0; i < mounts->v1_count; i++) {
        unsigned parts = mounts->v1[i].controllers;
        _cleanup_close_ int parent = -1;

        if (parts == 0)
            continue;
        parent = open(mounts->v1[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
            return error_set_errno(err, errno, "cannot open %s", mounts->v1[i].path);
        if (make_base(parent, host, parts, err) < 0)
            return -1;
        if (parts & CGROUP_MEMORY) {
            host->memsw = faccessat(parent, "memory.memsw.limit_in_bytes", F_OK, 0) == 0;
            host->tcp_memory = faccessat(parent, "memory.kmem.tcp.limit_in_bytes", F_OK, 0) == 0;
            /* Without it the group `atoll` would not count what is below it; the kernel has had
             * no other mode since 5.11. */
            (void)sys_write_file(host->bases[host->count - 1], "memory.use_hierarchy", "1");
        }
    }
    return 0;
}

int cgroup_open(const char *mark, struct cgroup_host *ret_host, struct error *err)
{
    struct cgroup_mounts mounts;
    struct cgroup_host host = {.count = 0};

    if (cgroup_mounts_read(&mounts, err) < 0)
        return -1;
    if (snprintf(host.mark, sizeof(host.mark), "%s", mark) >= (int)sizeof(host.mark))
        return error_set(err, ERR_INTERNAL, "the run folder's path is too long");
    switch (cgroup_mounts_version(&mounts)) {
    case 2:
        if (open_v2(&mounts, &host, err) < 0)
            return -1;
        break;
    case 1:
        if (open_v1(&mounts, &host, err) < 0)
            return -1;
        break;
    default:
        return error_set(err, ERR_INTERNAL,
                         "the host's cgroups lack a controller: version 2 with memory, cpu and "
                         "pids, or version 1 with memory, cpu, pids and freezer is needed");
    }
    *ret_host = host;
    return 0;
}
