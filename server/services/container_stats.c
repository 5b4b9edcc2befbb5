#include "server/services/container_stats.h"

#include "lib/base/util.h"
#include "lib/db/store_sample_read.h"
#include "lib/runtime/agent_files.h"
#include "lib/runtime/cgroup_stats.h"
#include "server/services/agents.h"

#include <time.h>

enum { DISK_USEC = 1000 * 1000 }; /* for the sandbox's answer */

static int64_t now_usec(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Since the monitor's last sample; without one, since the start. */
static double cpu_percent(const struct container_record *record,
                          const struct store_sample_past *past, uint64_t cpu_usec)
{
    int64_t used = (int64_t)cpu_usec - (past->cpu_usec < 0 ? 0 : past->cpu_usec);
    int64_t span = past->cpu_usec < 0 ? now_usec() - record->started_usec : past->age_usec;

    return used > 0 && span > 0 ? 100.0 * (double)used / (double)span : 0;
}

static uint64_t known(uint64_t counter)
{
    return counter == UINT64_MAX ? 0 : counter;
}

/* What the writable layer holds. One that stands still would not answer. */
static uint64_t disk_bytes(struct services *services, const struct container_record *record)
{
    int64_t deadline = monotonic_usec() + DISK_USEC;
    uint64_t most = (uint64_t)record->disk_mb << 20;
    _cleanup_agent_use_ struct agent_use agent = {.client = NULL};
    struct error unneeded;
    uint64_t used;

    if (record->state != SANDBOX_RUNNING ||
        agents_connect(services, &record->id, record->generation, deadline, &agent, &unneeded) <
            0 ||
        agent_files_disk(agent.client, deadline, &used, &unneeded) < 0)
        return 0;
    return used < most ? used : most;
}

int container_stats_read(struct services *services, const struct caller *caller,
                         const struct container_record *record, struct container_stats *ret_stats,
                         struct error *err)
{
    struct db_scope scope = caller_scope(caller);
    struct store_sample_past past;
    struct cgroup_reading reading;

    if (store_sample_past(services->db, &scope, &record->id, record->generation, &past, err) < 0)
        return -1;
    if (cgroup_stats_read_one(NULL, &record->id, record->generation, &reading, err) < 0) {
        if (err->code != ERR_NOT_FOUND)
            return -1;
        *ret_stats = (struct container_stats){.pids = 0}; /* it does not run */
        return 0;
    }
    *ret_stats = (struct container_stats){
        .cpu_percent = cpu_percent(record, &past, known(reading.cpu_usec)),
        .memory_bytes = known(reading.memory_bytes),
        .pids = known(reading.pids),
        .disk_bytes = disk_bytes(services, record),
    };
    return 0;
}
