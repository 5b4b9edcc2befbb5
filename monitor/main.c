/*
 * atoll-monitor: every `monitor.interval_ms` it reads the counters of the live sandboxes and writes
 * them to PostgreSQL. It changes nothing else and needs no privilege. When the database is away, it
 * says so once and goes on; what it could not write then is not made up later.
 */
#include "lib/base/util.h"
#include "lib/runtime/daemon.h"
#include "monitor/sampler.h"

#include <atoll/log.h>
#include <inttypes.h>

struct monitor {
    struct daemon *daemon;
    bool failing; /* the last round failed, and the log says so */
    uint64_t unwritten_rounds;
};

static void report_failure(struct monitor *monitor, const struct error *err)
{
    monitor->unwritten_rounds++;
    if (monitor->failing)
        return;
    monitor->failing = true;
    daemon_log_failure(monitor->daemon, "samples are not written until this is over", err);
}

static void report_success(struct monitor *monitor, const struct sampler_round *round)
{
    if (monitor->failing)
        log_info("samples are written again; %" PRIu64 " rounds were not",
                 monitor->unwritten_rounds);
    monitor->failing = false;
    monitor->unwritten_rounds = 0;
    log_debug("%" PRIu64 " live sandboxes, %" PRIu64 " samples", round->live, round->written);
}

static void sample(struct monitor *monitor)
{
    struct sampler_round round;
    struct cgroup_mounts mounts;
    struct error err;

    /* Read anew each round: hierarchies may be mounted, and controllers enabled, at any time. */
    if (cgroup_mounts_read(&mounts, &err) < 0 ||
        sampler_run(monitor->daemon->pool, &mounts, &round, &err) < 0)
        report_failure(monitor, &err);
    else
        report_success(monitor, &round);
}

static int run(struct daemon *daemon, struct error *err)
{
    struct monitor monitor = {.daemon = daemon};
    int64_t next = monotonic_usec();

    (void)err;
    log_info("a sample of every live sandbox each %" PRId64 " ms",
             daemon->config.monitor_interval_ms);
    for (;;) {
        int64_t now;

        switch (daemon_wait(daemon->signals, next)) {
        case DAEMON_STOP:
            return 0;
        case DAEMON_RELOAD:
            daemon_reload(daemon);
            continue;
        case DAEMON_DEADLINE:
            break;
        }
        sample(&monitor);
        /* Rounds that a slow one has eaten are skipped, not caught up with. */
        now = monotonic_usec();
        next += daemon->config.monitor_interval_ms * 1000;
        if (next < now)
            next = now;
    }
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "atoll-monitor",
        .purpose = "Writes the counters of the live sandboxes to PostgreSQL",
    };

    return daemon_main(&program, run, argc, argv);
}
