/*
 * Deliveries as the worker sees them: events become deliveries, deliveries are claimed, sent by the
 * caller, and finished. Rows of all tenants (role atoll_system). For the errors see db.h.
 *
 * A delivery is sent at least once: a claim is a lease, and one that is not finished before it ends
 * is made again, also by another worker.
 */
#ifndef LIB_DB_STORE_DELIVERY_H
#define LIB_DB_STORE_DELIVERY_H

#include "lib/db/db.h"

#include <atoll/id.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Turns at most `limit` events into deliveries, and goes on behind them with the next call. Only
 * events of transactions that are older than every running one are taken, so that none appears
 * behind those that were taken. A webhook gets no event that is older than itself; what finds
 * `waiting_max` deliveries of its webhook pending becomes one that is dead. *ret_more: there may be
 * more of them right away.
 */
int store_delivery_fan_out(struct db_pool *pool, uint32_t limit, uint32_t waiting_max,
                           bool *ret_more, struct error *err);

/* A delivery to send. Strings belong to the list. */
struct delivery_claim {
    struct id id;
    struct id webhook;
    struct id tenant;
    int64_t attempts; /* with this one; names the claim */
    const char *url;
    const char *secret;
    const char *kind;
    const char *body;
};

struct delivery_claims {
    struct delivery_claim *items;
    size_t count;
    void *owner;
};

void delivery_claims_free(struct delivery_claims *claims);

/* How many deliveries of a webhook the caller sends already. */
struct delivery_busy {
    struct id webhook;
    uint32_t count;
};

struct delivery_room {
    uint32_t total;       /* claims, at most */
    uint32_t per_webhook; /* with those under way */
    uint32_t lease_ms;
    const struct delivery_busy *busy;
    size_t busy_count;
};

/* Claims what is due to active tenants, the longest first. The caller frees the claims. */
int store_delivery_claim(struct db_pool *pool, const struct delivery_room *room,
                         struct delivery_claims *ret_claims, struct error *err);

/* What became of a claim. */
struct delivery_outcome {
    struct id id;
    int64_t attempts; /* of the claim: the result of one that was made again is not wanted */
    bool delivered;
    bool last;           /* no further attempt: state dead */
    uint32_t retry_ms;   /* else: the next one is after so long */
    int64_t http_status; /* 0: none */
    const char *error;   /* NULL: none */
};

int store_delivery_finish(struct db_pool *pool, const struct delivery_outcome *outcome,
                          struct error *err);

/* Ends, as dead, at most `limit` deliveries that are due and have been pending for over `age_s`. */
int store_delivery_give_up(struct db_pool *pool, uint32_t age_s, uint32_t limit,
                           uint64_t *ret_count, struct error *err);

/* Removes at most `limit` deliveries that ended more than `age_s` ago. */
int store_delivery_prune(struct db_pool *pool, uint32_t age_s, uint32_t limit, uint64_t *ret_count,
                         struct error *err);

#endif
