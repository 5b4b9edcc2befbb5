#include "server/stream/mover.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"

#include <atoll/log.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS_A_TURN = 64 };

TAILQ_HEAD(moved_list, moved);

struct mover {
    const struct mover_ops *ops;
    void *user;
    int epoll;
    int wake;
    atomic_bool woken;
    pthread_t thread;
    pthread_t second;
    pthread_mutex_t lock; /* over the following */
    pthread_cond_t changed;
    bool stopping;
    struct moved_list arrived;
    struct moved_list aside;
    /* The thread's alone: */
    struct moved_list all;
    struct moved_list turns;
    /* The second thread's alone: those to ask about again, all at one time. */
    struct moved_list again;
    int64_t again_usec;
};

bool moved_push(struct moved *moved)
{
    if (!moved->part)
        return true;
    moved->part_used += stream_push_some(moved->stream, moved->part + moved->part_used,
                                         moved->part_size - moved->part_used);
    if (moved->part_used < moved->part_size)
        return false;
    free(moved->part);
    moved->part = NULL;
    return true;
}

void mover_wake(void *user)
{
    struct mover *mover = user;
    uint64_t one = 1;

    if (!atomic_exchange(&mover->woken, true) && write(mover->wake, &one, sizeof(one)) < 0)
        log_error("the thread of %s cannot be woken: %s", mover->ops->name, strerror(errno));
}

static void hand_over(struct mover *mover, struct moved *moved, struct moved_list *list)
{
    (void)pthread_mutex_lock(&mover->lock);
    TAILQ_INSERT_TAIL(list, moved, link);
    (void)pthread_cond_broadcast(&mover->changed);
    (void)pthread_mutex_unlock(&mover->lock);
}

void mover_add(struct mover *mover, struct moved *moved)
{
    hand_over(mover, moved, &mover->arrived);
    mover_wake(mover);
}

/* --- the thread that moves */

static void queue(struct mover *mover, struct moved *moved)
{
    if (moved->is_queued)
        return;
    moved->is_queued = true;
    moved->is_blocked = false;
    TAILQ_INSERT_TAIL(&mover->turns, moved, turn);
}

static void drop(struct mover *mover, struct moved *moved)
{
    TAILQ_REMOVE(&mover->all, moved, link);
    mover->ops->free(moved);
}

/* One event, then no more before it is armed again: what hangs up would be told without end. */
static void arm(struct mover *mover, struct moved *moved)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = moved};
    int operation = moved->is_added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (epoll_ctl(mover->epoll, operation, mover->ops->fd(moved), &event) < 0) {
        stream_break(moved->stream);
        drop(mover, moved);
        return;
    }
    moved->is_added = moved->is_armed = true;
}

/* Another thread will have it: nothing of it may be told to this one. */
static void set_aside(struct mover *mover, struct moved *moved)
{
    if (mover->ops->leave)
        mover->ops->leave(moved);
    if (moved->is_added)
        (void)epoll_ctl(mover->epoll, EPOLL_CTL_DEL, mover->ops->fd(moved), NULL);
    moved->is_added = moved->is_armed = false;
    TAILQ_REMOVE(&mover->all, moved, link);
    hand_over(mover, moved, &mover->aside);
}

static void take_turn(struct mover *mover, struct moved *moved)
{
    enum mover_step step = MOVER_MORE;

    for (unsigned i = 0; i < mover->ops->steps && step == MOVER_MORE; i++)
        step = mover->ops->step(moved);
    switch (step) {
    case MOVER_MORE:
        queue(mover, moved);
        break;
    case MOVER_NEEDS_INPUT:
        arm(mover, moved);
        break;
    case MOVER_NEEDS_ROOM:
        moved->is_blocked = true;
        break;
    case MOVER_ASIDE:
        set_aside(mover, moved);
        break;
    case MOVER_OVER:
        drop(mover, moved);
        break;
    }
}

/* Those whose turn it is now; who can go on after it waits for the next round. */
static void take_turns(struct mover *mover)
{
    struct moved_list now = TAILQ_HEAD_INITIALIZER(now);
    struct moved *moved;

    TAILQ_CONCAT(&now, &mover->turns, turn);
    while ((moved = TAILQ_FIRST(&now))) {
        TAILQ_REMOVE(&now, moved, turn);
        moved->is_queued = false;
        take_turn(mover, moved);
    }
}

static void receive(struct mover *mover, struct moved *moved)
{
    if (moved->is_armed)
        mover->ops->receive(moved);
    moved->is_armed = false;
    queue(mover, moved);
}

static bool has_news(const struct mover *mover, const struct moved *moved)
{
    return moved->is_blocked || stream_state(moved->stream) != STREAM_OPEN ||
           (mover->ops->has_news && mover->ops->has_news(moved));
}

