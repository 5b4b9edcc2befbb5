#include "server/services/admission.h"

#include "lib/base/condition.h"
#include "lib/base/util.h"
#include "server/services/starters.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

enum { RETRY_AFTER_S = 1 };

enum outcome { WAITING, ADMITTED, GAVE_WAY };

/* A request's thread that waits; it lies on that thread's stack. */
struct waiter {
    struct id tenant;
    bool run;
    struct admission_ticket *ticket; /* to fill */
    uint64_t round;
    enum outcome outcome;
    pthread_cond_t decided;
    TAILQ_ENTRY(waiter) link;
};

TAILQ_HEAD(waiters, waiter);
TAILQ_HEAD(tickets, admission_ticket);

struct admission {
    struct admission_limits limits;
    pthread_mutex_t lock; /* over everything below */
    struct starters starters;
    unsigned starting;
    unsigned running;
    unsigned waiting;
    uint64_t round;       /* of the one admitted last */
    struct waiters queue; /* by round, in a round by arrival */
    struct tickets turns; /* those that have an end; the next first */
};

int admission_open(const struct admission_limits *limits, struct admission **ret_admission,
                   struct error *err)
{
    struct admission *admission = calloc(1, sizeof(*admission));

    if (!admission)
        return error_set_errno(err, ENOMEM, "cannot open the admission");
    if (starters_init(&admission->starters, (size_t)limits->starting + limits->spare, err) < 0) {
        free(admission);
        return -1;
    }
    admission->limits = *limits;
    (void)pthread_mutex_init(&admission->lock, NULL);
    TAILQ_INIT(&admission->queue);
    TAILQ_INIT(&admission->turns);
    *ret_admission = admission;
    return 0;
}

void admission_close(struct admission *admission)
{
    if (!admission)
        return;
    (void)pthread_mutex_destroy(&admission->lock);
    starters_done(&admission->starters);
    free(admission);
}

static bool may_start(const struct admission *admission, const struct id *tenant)
{
    const struct admission_limits *limits = &admission->limits;
    unsigned own = starters_under_way(&admission->starters, tenant);

    if (own == 0)
        return admission->starting < limits->starting + limits->spare;
    return admission->starting < limits->starting &&
           own < starters_share(&admission->starters, tenant, limits->starting,
                                limits->share_ms * INT64_C(1000), monotonic_usec());
}

static bool fits(const struct admission *admission, const struct id *tenant, bool run)
{
    return (!run || admission->running < admission->limits.running) && may_start(admission, tenant);
}

static void take(struct admission *admission, const struct id *tenant, bool run,
                 struct admission_ticket *ticket)
{
    *ticket = (struct admission_ticket){.tenant = *tenant, .starting = true, .running = run};
    starters_begin(&admission->starters, tenant, monotonic_usec());
    admission->starting++;
    admission->running += run;
}

static void end_turn(struct admission *admission, struct admission_ticket *ticket)
{
    if (!ticket->starting)
        return;
    if (ticket->timed)
        TAILQ_REMOVE(&admission->turns, ticket, link);
    ticket->starting = false;
    starters_end(&admission->starters, &ticket->tenant, monotonic_usec());
    admission->starting--;
}

static void decide(struct admission *admission, struct waiter *waiter, enum outcome outcome)
{
    TAILQ_REMOVE(&admission->queue, waiter, link);
    admission->waiting--;
    waiter->outcome = outcome;
    (void)pthread_cond_signal(&waiter->decided);
}

/* The first of those that wait watches the turns' ends for all. */
static void wake_first(struct admission *admission)
{
    if (!TAILQ_EMPTY(&admission->queue))
        (void)pthread_cond_signal(&TAILQ_FIRST(&admission->queue)->decided);
}

/*
 * Admits whoever may go now. Nobody who waits could go when this returns, so that one who comes
 * later and fits overtakes nobody.
 */
static void admit_waiting(struct admission *admission)
{
    struct waiter *next;

    for (struct waiter *waiter = TAILQ_FIRST(&admission->queue); waiter; waiter = next) {
        next = TAILQ_NEXT(waiter, link);
        if (!fits(admission, &waiter->tenant, waiter->run))
            continue;
        take(admission, &waiter->tenant, waiter->run, waiter->ticket);
        admission->round = waiter->round > admission->round ? waiter->round : admission->round;
        decide(admission, waiter, ADMITTED);
    }
    wake_first(admission);
}

/* Ends the turns that have lasted too long: what takes long need not be waited for. Others' shares
 * may have ended too. */
static void end_long_turns(struct admission *admission)
{
    int64_t now = monotonic_usec();
    struct admission_ticket *ticket;

    while ((ticket = TAILQ_FIRST(&admission->turns)) && ticket->end <= now)
        end_turn(admission, ticket);
    admit_waiting(admission);
}

/* The round after the last in which the tenant has a turn, or may have had one. */
static uint64_t next_round(const struct admission *admission, const struct id *tenant)
{
    for (const struct waiter *waiter = TAILQ_LAST(&admission->queue, waiters); waiter;
         waiter = TAILQ_PREV(waiter, waiters, link)) {
        if (id_equal(&waiter->tenant, tenant))
            return waiter->round + 1;
    }
    return admission->round + 1;
}

