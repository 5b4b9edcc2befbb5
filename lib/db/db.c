#include "lib/db/db.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "lib/db/pool.h"
#include "lib/db/turns.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WAIT_FOR_CONNECTION_MS = 5000,
    PAUSE_LEAST_MS = 50, /* after a failed connect, doubled each time */
    PAUSE_MOST_MS = 1000,
    TRUSTED_MS = 1, /* an idle connection is not looked at before it is used again */
    JOINED_MAX = 15,
};

/* What may join others, and what may not. */
enum kind { KIND_OTHER, KIND_LOOK_UP, KINDS };

struct db_pool {
    char *url;
    char *program;
    size_t size;
    /*
     * Look-ups at once. Each keeps two processors busy, PostgreSQL's and ours: one more would only
     * take turns with them, and costs less in one exchange with others that wait.
     */
    size_t looking_max;
    pthread_mutex_t lock;
    /* Under the lock: */
    size_t taken;                 /* connections in use, or being made */
    size_t looking;               /* of them, by look-ups */
    struct db_turns turns[KINDS]; /* who waits, for what the two above say */
    size_t idle_count;
    struct db_connection **idle; /* a stack: the warmest on top */
    unsigned pause_ms;
    int64_t retry_usec; /* no connect before this; monotonic */
    char failure[ERROR_MESSAGE_MAX];
};

static int check_url(const char *url, struct error *err)
{
    char *message = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &message);

    PQfreemem(message); /* it may quote a password */
    if (url[0] == '\0') {
        PQconninfoFree(parsed);
        return error_set(
            err, ERR_INTERNAL,
            "the database's connection string is not set: see [database] in the configuration");
    }
    if (!parsed)
        return error_set(err, ERR_INTERNAL, "the database's connection string is malformed");
    PQconninfoFree(parsed);
    return 0;
}

static size_t looking_max(size_t size)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = processors > 3 ? (size_t)processors / 2 : 1;

    return size > most ? most : size > 1 ? size - 1 : 1;
}

int db_pool_create(const char *url, size_t size, const char *program, struct db_pool **ret_pool,
                   struct error *err)
{
    struct db_pool *pool;

    if (check_url(url, err) < 0)
        return -1;
    pool = calloc(1, sizeof(*pool));
    if (!pool)
        return error_set_errno(err, ENOMEM, "cannot make the database pool");
    (void)pthread_mutex_init(&pool->lock, NULL);
    for (size_t i = 0; i < KINDS; i++)
        db_turns_init(&pool->turns[i]);
    pool->size = size;
    pool->looking_max = looking_max(size);
    pool->url = strdup(url);
    pool->program = strdup(program);
    pool->idle = calloc(size, sizeof(struct db_connection *));
    if (!pool->url || !pool->program || !pool->idle) {
        db_pool_free(pool);
        return error_set_errno(err, ENOMEM, "cannot make the database pool");
    }
    *ret_pool = pool;
    return 0;
}

void db_pool_free(struct db_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; pool->idle && i < pool->idle_count; i++)
        db_connection_close(pool->idle[i]);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool->idle);
    free(pool->url);
    free(pool->program);
    free(pool);
}

void db_pool_failure(struct db_pool *pool, char text[static ERROR_MESSAGE_MAX])
{
    (void)pthread_mutex_lock(&pool->lock);
    memcpy(text, pool->failure, sizeof(pool->failure));
    (void)pthread_mutex_unlock(&pool->lock);
}

static struct timespec wait_end(void)
{
    return condition_time(monotonic_usec() + WAIT_FOR_CONNECTION_MS * INT64_C(1000));
}

/*
 * A thread that waits; it lies on that thread's stack. Once it is out of the turns somebody is
 * going to post, and it must wait for that. A semaphore, as whoever waits on a condition wakes up
 * only to wait for the lock again.
 */
struct db_waiter {
    struct db_turn turn;
    struct db_request *request;
    bool in_turns;              /* under the lock */
    bool joined;                /* another thread does what it wants */
    struct db_connection *idle; /* what it was served with; NULL: it makes one */
    sem_t decided;
};

static enum kind kind_of(const struct db_request *request)
{
    return request && request->may_join ? KIND_LOOK_UP : KIND_OTHER;
}

/* Under the lock, the three. */
static bool may_take(const struct db_pool *pool, enum kind kind)
{
    return pool->taken < pool->size && (kind != KIND_LOOK_UP || pool->looking < pool->looking_max);
}

