/*
 * Idempotency keys: a request with one has its effect once, and every retry the same answer
 * (docs/api/idempotency.md).
 *
 * PostgreSQL decides: the key's row is written in the transaction of the first effect (db.h:
 * struct db_claim). Within this process a table of the keys at work spares the retries that
 * arrive meanwhile from running at all, and knows a row that this server left without an answer.
 */
#ifndef SERVER_SERVICES_IDEMPOTENCY_H
#define SERVER_SERVICES_IDEMPOTENCY_H

#include "lib/db/store_idempotency.h"
#include "server/services/services.h"

#include <sys/queue.h>

struct idempotency;

int idempotency_create(struct idempotency **ret_idempotency, struct error *err);

/* No request may be at work any more. NULL is allowed. */
void idempotency_free(struct idempotency *idempotency);

/* One request with a key. Zeroed at first; the claim's key must live as long. */
struct attempt {
    struct db_claim claim;
    bool at_work; /* entered in the table */
    LIST_ENTRY(attempt) link;
};

/* What idempotency_begin found. */
enum attempt_turn {
    ATTEMPT_RUNS,    /* nothing was done under the key: do it */
    ATTEMPT_REPLAYS, /* its answer is there */
    ATTEMPT_REMAKES, /* it was done and never answered: answer from claim.resource */
};

/*
 * Says what to do about a request whose claim has tenant, key, fingerprint and boot id, waiting
 * for another one with the key for a bounded time. ERR_IDEMPOTENCY when the key came with another
 * fingerprint, ERR_CONFLICT when the other is not done in time. On success idempotency_end must
 * follow; the caller frees *ret_answer, which ATTEMPT_REPLAYS fills.
 */
int idempotency_begin(struct services *services, const struct caller *caller,
                      struct attempt *attempt, enum attempt_turn *ret_turn,
                      struct store_answer *ret_answer, struct error *err);

/*
 * The request failed. True when it did so because another with the same key came first: the caller
 * begins again. False: the failure is its own.
 */
bool idempotency_lost(struct services *services, const struct caller *caller,
                      struct attempt *attempt);

/* What was done under the key has been undone: the request has its effect anew. */
int idempotency_forget(struct services *services, const struct caller *caller,
                       struct attempt *attempt, struct error *err);

/*
 * The request was answered. `answer` is kept for retries, unless too much of the tenant's is
 * (server.max_kept_answers_mb); NULL when it cannot be. Answers of 429 and of 500 and above never
 * are: the first had no effect, what the others had is unknown.
 */
void idempotency_end(struct services *services, const struct caller *caller,
                     struct attempt *attempt, int status, const struct store_answer *answer);

#endif
