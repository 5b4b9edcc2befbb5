#include "lib/db/store_system.h"
#include "worker/worker.h"

#include <atoll/log.h>
#include <errno.h>
#include <stdlib.h>

enum {
    LOST_A_ROUND = 256,
    ORPHAN_AGE_USEC = 10 * 1000 * 1000, /* a run's row is there before its sandbox is asked for */
};

/* The live sandboxes that are old enough to be judged. */
static int list_candidates(struct worker *worker, struct store_live **ret_live, size_t *ret_count,
                           struct error *err)
{
    _cleanup_free_ struct launcher_entry *entries = NULL;
    _cleanup_free_ struct store_live *live = NULL;
    size_t listed = 0;
    size_t count = 0;

    if (launcher_client_list(worker->launcher, &entries, &listed, err) < 0)
        return -1;
    live = calloc(listed + 1, sizeof(*live));
    if (!live)
        return error_set_errno(err, ENOMEM, "cannot look for orphans");
    for (size_t i = 0; i < listed; i++)
        if (entries[i].age_usec > ORPHAN_AGE_USEC)
            live[count++] = (struct store_live){.id = entries[i].id,
                                                .generation = entries[i].generation,
                                                .age_usec = entries[i].age_usec};
    *ret_live = TAKE_PTR(live);
    *ret_count = count;
    return 0;
}

static int destroy_orphan(struct worker *worker, const struct store_live *orphan, struct error *err)
{
    char sandbox[ID_TEXT_SIZE];

    if (launcher_client_destroy(worker->launcher, &orphan->id, orphan->generation, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? 0 : error_wrap(err, "cannot destroy an orphan");
    id_format(&orphan->id, sandbox);
    log_identity(NULL, sandbox, NULL);
    log_warn("destroyed generation %u: no live run owned it", orphan->generation);
    log_identity(NULL, NULL, NULL);
    return 0;
}

static int sweep_orphans(struct worker *worker, struct worker_round *round, struct error *err)
{
    _cleanup_free_ struct store_live *live = NULL;
    size_t count = 0;
    int status = 0;

    if (list_candidates(worker, &live, &count, err) < 0)
        return -1;
    if (count == 0)
        return 0;
    if (store_find_orphans(worker->pool, live, count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (!live[i].orphan)
            continue;
        if (destroy_orphan(worker, &live[i], err) < 0)
            status = -1;
        else
            round->done++;
    }
    return status;
}

int worker_reconcile(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    struct worker_round round = {.done = 0};
    uint32_t lost;

    if (store_mark_lost_runs(worker->pool, LOST_A_ROUND, &lost, err) < 0)
        return -1;
    if (lost > 0)
        log_warn("%u runs are lost: their server was restarted or did not end them in time", lost);
    round.done = lost;
    round.more = lost == LOST_A_ROUND;
    if (!round.more && sweep_orphans(worker, &round, err) < 0)
        return -1;
    *ret_round = round;
    return 0;
}
