#include "lib/db/store_system.h"
#include "worker/worker.h"

#include <atoll/log.h>

enum { CLAIMS_A_ROUND = 32 };

static const char *const rule_words[] = {
#define RULE_WORD(symbol, word) [symbol] = (word),
    STORE_CLAIM_RULES(RULE_WORD)
#undef RULE_WORD
};

/* Every generation of it, its disk and its logs. In steps: only the first one tells what it used.
 */
static int destroy_container(struct worker *worker, const struct store_claim *claim,
                             struct error *err)
{
    const struct id *id = &claim->id;

    /* The generations are those of processes without an end, in no order. */
    for (size_t i = 0; i < claim->count; i++)
        if (i == 0 || claim->generations[i] != claim->generations[i - 1])
            worker_end_processes(worker, id, claim->generations[i]);
    if (worker_destroy_container(worker, id, 0, err) < 0)
        return -1;
    if (launcher_client_destroy_with_disk(worker->launcher, id, err) < 0 &&
        err->code != ERR_NOT_FOUND)
        return error_wrap(err, "cannot end an expired container");
    if (launcher_client_remove_logs(worker->launcher, id, 0, err) < 0 && err->code != ERR_NOT_FOUND)
        return error_wrap(err, "cannot remove the logs of an expired container");
    return 0;
}

static int destroy_runs(struct worker *worker, const struct store_claim *claim, struct error *err)
{
    for (size_t i = 0; i < claim->count; i++)
        if (launcher_client_destroy(worker->launcher, &claim->id, claim->generations[i], NULL,
                                    err) < 0 &&
            err->code != ERR_NOT_FOUND)
            return error_wrap(err, "cannot end a run of an expired sandbox");
    return 0;
}

static int remove_claimed(struct worker *worker, const struct store_claim *claim,
                          struct worker_round *round, struct error *err)
{
    char tenant[ID_TEXT_SIZE];
    char sandbox[ID_TEXT_SIZE];
    bool finished;

    if ((claim->container && destroy_container(worker, claim, err) < 0) ||
        destroy_runs(worker, claim, err) < 0 ||
        store_claim_finish(worker->pool, &claim->id, &finished, err) < 0)
        return -1;
    if (!finished)
        return 0;
    id_format(&claim->tenant, tenant);
    id_format(&claim->id, sandbox);
    log_identity(tenant, sandbox, NULL);
    log_info("removed: %s, %zu runs ended", rule_words[claim->rule], claim->count);
    log_identity(NULL, NULL, NULL);
    round->done++;
    return 0;
}

int worker_expire(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    _cleanup_(store_claims_free) struct store_claims claims = {.items = NULL};
    struct worker_round round = {.done = 0};
    int status = 0;

    if (store_claim_expired(worker->pool, CLAIMS_A_ROUND, &claims, err) < 0)
        return -1;
    /* One that cannot be removed holds none of the others up. */
    for (size_t i = 0; i < claims.count; i++)
        if (remove_claimed(worker, &claims.items[i], &round, err) < 0)
            status = -1;
    if (status < 0)
        return -1;
    round.more = claims.count == CLAIMS_A_ROUND;
    *ret_round = round;
    return 0;
}