static void enqueue(struct admission *admission, struct waiter *waiter)
{
    struct waiter *before = TAILQ_LAST(&admission->queue, waiters);

    while (before && before->round > waiter->round)
        before = TAILQ_PREV(before, waiters, link);
    if (before)
        TAILQ_INSERT_AFTER(&admission->queue, before, waiter, link);
    else
        TAILQ_INSERT_HEAD(&admission->queue, waiter, link);
    admission->waiting++;
}

static int refuse(const struct admission *admission, bool run, struct error *err)
{
    if (run && admission->running >= admission->limits.running)
        return error_set_limit(err, ERR_TOO_MANY, admission->limits.running, admission->running,
                               RETRY_AFTER_S,
                               "%u of %u executions are running (sandbox.max_concurrent_sandboxes)",
                               admission->running, admission->limits.running);
    return error_set_limit(err, ERR_TOO_MANY, admission->limits.held,
                           (int64_t)admission->running + admission->waiting, RETRY_AFTER_S,
                           "the node is busy with other starts");
}

/* Makes room for one more that waits. False when that one's queue is the longest. */
static bool make_room(struct admission *admission, uint64_t round)
{
    struct waiter *last = TAILQ_LAST(&admission->queue, waiters);

    if (admission->running + admission->waiting < admission->limits.held)
        return true;
    if (!last || last->round <= round)
        return false;
    decide(admission, last, GAVE_WAY);
    return true;
}

/* When a waiter has something to do by itself: at its own end, or at that of the oldest turn. */
static struct timespec next_look(const struct admission *admission, const struct waiter *waiter,
                                 int64_t end)
{
    const struct admission_ticket *oldest = TAILQ_FIRST(&admission->turns);

    if (oldest && waiter == TAILQ_FIRST(&admission->queue) && oldest->end < end)
        end = oldest->end;
    return condition_time(end);
}

static void wait_for_decision(struct admission *admission, struct waiter *waiter)
{
    int64_t end = monotonic_usec() + admission->limits.wait_ms * INT64_C(1000);

    while (waiter->outcome == WAITING && monotonic_usec() < end) {
        struct timespec until = next_look(admission, waiter, end);

        (void)pthread_cond_timedwait(&waiter->decided, &admission->lock, &until);
        end_long_turns(admission);
    }
    if (waiter->outcome != WAITING)
        return;
    decide(admission, waiter, GAVE_WAY);
    wake_first(admission);
}

/* Called with the lock. */
static int wait_for_turn(struct admission *admission, const struct id *tenant, bool run,
                         struct admission_ticket *ticket, struct error *err)
{
    struct waiter waiter = {
        .tenant = *tenant,
        .run = run,
        .ticket = ticket,
        .round = next_round(admission, tenant),
        .outcome = WAITING,
    };

    if (!make_room(admission, waiter.round))
        return refuse(admission, run, err);
    condition_init(&waiter.decided);
    enqueue(admission, &waiter);
    wait_for_decision(admission, &waiter);
    (void)pthread_cond_destroy(&waiter.decided);
    return waiter.outcome == ADMITTED ? 0 : refuse(admission, run, err);
}

int admission_enter(struct admission *admission, const struct id *tenant, bool run,
                    struct admission_ticket *ret_ticket, struct error *err)
{
    int status = 0;

    (void)pthread_mutex_lock(&admission->lock);
    end_long_turns(admission);
    if (fits(admission, tenant, run))
        take(admission, tenant, run, ret_ticket);
    else
        status = wait_for_turn(admission, tenant, run, ret_ticket, err);
    (void)pthread_mutex_unlock(&admission->lock);
    return status;
}

void admission_started(struct admission *admission, struct admission_ticket *ticket)
{
    (void)pthread_mutex_lock(&admission->lock);
    ticket->timed = true;
    ticket->end = monotonic_usec() + admission->limits.turn_ms * INT64_C(1000);
    TAILQ_INSERT_TAIL(&admission->turns, ticket, link);
    wake_first(admission);
    (void)pthread_mutex_unlock(&admission->lock);
}

void admission_yield(struct admission *admission, struct admission_ticket *ticket)
{
    (void)pthread_mutex_lock(&admission->lock);
    end_turn(admission, ticket);
    admit_waiting(admission);
    (void)pthread_mutex_unlock(&admission->lock);
}

void admission_leave(struct admission *admission, struct admission_ticket *ticket)
{
    (void)pthread_mutex_lock(&admission->lock);
    end_turn(admission, ticket);
    admission->running -= ticket->running;
    ticket->running = false;
    admit_waiting(admission);
    (void)pthread_mutex_unlock(&admission->lock);
}

unsigned admission_waiting(struct admission *admission)
{
    unsigned waiting;

    (void)pthread_mutex_lock(&admission->lock);
    waiting = admission->waiting;
    (void)pthread_mutex_unlock(&admission->lock);
    return waiting;
}