/* What has arrived, has room again, or lost its client. False when it is time to stop. */
static bool look_around(struct mover *mover)
{
    struct moved *moved;
    uint64_t count;
    bool stopping;

    if (read(mover->wake, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_error("the thread of %s cannot read: %s", mover->ops->name, strerror(errno));
    atomic_store(&mover->woken, false);
    for (moved = TAILQ_FIRST(&mover->all); moved; moved = TAILQ_NEXT(moved, link)) {
        if (has_news(mover, moved))
            queue(mover, moved);
    }
    (void)pthread_mutex_lock(&mover->lock);
    while ((moved = TAILQ_FIRST(&mover->arrived))) {
        TAILQ_REMOVE(&mover->arrived, moved, link);
        TAILQ_INSERT_TAIL(&mover->all, moved, link);
        if (mover->ops->arrive)
            mover->ops->arrive(moved, mover->epoll);
        queue(mover, moved);
    }
    stopping = mover->stopping;
    (void)pthread_mutex_unlock(&mover->lock);
    return !stopping;
}

static void *move(void *argument)
{
    struct mover *mover = argument;
    struct epoll_event events[EVENTS_A_TURN];
    bool going = true;

    while (going) {
        int timeout = TAILQ_EMPTY(&mover->turns) ? -1 : 0;
        int count = epoll_wait(mover->epoll, events, EVENTS_A_TURN, timeout);

        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                receive(mover, events[i].data.ptr);
            else
                going = look_around(mover);
        }
        take_turns(mover);
    }
    return NULL;
}

/* --- the thread that may block */

/* Waits for streams to be set aside, or until it is time to ask again. False when it is time to
 * stop. */
static bool take_aside(struct mover *mover, struct moved_list *ret_aside)
{
    struct timespec until = condition_time(mover->again_usec);
    bool stopping;
    int waited = 0;

    (void)pthread_mutex_lock(&mover->lock);
    while (!mover->stopping && TAILQ_EMPTY(&mover->aside) && waited != ETIMEDOUT)
        waited = TAILQ_EMPTY(&mover->again)
                     ? pthread_cond_wait(&mover->changed, &mover->lock)
                     : pthread_cond_timedwait(&mover->changed, &mover->lock, &until);
    stopping = mover->stopping;
    if (!stopping)
        TAILQ_CONCAT(ret_aside, &mover->aside, link);
    (void)pthread_mutex_unlock(&mover->lock);
    return !stopping;
}

static void *serve_aside(void *argument)
{
    struct mover *mover = argument;
    struct moved_list taken = TAILQ_HEAD_INITIALIZER(taken);
    struct moved *moved;

    while (take_aside(mover, &taken)) {
        int64_t now = monotonic_usec();

        if (now >= mover->again_usec) {
            TAILQ_CONCAT(&taken, &mover->again, link);
            mover->again_usec = now + mover->ops->again_ms * INT64_C(1000);
        }
        while ((moved = TAILQ_FIRST(&taken))) {
            TAILQ_REMOVE(&taken, moved, link);
            if (!mover->ops->aside(moved, mover->user))
                TAILQ_INSERT_TAIL(&mover->again, moved, link);
        }
    }
    return NULL;
}

/* --- start and stop */

static void drop_list(struct mover *mover, struct moved_list *list)
{
    struct moved *moved;

    while ((moved = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, moved, link);
        stream_break(moved->stream);
        mover->ops->free(moved);
    }
}

static void mover_free(struct mover *mover)
{
    drop_list(mover, &mover->all);
    drop_list(mover, &mover->arrived);
    drop_list(mover, &mover->aside);
    drop_list(mover, &mover->again);
    if (mover->wake >= 0)
        (void)close(mover->wake);
    if (mover->epoll >= 0)
        (void)close(mover->epoll);
    (void)pthread_cond_destroy(&mover->changed);
    (void)pthread_mutex_destroy(&mover->lock);
    free(mover);
}

static void tell_stop(struct mover *mover)
{
    (void)pthread_mutex_lock(&mover->lock);
    mover->stopping = true;
    (void)pthread_cond_broadcast(&mover->changed);
    (void)pthread_mutex_unlock(&mover->lock);
    mover_wake(mover);
}

static int open_descriptors(struct mover *mover, struct error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    mover->epoll = epoll_create1(EPOLL_CLOEXEC);
    mover->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mover->epoll < 0 || mover->wake < 0 ||
        epoll_ctl(mover->epoll, EPOLL_CTL_ADD, mover->wake, &event) < 0)
        return error_set_errno(err, errno, "cannot make the thread of %s", mover->ops->name);
    return 0;
}

static int start_threads(struct mover *mover, struct error *err)
{
    int failure = pthread_create(&mover->thread, NULL, move, mover);

    if (failure)
        return error_set_errno(err, failure, "cannot start the thread of %s", mover->ops->name);
    failure = pthread_create(&mover->second, NULL, serve_aside, mover);
    if (failure) {
        tell_stop(mover);
        (void)pthread_join(mover->thread, NULL);
        return error_set_errno(err, failure, "cannot start the second thread of %s",
                               mover->ops->name);
    }
    return 0;
}

int mover_start(const struct mover_ops *ops, void *user, struct mover **ret_mover,
                struct error *err)
{
    struct mover *mover = calloc(1, sizeof(*mover));

    if (!mover)
        return error_set_errno(err, ENOMEM, "cannot make the thread of %s", ops->name);
    mover->ops = ops;
    mover->user = user;
    mover->epoll = mover->wake = -1;
    TAILQ_INIT(&mover->arrived);
    TAILQ_INIT(&mover->aside);
    TAILQ_INIT(&mover->all);
    TAILQ_INIT(&mover->turns);
    TAILQ_INIT(&mover->again);
    (void)pthread_mutex_init(&mover->lock, NULL);
    condition_init(&mover->changed);
    if (open_descriptors(mover, err) < 0 || start_threads(mover, err) < 0) {
        mover_free(mover);
        return -1;
    }
    *ret_mover = mover;
    return 0;
}

void mover_stop(struct mover *mover)
{
    if (!mover)
        return;
    tell_stop(mover);
    (void)pthread_join(mover->thread, NULL);
    (void)pthread_join(mover->second, NULL);
    mover_free(mover);
}
