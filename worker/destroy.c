#include "lib/db/store_usage.h"
#include "worker/worker.h"

#include <atoll/log.h>

/* What cannot be noted is not charged for. */
static void note_usage(struct worker *worker, const struct id *id, uint32_t generation,
                       const struct launcher_usage *usage)
{
    static const struct store_origin origin = {.actor = "worker"};
    const struct store_usage_end end = {
        .id = *id,
        .generation = generation,
        .cpu_usec = usage->cpu_usec,
        .memory_peak_bytes = usage->memory_peak_bytes,
    };
    struct error failure;

    if (store_usage_note(worker->pool, NULL, &end, &origin, &failure) < 0)
        log_warn("what a sandbox used is not recorded: %s", failure.message);
}

int worker_destroy_container(struct worker *worker, const struct id *id, uint32_t generation,
                             struct error *err)
{
    struct launcher_usage usage;

    if (generation != 0)
        worker_end_processes(worker, id, generation);
    if (launcher_client_destroy(worker->launcher, id, generation, &usage, err) == 0) {
        note_usage(worker, id, generation, &usage);
        return 0;
    }
    return err->code == ERR_NOT_FOUND ? 0 : error_wrap(err, "cannot end a container");
}
