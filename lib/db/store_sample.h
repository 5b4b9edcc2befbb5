/* The monitor's samples of live sandboxes, written as the role atoll_system. For errors see db.h.
 */
#ifndef LIB_DB_STORE_SAMPLE_H
#define LIB_DB_STORE_SAMPLE_H

#include "lib/db/db.h"

#include <atoll/id.h>
#include <stddef.h>
#include <stdint.h>

/* One reading. Counters that the kernel does not keep are UINT64_MAX and stored as NULL. */
struct store_sample {
    struct id id;
    uint32_t generation;
    uint64_t cpu_usec;     /* since the sandbox's creation */
    uint64_t memory_bytes; /* in use now */
    uint64_t pids;         /* processes and threads now */
};

/*
 * Writes the samples by COPY with one time stamp, the database's now(). Those of sandboxes that the
 * database does not know are left out: *ret_written says how many were not.
 */
int store_samples_write(struct db_pool *pool, const struct store_sample *samples, size_t count,
                        uint64_t *ret_written, struct error *err);

#endif
