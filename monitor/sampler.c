#include "monitor/sampler.h"

#include "lib/db/store_sample.h"
#include "lib/runtime/cgroup_stats.h"

#include <errno.h>
#include <stdlib.h>

static int write_readings(struct db_pool *pool, const struct cgroup_reading *readings, size_t count,
                          uint64_t *ret_written, struct error *err)
{
    _cleanup_free_ struct store_sample *samples = calloc(count, sizeof(*samples));

    if (!samples)
        return error_set_errno(err, ENOMEM, "cannot write %zu samples", count);
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct store_sample){.id = readings[i].id,
                                           .generation = readings[i].generation,
                                           .cpu_usec = readings[i].cpu_usec,
                                           .memory_bytes = readings[i].memory_bytes,
                                           .pids = readings[i].pids};
    return store_samples_write(pool, samples, count, ret_written, err);
}

int sampler_run(struct db_pool *pool, const struct cgroup_mounts *mounts,
                struct sampler_round *ret_round, struct error *err)
{
    _cleanup_free_ struct cgroup_reading *readings = NULL;
    uint64_t written = 0;
    size_t count;

    if (cgroup_stats_read(mounts, &readings, &count, err) < 0)
        return -1;
    if (count > 0 && write_readings(pool, readings, count, &written, err) < 0)
        return -1;
    *ret_round = (struct sampler_round){.live = count, .written = written};
    return 0;
}
