/*
 * The kernel's counters of every live sandbox on this host, read without privileges from its
 * control groups (`atoll/<32 hex digits>.<generation>`, made by the launcher). Version 1 keeps them
 * in several hierarchies, version 2 in one, below the root or below a delegated group.
 */
#ifndef LIB_RUNTIME_CGROUP_STATS_H
#define LIB_RUNTIME_CGROUP_STATS_H

#include "lib/host/cgroup_mounts.h"

#include <atoll/error.h>
#include <atoll/id.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel does not say is UINT64_MAX. */
struct cgroup_reading {
    struct id id;
    uint32_t generation;
    uint64_t cpu_usec;     /* since the group was made */
    uint64_t memory_bytes; /* charged now, page cache included */
    uint64_t pids;         /* processes and threads now */
};

/*
 * Reads all of them. `*ret_readings` is allocated, the caller's to free; NULL when there are none.
 * A sandbox that ends meanwhile is left out or has fewer counters. Groups of other launchers on the
 * host are among them: who knows the ids decides. That no launcher has run yet is no error;
 * a group `atoll` that this process may not read is one.
 */
int cgroup_stats_read(const struct cgroup_mounts *mounts, struct cgroup_reading **ret_readings,
                      size_t *ret_count, struct error *err);

/* Reads one. `mounts` NULL: as this host has them now. ERR_NOT_FOUND when it has ended. */
int cgroup_stats_read_one(const struct cgroup_mounts *mounts, const struct id *id,
                          uint32_t generation, struct cgroup_reading *ret_reading,
                          struct error *err);

#endif
