#include "lib/db/store_delivery.h"
#include "lib/db/store_system.h"
#include "worker/worker.h"

#include <atoll/log.h>
#include <inttypes.h>

enum { DELIVERIES_A_ROUND = 10000 };

int worker_retain(struct worker *worker, struct worker_round *ret_round, struct error *err)
{
    const struct store_ages ages = {
        .ended_s = (uint32_t)worker->config->monitor_retention_s,
        .events_s = (uint32_t)worker->config->events_retention_s,
    };
    struct store_retained retained;
    uint64_t deliveries;
    uint64_t done;

    if (store_retention(worker->pool, &ages, &retained, err) < 0 ||
        store_delivery_prune(worker->pool, ages.ended_s, DELIVERIES_A_ROUND, &deliveries, err) < 0)
        return -1;
    done = retained.tombstones + retained.processes + retained.events + retained.idempotency_keys +
           retained.sample_partitions + deliveries;
    if (done > 0)
        log_info("retention: removed %" PRIu64 " tombstones, %" PRIu64 " processes, %" PRIu64
                 " events, %" PRIu64 " idempotency keys, %" PRIu64 " hours of samples, %" PRIu64
                 " webhook deliveries",
                 retained.tombstones, retained.processes, retained.events,
                 retained.idempotency_keys, retained.sample_partitions, deliveries);
    *ret_round = (struct worker_round){.done = done,
                                       .more = retained.full || deliveries == DELIVERIES_A_ROUND};
    return 0;
}
