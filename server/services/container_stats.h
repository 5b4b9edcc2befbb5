/* What a container uses at this moment. */
#ifndef SERVER_SERVICES_CONTAINER_STATS_H
#define SERVER_SERVICES_CONTAINER_STATS_H

#include "server/services/services.h"

#include <atoll/container.h>

/* Zeros for one that does not run, and for what the kernel or the sandbox does not say. */
struct container_stats {
    double cpu_percent;    /* of one core, over the last seconds */
    uint64_t memory_bytes; /* charged now, page cache included */
    uint64_t pids;         /* processes and threads now */
    uint64_t disk_bytes;   /* on its disk, as it claims; at most the disk's size */
};

/* Reads the counters of the container's native sandbox, which must be on this host. */
int container_stats_read(struct services *services, const struct caller *caller,
                         const struct container_record *record, struct container_stats *ret_stats,
                         struct error *err);

#endif
