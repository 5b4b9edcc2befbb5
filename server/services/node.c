#include "server/services/node.h"

#include "lib/base/condition.h"
#include "lib/db/store_node.h"
#include "lib/runtime/launcher_client.h"

#include <atoll/log.h>
#include <atoll/version.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <time.h>

enum { MILLI_PER_PROCESSOR = 1000, BYTES_PER_MB = 1 << 20 };

struct node_reporter {
    const struct services *services;
    pthread_t thread;
    pthread_mutex_t lock; /* over what is below */
    pthread_cond_t stop;
    bool stopping;
};

static int64_t memory_mb(void)
{
    struct sysinfo info;

    if (sysinfo(&info) < 0)
        return 0;
    return (int64_t)((uint64_t)info.totalram * info.mem_unit / BYTES_PER_MB);
}

/* -1 when the launcher is away. */
static int64_t count_sandboxes(const struct services *services)
{
    _cleanup_free_ struct launcher_entry *entries = NULL;
    struct error err;
    size_t count;

    if (launcher_client_list(services->launcher, &entries, &count, &err) < 0)
        return -1;
    return (int64_t)count;
}

static void report(const struct services *services)
{
    const struct store_node_report what = {
        .id = services->node_id,
        .boot_id = services->boot_id,
        .version = ATOLL_VERSION,
        .cpu_milli = (int64_t)get_nprocs() * MILLI_PER_PROCESSOR,
        .memory_mb = memory_mb(),
        .sandboxes = count_sandboxes(services),
    };
    struct error err;

    if (store_node_report(services->db, &what, &err) < 0)
        log_debug("the node cannot report: %s", err.message);
}

/* Waits for the next report; false when it is time to stop. Called with the lock. */
static bool wait_for_next(struct node_reporter *reporter)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STORE_NODE_BEAT_S;
    while (!reporter->stopping &&
           pthread_cond_timedwait(&reporter->stop, &reporter->lock, &until) == 0)
        continue;
    return !reporter->stopping;
}

static void *report_until_stopped(void *argument)
{
    struct node_reporter *reporter = argument;

    (void)pthread_mutex_lock(&reporter->lock);
    do {
        (void)pthread_mutex_unlock(&reporter->lock);
        report(reporter->services);
        (void)pthread_mutex_lock(&reporter->lock);
    } while (wait_for_next(reporter));
    (void)pthread_mutex_unlock(&reporter->lock);
    return NULL;
}

static void release(struct node_reporter *reporter)
{
    (void)pthread_cond_destroy(&reporter->stop);
    (void)pthread_mutex_destroy(&reporter->lock);
    free(reporter);
}

int node_reporter_start(const struct services *services, struct node_reporter **ret_reporter,
                        struct error *err)
{
    struct node_reporter *reporter = calloc(1, sizeof(*reporter));
    int failure;

    if (!reporter)
        return error_set_errno(err, ENOMEM, "cannot report the node");
    reporter->services = services;
    (void)pthread_mutex_init(&reporter->lock, NULL);
    condition_init(&reporter->stop);
    failure = pthread_create(&reporter->thread, NULL, report_until_stopped, reporter);
    if (failure != 0) {
        release(reporter);
        return error_set_errno(err, failure, "cannot start the thread of the node's reports");
    }
    *ret_reporter = reporter;
    return 0;
}

void node_reporter_stop(struct node_reporter *reporter)
{
    if (!reporter)
        return;
    (void)pthread_mutex_lock(&reporter->lock);
    reporter->stopping = true;
    (void)pthread_cond_signal(&reporter->stop);
    (void)pthread_mutex_unlock(&reporter->lock);
    (void)pthread_join(reporter->thread, NULL);
    release(reporter);
}