static void count_taken(struct db_pool *pool, enum kind kind)
{
    pool->taken++;
    pool->looking += kind == KIND_LOOK_UP;
}

static void count_given(struct db_pool *pool, enum kind kind)
{
    pool->taken--;
    pool->looking -= kind == KIND_LOOK_UP;
}

static void wait_until_decided(struct db_waiter *waiter)
{
    while (sem_wait(&waiter->decided) < 0)
        ;
}

/* False when it took too long: then nobody knows the waiter any more. */
static bool wait_for_turn(struct db_pool *pool, struct db_waiter *waiter)
{
    struct timespec end = wait_end();
    bool in_turns;
    int waited;

    do
        waited = sem_clockwait(&waiter->decided, CLOCK_MONOTONIC, &end);
    while (waited < 0 && errno == EINTR);
    if (waited == 0)
        return true;
    (void)pthread_mutex_lock(&pool->lock);
    in_turns = waiter->in_turns;
    if (in_turns)
        db_turns_remove(&pool->turns[kind_of(waiter->request)], &waiter->turn);
    (void)pthread_mutex_unlock(&pool->lock);
    if (!in_turns)
        wait_until_decided(waiter);
    return !in_turns;
}

/* Under the lock. */
static void add_waiter(struct db_pool *pool, struct db_request *request, struct db_waiter *waiter)
{
    *waiter = (struct db_waiter){.request = request, .in_turns = true};
    if (request && request->tenant)
        waiter->turn.tenant = *request->tenant;
    if (request)
        request->waiter = waiter;
    (void)sem_init(&waiter->decided, 0, 0);
    db_turns_add(&pool->turns[kind_of(request)], &waiter->turn);
}

/*
 * Counts one more connection as taken, and hands out an idle one if there is one (else NULL: the
 * caller makes it), unless another thread does what is wanted.
 */
static int take_slot(struct db_pool *pool, struct db_request *request,
                     struct db_connection **ret_idle, bool *ret_joined, struct error *err)
{
    struct db_waiter waiter;
    bool served;

    (void)pthread_mutex_lock(&pool->lock);
    if (may_take(pool, kind_of(request))) {
        count_taken(pool, kind_of(request));
        *ret_idle = pool->idle_count > 0 ? pool->idle[--pool->idle_count] : NULL;
        (void)pthread_mutex_unlock(&pool->lock);
        return 0;
    }
    add_waiter(pool, request, &waiter);
    (void)pthread_mutex_unlock(&pool->lock);
    served = wait_for_turn(pool, &waiter);
    (void)sem_destroy(&waiter.decided);
    if (!served)
        return error_set(err, ERR_UNAVAILABLE,
                         "the database is busy: no connection became free in %d s",
                         WAIT_FOR_CONNECTION_MS / 1000);
    *ret_idle = waiter.idle;
    *ret_joined = waiter.joined;
    return 0;
}

static struct db_waiter *waiter_of(struct db_turn *turn)
{
    return turn ? (struct db_waiter *)((char *)turn - offsetof(struct db_waiter, turn)) : NULL;
}

/* The next of a kind, out of the turns; NULL when nobody waits. Under the lock. */
static struct db_waiter *take_waiter(struct db_pool *pool, enum kind kind)
{
    struct db_waiter *waiter = waiter_of(db_turns_take(&pool->turns[kind]));

    if (waiter)
        waiter->in_turns = false;
    return waiter;
}

static bool may_join(const struct db_waiter *waiter, const struct db_connection *connection)
{
    const struct db_request *request = waiter->request;

    return request && request->may_join && request->may_join(request, connection);
}

/* Those that are next, as long as they can, join the one that gets the connection. */
static void join_next(struct db_pool *pool, struct db_waiter *first)
{
    struct db_request *last = first->request;
    struct db_waiter *next;

    for (size_t joined = 0; joined < JOINED_MAX; joined++) {
        next = waiter_of(db_turns_first(&pool->turns[KIND_LOOK_UP]));
        if (!next || !may_join(next, first->idle))
            return;
        next = take_waiter(pool, KIND_LOOK_UP);
        next->joined = true;
        last->next = next->request;
        last = next->request;
    }
}

/* Whoever may have the place that one of a kind has left; the other kind first, so that neither
 * keeps a place for itself. Under the lock. */
