/*
 * atoll-worker: what has to happen though nobody asks for it. A table of tasks, each with its
 * interval, run one after another by one thread; webhooks have another (webhooks.h). PostgreSQL or
 * the launcher being away is logged once a task and tried again; nothing that is due is forgotten,
 * because it is found by looking, not by remembering.
 */
#include "lib/base/util.h"
#include "lib/runtime/daemon.h"
#include "worker/webhooks.h"
#include "worker/worker.h"

#include <atoll/cleanup.h>
#include <atoll/log.h>
#include <inttypes.h>

enum {
    LAUNCHER_TIMEOUT_MS = 10000,
    RECONCILE_S = 10,
    COMMANDS_S = 1,
    PROCESSES_S = 1,
    DISKS_S = 60,
    LOGS_S = 60,
    RETAIN_S = 60,
    RETRY_USEC = 2000000, /* after a failure, when the interval is longer */
};

struct task {
    const char *name;
    int (*run)(struct worker *worker, struct worker_round *ret_round, struct error *err);
    int64_t interval_s;
    int64_t next_usec;
    bool failing;
};

enum {
    TASK_EXPIRE,
    TASK_IDLE,
    TASK_RECONCILE,
    TASK_CONTAINERS,
    TASK_COMMANDS,
    TASK_PROCESSES,
    TASK_DISKS,
    TASK_LOGS,
    TASK_RETAIN,
    TASK_COUNT
};

struct schedule {
    struct daemon *daemon;
    struct worker worker;
    struct task tasks[TASK_COUNT];
};

static void schedule_done(struct schedule *schedule)
{
    launcher_client_free(schedule->worker.launcher);
}

static void reload(struct schedule *schedule)
{
    struct task *const looking[] = {&schedule->tasks[TASK_EXPIRE], &schedule->tasks[TASK_IDLE]};

    daemon_reload(schedule->daemon);
    for (size_t i = 0; i < ARRAY_SIZE(looking); i++) {
        looking[i]->interval_s = schedule->daemon->config.sandbox_cleanup_interval_s;
        looking[i]->next_usec = 0; /* the new interval begins now */
    }
}

static void log_failure(const struct schedule *schedule, const char *task, const struct error *err)
{
    char what[64];

    (void)snprintf(what, sizeof(what), "%s has to wait", task);
    daemon_log_failure(schedule->daemon, what, err);
}

static void run_task(struct schedule *schedule, struct task *task)
{
    int64_t interval = task->interval_s * 1000000;
    struct worker_round round = {.done = 0};
    struct error err;

    if (task->run(&schedule->worker, &round, &err) < 0) {
        if (!task->failing)
            log_failure(schedule, task->name, &err);
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
static struct task *next_task(struct schedule *schedule)
{
    struct task *first = &schedule->tasks[0];

    for (size_t i = 1; i < TASK_COUNT; i++)
        if (schedule->tasks[i].next_usec < first->next_usec)
            first = &schedule->tasks[i];
    return first;
}

static int run(struct daemon *daemon, struct error *err)
{
    _cleanup_(cleanup_webhooks) struct webhooks *webhooks = NULL;
    _cleanup_(schedule_done) struct schedule schedule = {
        .daemon = daemon,
        .worker = {.config = &daemon->config, .pool = daemon->pool},
        .tasks = {[TASK_EXPIRE] = {"expiry", worker_expire,
                                   daemon->config.sandbox_cleanup_interval_s, 0, false},
                  [TASK_IDLE] = {"idle timeouts", worker_stop_idle,
                                 daemon->config.sandbox_cleanup_interval_s, 0, false},
                  [TASK_CONTAINERS] = {"reconciliation of containers", worker_reconcile_containers,
                                       RECONCILE_S, 0, false},
                  [TASK_COMMANDS] = {"main commands", worker_watch_commands, COMMANDS_S, 0, false},
                  [TASK_DISKS] = {"disks without a sandbox", worker_remove_disks, DISKS_S, 0,
                                  false},
                  [TASK_LOGS] = {"logs that nobody wants", worker_remove_logs, LOGS_S, 0, false},
                  [TASK_PROCESSES] = {"processes", worker_watch_processes, PROCESSES_S, 0, false},
                  [TASK_RECONCILE] = {"reconciliation", worker_reconcile, RECONCILE_S, 0, false},
                  [TASK_RETAIN] = {"retention", worker_retain, RETAIN_S, 0, false}},
    };

    if (daemon_node_name(&daemon->config, schedule.worker.node, err) < 0 ||
        launcher_client_open(daemon->config.state_run_dir, LAUNCHER_TIMEOUT_MS,
                             &schedule.worker.launcher, err) < 0 ||
        webhooks_start(&daemon->config, &webhooks, err) < 0)
        return -1;
    log_info("looking for expired sandboxes every %" PRId64 " s",
             daemon->config.sandbox_cleanup_interval_s);
    for (;;) {
        struct task *task = next_task(&schedule);

        switch (daemon_wait(daemon->signals, task->next_usec)) {
        case DAEMON_STOP:
            return 0;
        case DAEMON_RELOAD:
            reload(&schedule);
            break;
        case DAEMON_DEADLINE:
            run_task(&schedule, task);
            break;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct program program = {
        .name = "atoll-worker",
        .purpose = "Does what is due: expiry, idle timeouts, clean-up, retention, webhooks",
    };

    return daemon_main(&program, run, argc, argv);
}
