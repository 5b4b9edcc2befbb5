/*
 * Requests with an `Idempotency-Key` (docs/api/idempotency.md): what the router calls around the
 * handler of every route that changes something.
 */
#ifndef SERVER_HANDLERS_IDEMPOTENT_H
#define SERVER_HANDLERS_IDEMPOTENT_H

#include "server/handlers/call.h"
#include "server/services/idempotency.h"

/* What the route says about a retry. */
struct idempotent_plan {
    call_handler handler;
    call_handler remake; /* shows what the effect was on, when no answer was kept; NULL: none */
    /* When `remake` finds nothing: it is a success without a body, or what was made has been undone
     * and is made again. */
    bool gone_is_done;
    bool gone_runs_again;
    bool keeps_answer; /* false: it holds a secret, which is shown once and stored nowhere */
    int status;        /* of success */
};

/*
 * True for a request that changes something and has a key. Fails with ERR_INVALID_FIELD for a key
 * that is not 1 to 255 visible ASCII characters, or came twice.
 */
int idempotent_wanted(const struct call *call, bool *ret_wanted, struct error *err);

/*
 * Calls the handler, or answers as the earlier request with the key was. `attempt` (zeroed) must
 * live until idempotent_end, which follows the answer also when this failed.
 */
int idempotent_run(struct call *call, const struct idempotent_plan *plan, struct attempt *attempt,
                   struct error *err);

/* Keeps the answer for retries. Does nothing for a request without a key. */
void idempotent_end(struct call *call, const struct idempotent_plan *plan, struct attempt *attempt);

#endif
