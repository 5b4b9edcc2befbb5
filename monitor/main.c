/*
 * atoll-monitor: every `monitor.interval_ms` it reads the counters of the live sandboxes and writes
 * them to PostgreSQL. It changes nothing else and needs no privilege. When the database is away, it
 * says so once and goes on; what it could not write then is not made up later.
 */
#include "lib/base/util.h"
#include "lib/config/config.h"
#include "lib/db/migrate.h"
#include "lib/runtime/daemon.h"
#include "monitor/sampler.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_RETRY_USEC = 1000000 };

struct monitor {
    struct config config;
    struct config_options options;
    struct db_pool *pool;
    int signals;
    bool failing; /* the last round failed, and the log says so */
    uint64_t unwritten_rounds;
};

static void monitor_done(struct monitor *monitor)
{
    db_pool_free(monitor->pool);
    cleanup_close(&monitor->signals);
    config_done(&monitor->config);
}

static void apply_logging(const struct config *config)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_INFO;

    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (strcmp(config->logging_level, levels[i]) == 0)
            level = (enum log_level)i;
    log_init("atoll-monitor", level, strcmp(config->logging_format, "json") == 0);
}

static int open_monitor(struct monitor *monitor, int argc, char **argv, struct error *err)
{
    if (config_take_options(&argc, argv, &monitor->options, err) < 0)
        return -1;
    if (argc > 1)
        return error_set(err, ERR_INTERNAL, "unknown argument: %s", argv[1]);
    if (config_load(&monitor->options, &monitor->config, NULL, err) < 0)
        return -1;
    apply_logging(&monitor->config);
    if (daemon_signals_open(&monitor->signals, err) < 0)
        return -1;
    return db_pool_create(monitor->config.database_system_url, 1, "atoll-monitor", &monitor->pool,
                          err);
}

/* Applies what may change while running. A file that has become wrong changes nothing. */
static void reload(struct monitor *monitor)
{
    struct config fresh;
    struct error err;

    if (config_load(&monitor->options, &fresh, NULL, &err) < 0) {
        log_error("the configuration is not reloaded: %s", err.message);
        return;
    }
    monitor->config.monitor_interval_ms = fresh.monitor_interval_ms;
    config_done(&fresh);
    log_info("reloaded: a sample every %" PRId64 " ms", monitor->config.monitor_interval_ms);
}

static void report_failure(struct monitor *monitor, const struct error *err)
{
    char reason[ERROR_MESSAGE_MAX] = "";

    monitor->unwritten_rounds++;
    if (monitor->failing)
        return;
    monitor->failing = true;
    if (err->code == ERR_UNAVAILABLE)
        db_pool_failure(monitor->pool, reason);
    log_warn("samples are not written until this is over: %s%s%s", err->message,
             reason[0] ? ": " : "", reason);
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

/* Waits for the schema; 1 when a signal ended the wait. */
static int await_schema(struct monitor *monitor, struct error *err)
{
    while (db_check_schema(monitor->pool, db_migrations, db_migrations_count, err) < 0) {
        if (err->code != ERR_UNAVAILABLE)
            return -1;
        report_failure(monitor, err);
        if (daemon_wait(monitor->signals, monotonic_usec() + SCHEMA_RETRY_USEC) == DAEMON_STOP)
            return 1;
    }
    monitor->failing = false;
    monitor->unwritten_rounds = 0; /* nothing was due yet */
    return 0;
}

static void sample(struct monitor *monitor)
{
    struct sampler_round round;
    struct cgroup_mounts mounts;
    struct error err;

    /* Read anew each round: hierarchies may be mounted, and controllers enabled, at any time. */
    if (cgroup_mounts_read(&mounts, &err) < 0 ||
        sampler_run(monitor->pool, &mounts, &round, &err) < 0)
        report_failure(monitor, &err);
    else
        report_success(monitor, &round);
}

static void run(struct monitor *monitor)
{
    int64_t next = monotonic_usec();

    for (;;) {
        int64_t now;

        switch (daemon_wait(monitor->signals, next)) {
        case DAEMON_STOP:
            return;
        case DAEMON_RELOAD:
            reload(monitor);
            continue;
        case DAEMON_DEADLINE:
            break;
        }
        sample(monitor);
        /* Rounds that a slow one has eaten are skipped, not caught up with. */
        now = monotonic_usec();
        next += monitor->config.monitor_interval_ms * 1000;
        if (next < now)
            next = now;
    }
}

int main(int argc, char **argv)
{
    _cleanup_(monitor_done) struct monitor monitor = {.signals = -1};
    struct error err;
    int status;

    log_init("atoll-monitor", LOG_INFO, false);
    if (open_monitor(&monitor, argc, argv, &err) < 0) {
        log_error("%s", err.message);
        return EXIT_FAILURE;
    }
    status = await_schema(&monitor, &err);
    if (status < 0) {
        log_error("%s", err.message);
        return EXIT_FAILURE;
    }
    if (status == 0) {
        log_info("a sample of every live sandbox each %" PRId64 " ms",
                 monitor.config.monitor_interval_ms);
        run(&monitor);
    }
    log_info("stopped");
    return EXIT_SUCCESS;
}
