/*
 * One round of sampling: the counters of every live sandbox on this host, written to the database
 * in one batch.
 */
#ifndef MONITOR_SAMPLER_H
#define MONITOR_SAMPLER_H

#include "lib/db/db.h"
#include "lib/host/cgroup_mounts.h"

#include <atoll/error.h>
#include <stdint.h>

/* What a round did. */
struct sampler_round {
    uint64_t live;    /* sandboxes that the host has */
    uint64_t written; /* those of them that the database knows */
};

/* Reads and writes. With no live sandbox it does not ask the database anything. */
int sampler_run(struct db_pool *pool, const struct cgroup_mounts *mounts,
                struct sampler_round *ret_round, struct error *err);

#endif
