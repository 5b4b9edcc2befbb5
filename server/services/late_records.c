#include "server/services/late_records.h"

#include "lib/base/condition.h"

#include <atoll/log.h>
#include <pthread.h>
#include <time.h>

enum { RECORDS_MAX = 1024, RETRY_SECONDS = 1 };

struct late_record {
    struct db_scope scope;
    struct store_run_end end;
};

struct late_records {
    struct db_pool *db;
    pthread_t thread;
    pthread_mutex_t lock; /* over everything below */
    pthread_cond_t changed;
    bool stopping;
    size_t first; /* a ring: the oldest is written first */
    size_t count;
    struct late_record ring[RECORDS_MAX];
};

/* Waits until there is something to write; false when it is time to stop. Called with the lock. */
static bool wait_for_work(struct late_records *records)
{
    while (!records->stopping && records->count == 0)
        pthread_cond_wait(&records->changed, &records->lock);
    return !records->stopping;
}

/* After a failure: a pause that a stop ends at once. Called with the lock. */
static void pause_before_retry(struct late_records *records)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_SECONDS;
    while (!records->stopping &&
           pthread_cond_timedwait(&records->changed, &records->lock, &until) == 0)
        continue;
}

static void *write_records(void *argument)
{
    struct late_records *records = argument;
    struct error err;

    pthread_mutex_lock(&records->lock);
    while (wait_for_work(records)) {
        struct late_record record = records->ring[records->first];
        int result;

        pthread_mutex_unlock(&records->lock);
        result =
            store_run_end(records->db, &record.scope, &record.end, &(struct store_origin){0}, &err);
        pthread_mutex_lock(&records->lock);
        if (result < 0 && err.code == ERR_UNAVAILABLE) {
            pause_before_retry(records);
            continue;
        }
        if (result < 0)
            log_error("the end of an execution cannot be recorded: %s", err.message);
        records->first = (records->first + 1) % RECORDS_MAX;
        records->count--;
    }
    pthread_mutex_unlock(&records->lock);
    return NULL;
}

int late_records_start(struct db_pool *db, struct late_records **ret_records, struct error *err)
{
    struct late_records *records = calloc(1, sizeof(*records));
    int failure;

    if (!records)
        return error_no_memory(err);
    records->db = db;
    pthread_mutex_init(&records->lock, NULL);
    condition_init(&records->changed);
    failure = pthread_create(&records->thread, NULL, write_records, records);
    if (failure) {
        free(records);
        return error_set_errno(err, failure, "cannot start the thread of late records");
    }
    *ret_records = records;
    return 0;
}

void late_records_stop(struct late_records *records)
{
    if (!records)
        return;
    pthread_mutex_lock(&records->lock);
    records->stopping = true;
    pthread_cond_broadcast(&records->changed);
    pthread_mutex_unlock(&records->lock);
    pthread_join(records->thread, NULL);
    if (records->count > 0)
        log_warn("%zu executions ended unrecorded: the worker will call them lost", records->count);
    pthread_cond_destroy(&records->changed);
    pthread_mutex_destroy(&records->lock);
    free(records);
}

bool late_records_add(struct late_records *records, const struct db_scope *scope,
                      const struct store_run_end *end)
{
    bool room;

    pthread_mutex_lock(&records->lock);
    room = records->count < (end->in_doubt ? RECORDS_MAX / 2 : RECORDS_MAX);
    if (room) {
        size_t last = (records->first + records->count++) % RECORDS_MAX;

        records->ring[last] = (struct late_record){*scope, *end};
        records->ring[last].scope.claim = NULL; /* the request is answered without it */
        pthread_cond_signal(&records->changed);
    }
    pthread_mutex_unlock(&records->lock);
    return room;
}
