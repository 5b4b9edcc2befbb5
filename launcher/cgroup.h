/*
 * Control groups, version 1 and 2 behind one interface.
 *
 * Every sandbox has a group `atoll/<name>`: on v2 one, on v1 one in each hierarchy that holds a
 * controller we use. The first one carries the launcher's mark (an extended attribute with the run
 * folder's path), so that a start-up scan can tell its own from those of another launcher on the
 * host. It is made first and removed last.
 *
 * cgroup_open and cgroup_scan fill a `struct error`; the rest behave as system calls do (-1 and
 * errno), because a failure travels as (step, errno).
 */
#ifndef LAUNCHER_CGROUP_H
#define LAUNCHER_CGROUP_H

#include <atoll/error.h>
#include <atoll/launcher_proto.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CGROUP_HIERARCHIES = 5, CGROUP_MARK_SIZE = 256 };

struct cgroup_limits {
    uint64_t memory_bytes;
    uint32_t cpu_milli; /* thousandths of a core */
    uint32_t pids_max;
};

/* How a child comes into its groups. */
struct cgroup_join {
    int into_fd;                       /* v2: for CLONE_INTO_CGROUP; else -1 */
    int tasks_fds[CGROUP_HIERARCHIES]; /* v1: the child writes "0" to each */
    unsigned tasks_count;
};

struct cgroup_host {
    bool v2;
    unsigned count;                     /* hierarchies */
    int bases[CGROUP_HIERARCHIES];      /* folder descriptors of `atoll` */
    unsigned parts[CGROUP_HIERARCHIES]; /* controllers in each, bits of cgroup.c */
    bool memsw;                         /* v1: memory.memsw.* exists */
    bool tcp_memory;                    /* v1: memory.kmem.tcp.* exists */
    char mark[CGROUP_MARK_SIZE];
};

/*
 * Finds the host's hierarchies and makes `atoll` in them. `mark` is the run folder's real path.
 * Fails in clear words when memory, cpu or pids (v1: freezer too) is missing.
 */
int cgroup_open(const char *mark, struct cgroup_host *ret_host, struct error *err);

/* Makes a sandbox's groups with their limits. On failure nothing is left. */
int cgroup_create(const struct cgroup_host *host, const char *name,
                  const struct cgroup_limits *limits, struct cgroup_join *ret_join);

void cgroup_join_close(struct cgroup_join *join);

/* Child side, v1: enters the groups. v2: nothing to do. */
int cgroup_enter(const struct cgroup_join *join);

/*
 * v1: gives the groups another name, the marked one first, so that a scan finds the new name as
 * soon as a group has it. On failure all have the old one. v2 has no rename: EPERM.
 */
int cgroup_rename(const struct cgroup_host *host, const char *from, const char *to);

/* Removes the groups. EBUSY while a process is dying in one of them; absent ones are no failure. */
int cgroup_remove(const struct cgroup_host *host, const char *name);

/* Kills everything in the groups that can be killed at once, frozen or not. */
int cgroup_kill(const struct cgroup_host *host, const char *name);

/* Takes the limit of processor time away. For what is being killed: until a process has had its
 * turn it cannot die, and a spent quota leaves many of them without one for seconds. */
int cgroup_unlimit_cpu(const struct cgroup_host *host, const char *name);

/* Starts a freeze or a thaw; cgroup_frozen says when a freeze is whole. */
int cgroup_freeze(const struct cgroup_host *host, const char *name, bool freeze);
int cgroup_frozen(const struct cgroup_host *host, const char *name, bool *ret_frozen);

/* v2: a descriptor that polls EPOLLPRI when the frozen state changes; v1 has none: -1, ENOTSUP. */
int cgroup_events(const struct cgroup_host *host, const char *name);

/* Reads the counters; those the kernel does not keep are UINT64_MAX. */
void cgroup_usage(const struct cgroup_host *host, const char *name,
                  struct launcher_usage *ret_usage);

/* True when the process `pid` is in the sandbox's group (of every hierarchy on v1). */
bool cgroup_holds(const struct cgroup_host *host, const char *name, pid_t pid);

/* Calls `visit` with the name of each sandbox whose first group has our naming pattern and our
 * mark. */
int cgroup_scan(const struct cgroup_host *host, void (*visit)(const char *name, void *context),
                void *context, struct error *err);

#endif
