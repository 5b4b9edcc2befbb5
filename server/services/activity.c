#include "server/services/activity.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "lib/db/store_process.h"

#include <atoll/log.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    USES_MAX = 1024, /* containers used in one period; with more the period is over */
    PERIOD_S = 1,
};

struct use {
    struct id tenant;
    struct id sandbox;
};

struct activity {
    struct db_pool *db;
    pthread_t thread;
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t changed;
    bool stopping;
    size_t count;
    struct use uses[USES_MAX];
};

static bool is_noted(const struct activity *activity, const struct use *use)
{
    size_t at = 0;

    while (at < activity->count && (!id_equal(&activity->uses[at].sandbox, &use->sandbox) ||
                                    !id_equal(&activity->uses[at].tenant, &use->tenant)))
        at++;
    return at < activity->count;
}

void activity_note(struct activity *activity, const struct id *tenant, const struct id *sandbox)
{
    const struct use use = {.tenant = *tenant, .sandbox = *sandbox};

    (void)pthread_mutex_lock(&activity->lock);
    if (activity->count < USES_MAX && !is_noted(activity, &use))
        activity->uses[activity->count++] = use;
    if (activity->count == USES_MAX)
        (void)pthread_cond_signal(&activity->changed);
    (void)pthread_mutex_unlock(&activity->lock);
}

/* Writes the uses of the first one's tenant, and keeps the others. Returns how many are left. */
static size_t write_tenant(struct db_pool *db, struct use *uses, size_t count)
{
    const struct db_scope scope = {.tenant = uses[0].tenant};
    struct id sandboxes[USES_MAX];
    struct error err;
    size_t used = 0;
    size_t left = 0;

    for (size_t i = 0; i < count; i++) {
        if (id_equal(&uses[i].tenant, &scope.tenant))
            sandboxes[used++] = uses[i].sandbox;
        else
            uses[left++] = uses[i];
    }
    if (store_process_touch(db, &scope, sandboxes, used, &err) < 0)
        log_warn("the use of %zu sandboxes is not noted: %s", used, err.message);
    return left;
}

/* Until the period is over; false when it is time to stop. Called with the lock. */
static bool rest(struct activity *activity)
{
    struct timespec until;
    int waited = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PERIOD_S;
    while (!activity->stopping && activity->count < USES_MAX && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&activity->changed, &activity->lock, &until);
    return !activity->stopping;
}

static void *write_uses(void *argument)
{
    struct activity *activity = argument;
    struct use uses[USES_MAX];
    bool going = true;

    while (going) {
        size_t count;

        (void)pthread_mutex_lock(&activity->lock);
        going = rest(activity);
        count = activity->count;
        memcpy(uses, activity->uses, count * sizeof(uses[0]));
        activity->count = 0;
        (void)pthread_mutex_unlock(&activity->lock);
        while (count > 0)
            count = write_tenant(activity->db, uses, count);
    }
    return NULL;
}

static void activity_free(struct activity *activity)
{
    (void)pthread_cond_destroy(&activity->changed);
    (void)pthread_mutex_destroy(&activity->lock);
    free(activity);
}

int activity_start(struct db_pool *db, struct activity **ret_activity, struct error *err)
{
    struct activity *activity = calloc(1, sizeof(*activity));
    int failure;

    if (!activity)
        return error_no_memory(err);
    activity->db = db;
    (void)pthread_mutex_init(&activity->lock, NULL);
    condition_init(&activity->changed);
    failure = pthread_create(&activity->thread, NULL, write_uses, activity);
    if (failure) {
        activity_free(activity);
        return error_set_errno(err, failure, "cannot start the thread of uses");
    }
    *ret_activity = activity;
    return 0;
}

void activity_stop(struct activity *activity)
{
    if (!activity)
        return;
    (void)pthread_mutex_lock(&activity->lock);
    activity->stopping = true;
    (void)pthread_cond_signal(&activity->changed);
    (void)pthread_mutex_unlock(&activity->lock);
    (void)pthread_join(activity->thread, NULL);
    activity_free(activity);
}
