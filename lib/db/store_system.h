/*
 * What monitor and worker do across all tenants, as the role atoll_system: expiry, lost runs,
 * orphans, retention. Several workers may run: each claim belongs to one of them. Time is the
 * database's now(). For errors see db.h.
 */
#ifndef LIB_DB_STORE_SYSTEM_H
#define LIB_DB_STORE_SYSTEM_H

#include "lib/db/db.h"

#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a claim was made. X(symbol, word in the event) */
#define STORE_CLAIM_RULES(X)                                                                       \
    X(STORE_CLAIM_IDLE_TIMEOUT, "idle_timeout")                                                    \
    X(STORE_CLAIM_MAX_LIFETIME, "max_lifetime")                                                    \
    X(STORE_CLAIM_UNFINISHED, "unfinished") /* a deletion that its server did not finish */

enum store_claim_rule {
#define STORE_CLAIM_ENUM(symbol, word) symbol,
    STORE_CLAIM_RULES(STORE_CLAIM_ENUM)
#undef STORE_CLAIM_ENUM
};

/* A sandbox to remove; it is in state deleting. */
struct store_claim {
    struct id tenant;
    struct id id;
    enum store_claim_rule rule;
    bool container;        /* it has a disk, and lives whatever its runs do */
    uint32_t *generations; /* of its live runs, to destroy */
    size_t count;
};

struct store_claims {
    struct store_claim *items;
    size_t count;
};

void store_claims_free(struct store_claims *claims);

/*
 * Claims at most `limit` sandboxes whose lifetime, or as definitions idle timeout, is over, or
 * whose deletion has made no progress for half a minute. A claim lasts that long too: what this
 * worker does not finish is claimed again. The caller frees them.
 */
int store_claim_expired(struct db_pool *pool, uint32_t limit, struct store_claims *ret_claims,
                        struct error *err);

/* The end of a claim: state deleted, contents erased. False in *ret_finished when another did. */
int store_claim_finish(struct db_pool *pool, const struct id *id, bool *ret_finished,
                       struct error *err);

/*
 * Marks runs lost that nobody will end: those of an earlier start of their server, and those a
 * minute past their deadline. At most `limit`; *ret_count says how many.
 */
int store_mark_lost_runs(struct db_pool *pool, uint32_t limit, uint32_t *ret_count,
                         struct error *err);

/* A live native sandbox, as the launcher lists it. */
struct store_live {
    struct id id;
    uint32_t generation;
    uint64_t age_usec;
    bool orphan; /* set by store_find_orphans */
};

/*
 * Marks those that neither a live run of a sandbox nor a container owns. A generation newer than
 * the sandbox's row is spared until its time limit is over: PostgreSQL crashed and forgot an
 * asynchronous commit.
 */
int store_find_orphans(struct db_pool *pool, struct store_live *live, size_t count,
                       struct error *err);

/* What one round of retention removed. */
struct store_retained {
    uint64_t tombstones;
    uint64_t processes;
    uint64_t events;
    uint64_t idempotency_keys;
    uint64_t sample_partitions;
    bool full; /* of one kind as many as a call may look at: call again */
};

/* How long rows are kept, in seconds. */
struct store_ages {
    uint32_t ended_s;  /* tombstones of sandboxes, samples */
    uint32_t events_s; /* events and ended processes, which usage is counted from */
};

/*
 * Removes what is older than its age, and idempotency keys after a day: a bounded number of each
 * a call, and whole partitions of samples; makes the partitions to come. *inout_processes is where
 * the look at `processes` has come to, for the next call; zeros at the first.
 */
int store_retention(struct db_pool *pool, const struct store_ages *ages, struct id *inout_processes,
                    struct store_retained *ret_retained, struct error *err);

#endif
