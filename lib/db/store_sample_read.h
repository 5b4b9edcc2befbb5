/* What the monitor has sampled, on a tenant's behalf. For errors see db.h. */
#ifndef LIB_DB_STORE_SAMPLE_READ_H
#define LIB_DB_STORE_SAMPLE_READ_H

#include "lib/db/db.h"

#include <stdint.h>

struct store_sample_past {
    int64_t cpu_usec; /* since the sandbox's creation; -1: the kernel does not say */
    int64_t age_usec; /* how long ago that was */
};

/*
 * The newest sample of a sandbox's generation that is a second old or more, so that what it used
 * since can be told: its age is 0 when there is none of the last minute.
 */
int store_sample_past(struct db_pool *pool, const struct db_scope *scope, const struct id *sandbox,
                      uint32_t generation, struct store_sample_past *ret_past, struct error *err);

#endif
