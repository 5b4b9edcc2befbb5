/*
 * atoll-worker: what has to happen though nobody asks for it. A table of tasks, each with its
 * interval, run one after another by one thread. PostgreSQL or the launcher being away is logged
 * once a task and tried again; nothing that is due is forgotten, because it is found by looking,
 * not by remembering.
 */
#include "lib/base/util.h"
#include "lib/config/config.h"
#include "lib/db/migrate.h"
#include "lib/runtime/daemon.h"
#include "worker/worker.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LAUNCHER_TIMEOUT_MS = 10000,
    RECONCILE_S = 10,
    RETAIN_S = 60,
    RETRY_USEC = 2000000, /* after a failure, when the interval is longer */
    SCHEMA_RETRY_USEC = 1000000,
};

struct task {
    const char *name;
    int (*run)(struct worker *worker, struct worker_round *ret_round, struct error *err);
    int64_t interval_s;
    int64_t next_usec;
    bool failing;
};

enum { TASK_EXPIRE, TASK_RECONCILE, TASK_RETAIN, TASK_COUNT };

struct daemon {
    struct config config;
    struct config_options options;
    struct worker worker;
    int signals;
    struct task tasks[TASK_COUNT];
};

static void daemon_done(struct daemon *daemon)
{
    launcher_client_free(daemon->worker.launcher);
    db_pool_free(daemon->worker.pool);
    cleanup_close(&daemon->signals);
    config_done(&daemon->config);
}

static void apply_logging(const struct config *config)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_INFO;

    for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
        if (strcmp(config->logging_level, levels[i]) == 0)
            level = (enum log_level)i;
    log_init("atoll-worker", level, strcmp(config->logging_format, "json") == 0);
}

static int open_daemon(struct daemon *daemon, int argc, char **argv, struct error *err)
{
    struct worker *worker = &daemon->worker;

    if (config_take_options(&argc, argv, &daemon->options, err) < 0)
        return -1;
    if (argc > 1)
        return error_set(err, ERR_INTERNAL, "unknown argument: %s", argv[1]);
    if (config_load(&daemon->options, &daemon->config, NULL, err) < 0)
        return -1;
    apply_logging(&daemon->config);
    worker->config = &daemon->config;
    daemon->tasks[TASK_EXPIRE].interval_s = daemon->config.sandbox_cleanup_interval_s;
    if (daemon_signals_open(&daemon->signals, err) < 0 ||
        launcher_client_open(daemon->config.state_run_dir, LAUNCHER_TIMEOUT_MS, &worker->launcher,
                             err) < 0)
        return -1;
    return db_pool_create(daemon->config.database_system_url, 1, "atoll-worker", &worker->pool,
                          err);
}

/* Applies what may change while running. A file that has become wrong changes nothing. */
static void reload(struct daemon *daemon)
{
    struct config fresh;
    struct error err;

    if (config_load(&daemon->options, &fresh, NULL, &err) < 0) {
        log_error("the configuration is not reloaded: %s", err.message);
        return;
    }
    daemon->config.sandbox_cleanup_interval_s = fresh.sandbox_cleanup_interval_s;
    daemon->config.monitor_retention_s = fresh.monitor_retention_s;
    daemon->tasks[TASK_EXPIRE].interval_s = fresh.sandbox_cleanup_interval_s;
    daemon->tasks[TASK_EXPIRE].next_usec = 0;
    config_done(&fresh);
    log_info("reloaded");
}

static void log_failure(struct daemon *daemon, const char *what, const struct error *err)
{
    char reason[ERROR_MESSAGE_MAX] = "";

    if (err->code == ERR_UNAVAILABLE)
        db_pool_failure(daemon->worker.pool, reason);
    log_warn("%s has to wait: %s%s%s", what, err->message, reason[0] ? ": " : "", reason);
}

/* Waits for the schema; 1 when a signal ended the wait. */
static int await_schema(struct daemon *daemon, struct error *err)
{
    bool logged = false;

    while (db_check_schema(daemon->worker.pool, db_migrations, db_migrations_count, err) < 0) {
        if (err->code != ERR_UNAVAILABLE)
            return -1;
        if (!logged)
            log_failure(daemon, "the start", err);
        logged = true;
        if (daemon_wait(daemon->signals, monotonic_usec() + SCHEMA_RETRY_USEC) == DAEMON_STOP)
            return 1;
    }
    return 0;
}

static void run_task(struct daemon *daemon, struct task *task)
{
    int64_t interval = task->interval_s * 1000000;
    struct worker_round round = {.done = 0};
    struct error err;

    if (task->run(&daemon->worker, &round, &err) < 0) {
        if (!task->failing)
            log_failure(daemon, task->name, &err);
        task->failing = true;
        task->next_usec = monotonic_usec() + (interval < RETRY_USEC ? interval : RETRY_USEC);
        return;
    }
    if (task->failing)
        log_info("%s works again", task->name);
    task->failing = false;
    log_debug("%s: %" PRIu64 " done", task->name, round.done);
    task->next_usec = monotonic_usec() + (round.more ? 0 : interval);
}

/* The task that is due first. */
static struct task *next_task(struct daemon *daemon)
{
    struct task *first = &daemon->tasks[0];

    for (size_t i = 1; i < TASK_COUNT; i++)
        if (daemon->tasks[i].next_usec < first->next_usec)
            first = &daemon->tasks[i];
    return first;
}

static void run(struct daemon *daemon)
{
    for (;;) {
        struct task *task = next_task(daemon);

        switch (daemon_wait(daemon->signals, task->next_usec)) {
        case DAEMON_STOP:
            return;
        case DAEMON_RELOAD:
            reload(daemon);
            break;
        case DAEMON_DEADLINE:
            run_task(daemon, task);
            break;
        }
    }
}

int main(int argc, char **argv)
{
    _cleanup_(daemon_done) struct daemon daemon = {
        .signals = -1,
        .tasks = {[TASK_EXPIRE] = {.name = "expiry", .run = worker_expire},
                  [TASK_RECONCILE] = {"reconciliation", worker_reconcile, RECONCILE_S, 0, false},
                  [TASK_RETAIN] = {"retention", worker_retain, RETAIN_S, 0, false}},
    };
    struct error err;
    int status;

    log_init("atoll-worker", LOG_INFO, false);
    if (open_daemon(&daemon, argc, argv, &err) < 0) {
        log_error("%s", err.message);
        return EXIT_FAILURE;
    }
    status = await_schema(&daemon, &err);
    if (status < 0) {
        log_error("%s", err.message);
        return EXIT_FAILURE;
    }
    if (status == 0) {
        log_info("looking for expired sandboxes every %" PRId64 " s",
                 daemon.tasks[TASK_EXPIRE].interval_s);
        run(&daemon);
    }
    log_info("stopped");
    return EXIT_SUCCESS;
}
