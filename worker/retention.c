#include "lib/db/store_delivery.h"
#include "lib/db/store_system.h"
#include "worker/worker.h"

#include <atoll/log.h>
#include <inttypes.h>

enum { DELIVERIES_A_ROUND = 10000 };

/* Deliveries: what waited too long is given up, what ended too long ago is removed. */
static int retain_deliveries(struct worker *worker, struct worker_round *round, struct error *err)
{
    const struct config *config = worker->config;
    uint64_t given_up, removed;

    if (store_delivery_give_up(worker->pool, (uint32_t)config->webhooks_max_age_s,
                               DELIVERIES_A_ROUND, &given_up, err) < 0 ||
        store_delivery_prune(worker->pool, (uint32_t)config->monitor_retention_s,
                             DELIVERIES_A_ROUND, &removed, err) < 0)
        return -1;
    if (given_up + removed > 0)
        log_info("webhooks: gave up %" PRIu64 " deliveries, removed %" PRIu64, given_up, removed);
    round->done += given_up + removed;
    round->more |= given_up == DELIVERIES_A_ROUND || removed == DELIVERIES_A_ROUND;
    return 0;
}

static int retain_rows(struct worker *worker, struct worker_round *round, struct error *err)
{
    const struct store_ages ages = {
        .ended_s = (uint32_t)worker->config->monitor_retention_s,
        .events_s = (uint32_t)worker->config->events_retention_s,
    };
    struct store_retained retained;
    uint64_t done;

    if (store_retention(worker->pool, &ages, &worker->pruned, &retained, err) < 0)
        return -1;
    done = retained.tombstones + retained.processes + retained.events + retained.idempotency_keys +
           retained.sample_partitions;
    if (done > 0)
        log_info("retention: removed %" PRIu64 " tombstones, %" PRIu64 " processes, %" PRIu64
                 " events, %" PRIu64 " idempotency keys, %" PRIu64 " hours of samples",
                 retained.tombstones, retained.processes, retained.events,
                 retained.idempotency_keys, retained.sample_partitions);
    round->done += done;
    round->more |= retained.full;
    return 0;
}

int worker_retain(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    struct worker_round round = {.done = 0};

    if (retain_rows(worker, &round, err) < 0 || retain_deliveries(worker, &round, err) < 0)
        return -1;
    *ret_round = round;
    return 0;
}