static struct db_waiter *next_waiter(struct db_pool *pool, enum kind left)
{
    enum kind other = left == KIND_LOOK_UP ? KIND_OTHER : KIND_LOOK_UP;
    struct db_waiter *waiter = may_take(pool, other) ? take_waiter(pool, other) : NULL;

    return waiter ? waiter : take_waiter(pool, left);
}

/* The place of one of a kind, and the connection in it, go to whoever is next. */
static void give_slot(struct db_pool *pool, enum kind kind, struct db_connection *idle)
{
    struct db_waiter *waiter;

    (void)pthread_mutex_lock(&pool->lock);
    count_given(pool, kind);
    waiter = next_waiter(pool, kind);
    if (!waiter) {
        if (idle)
            pool->idle[pool->idle_count++] = idle;
    } else {
        count_taken(pool, kind_of(waiter->request));
        waiter->idle = idle;
        if (idle && may_join(waiter, idle))
            join_next(pool, waiter);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (waiter)
        (void)sem_post(&waiter->decided);
}

void db_pool_tell(struct db_request *request)
{
    struct db_request *joined = request->next;

    while (joined) {
        struct db_waiter *waiter = joined->waiter;

        joined = joined->next; /* when it is posted it may be gone */
        (void)sem_post(&waiter->decided);
    }
}

static bool may_connect(struct db_pool *pool)
{
    bool may;

    (void)pthread_mutex_lock(&pool->lock);
    may = monotonic_usec() >= pool->retry_usec;
    (void)pthread_mutex_unlock(&pool->lock);
    return may;
}

/* Remembers how a connect went; `reason` is NULL after a success. */
static void note_connect(struct db_pool *pool, const char *reason)
{
    (void)pthread_mutex_lock(&pool->lock);
    if (!reason) {
        pool->pause_ms = 0;
        pool->retry_usec = 0;
        pool->failure[0] = '\0';
    } else {
        pool->pause_ms = pool->pause_ms == 0                  ? PAUSE_LEAST_MS
                         : pool->pause_ms < PAUSE_MOST_MS / 2 ? pool->pause_ms * 2
                                                              : PAUSE_MOST_MS;
        pool->retry_usec = monotonic_usec() + pool->pause_ms * INT64_C(1000);
        (void)snprintf(pool->failure, sizeof(pool->failure), "%s", reason);
    }
    (void)pthread_mutex_unlock(&pool->lock);
}

/* One that has just answered is as good as one that breaks while it is used. */
static bool usable(const struct db_connection *connection)
{
    return monotonic_usec() - connection->released_usec < TRUSTED_MS * INT64_C(1000) ||
           db_connection_usable(connection);
}

int db_pool_acquire(struct db_pool *pool, struct db_request *request,
                    struct db_connection **ret_connection, struct error *err)
{
    struct db_connection *connection = NULL;
    struct error reason = {.code = ERR_INTERNAL};
    bool joined = false;

    if (take_slot(pool, request, &connection, &joined, err) < 0)
        return -1;
    if (joined) {
        *ret_connection = NULL;
        return 0;
    }
    if (connection && !usable(connection)) {
        db_connection_close(connection);
        connection = NULL;
    }
    if (connection) {
        *ret_connection = connection;
        return 0;
    }
    if (!may_connect(pool)) {
        give_slot(pool, kind_of(request), NULL);
        return db_error_away(err);
    }
    if (db_connection_open(pool->url, pool->program, &connection, &reason) < 0) {
        note_connect(pool, reason.message);
        give_slot(pool, kind_of(request), NULL);
        return db_error_away(err);
    }
    note_connect(pool, NULL);
    *ret_connection = connection;
    return 0;
}

void db_pool_release(struct db_pool *pool, const struct db_request *request,
                     struct db_connection *connection)
{
    if (PQstatus(connection->pg) != CONNECTION_OK ||
        PQtransactionStatus(connection->pg) != PQTRANS_IDLE) {
        char reason[ERROR_MESSAGE_MAX];

        db_message_line(PQerrorMessage(connection->pg), reason);
        if (reason[0] != '\0') {
            (void)pthread_mutex_lock(&pool->lock);
            memcpy(pool->failure, reason, sizeof(pool->failure));
            (void)pthread_mutex_unlock(&pool->lock);
        }
        db_connection_close(connection);
        connection = NULL;
    } else {
        connection->released_usec = monotonic_usec();
    }
    give_slot(pool, kind_of(request), connection);
}
