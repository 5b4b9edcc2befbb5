/*
 * Sends deliveries, many at once (libcurl's multi interface): a slow endpoint takes a place, and
 * nobody's time.
 *
 * An endpoint is a tenant's word: only HTTP, no redirects, no proxy, no connection that another
 * delivery made, one time limit for everything, and no more of an answer than a bound. The address
 * is judged when it is connected to, so that a name cannot resolve to one thing for the check and
 * to another for the connection.
 *
 * One thread uses a sender; webhook_sender_wake alone may be called from others.
 */
#ifndef WORKER_WEBHOOK_SENDER_H
#define WORKER_WEBHOOK_SENDER_H

#include "lib/db/store_delivery.h"

#include <atoll/cleanup.h>
#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WEBHOOK_SENDER_MAX = 64 }; /* deliveries at once */

struct webhook_sender;

struct webhook_sender_options {
    uint32_t timeout_ms; /* of a delivery, from the name's look-up to the answer's end */
    bool allow_private;  /* connect to addresses that are not of the public Internet too */
};

/* The caller frees the sender. */
int webhook_sender_new(const struct webhook_sender_options *options,
                       struct webhook_sender **ret_sender, struct error *err);

/* Breaks off what is under way. */
void webhook_sender_free(struct webhook_sender *sender);

DEFINE_CLEANUP(struct webhook_sender *, webhook_sender, webhook_sender_free)

/* Begins to send a claim; its strings are copied. Fails when WEBHOOK_SENDER_MAX are under way. */
int webhook_sender_start(struct webhook_sender *sender, const struct delivery_claim *claim,
                         struct error *err);

/* How a delivery ended. */
struct webhook_result {
    struct id id;
    struct id webhook;
    int64_t attempts; /* of the claim */
    bool delivered;   /* answered with 2xx */
    long status;      /* of HTTP; 0: no answer */
    char error[128];  /* "" when delivered */
};

/* Moves data for at most `timeout_ms`, less when something ends or webhook_sender_wake is called.
 */
int webhook_sender_wait(struct webhook_sender *sender, int timeout_ms, struct error *err);

/* The next delivery that has ended; false when there is none. */
bool webhook_sender_next(struct webhook_sender *sender, struct webhook_result *ret_result);

/* Gives up one that is under way; false when there is none. */
bool webhook_sender_abandon(struct webhook_sender *sender, struct webhook_result *ret_result);

/* How many are under way, and of which webhooks; `busy` has room for WEBHOOK_SENDER_MAX. */
size_t webhook_sender_count(const struct webhook_sender *sender);
size_t webhook_sender_busy(const struct webhook_sender *sender, struct delivery_busy *busy);

/* Ends a webhook_sender_wait, or the next one. */
void webhook_sender_wake(struct webhook_sender *sender);

#endif
