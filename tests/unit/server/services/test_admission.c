/* The scheduler of starts: turns, bounds, and that nothing is lost or passed over. */
#include "server/services/admission.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { LONG_MS = 60000, REQUESTS_MAX = 16 };

static const struct id tenant_a = {{0xa}};
static const struct id tenant_b = {{0xb}};
static const struct id tenant_c = {{0xc}};

/* A request on a thread of its own. */
struct request {
    struct admission *admission;
    const struct id *tenant;
    bool run;
    pthread_t thread;
    struct admission_ticket ticket;
    struct error err;
    int status;
};

/* Who was admitted, in order; one at a time while `starting` is 1. */
static const struct id *order[REQUESTS_MAX];
static size_t admitted;
static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;

/* Posted once for each that may leave. */
static sem_t may_leave;

static void *enter(void *data)
{
    struct request *request = data;

    request->status = admission_enter(request->admission, request->tenant, request->run,
                                      &request->ticket, &request->err);
    if (request->status == 0) {
        (void)pthread_mutex_lock(&order_lock);
        order[admitted++] = request->tenant;
        (void)pthread_mutex_unlock(&order_lock);
        (void)sem_wait(&may_leave);
        admission_leave(request->admission, &request->ticket);
    }
    return NULL;
}

static struct admission *make(unsigned starting, unsigned running, unsigned held, unsigned wait_ms)
{
    const struct admission_limits limits = {
        .starting = starting,
        .share_ms = LONG_MS,
        .running = running,
        .held = held,
        .turn_ms = LONG_MS,
        .wait_ms = wait_ms,
    };
    struct admission *admission;

    admitted = 0;
    (void)sem_init(&may_leave, 0, REQUESTS_MAX);
    assert_int_equal(admission_open(&limits, &admission, NULL), 0);
    return admission;
}

static struct admission_ticket hold(struct admission *admission, bool run)
{
    struct admission_ticket ticket;

    assert_int_equal(admission_enter(admission, &tenant_c, run, &ticket, NULL), 0);
    return ticket;
}

static void await_waiting(struct admission *admission, unsigned count)
{
    while (admission_waiting(admission) != count)
        (void)sched_yield();
}

/* Starts a request that has to wait, and returns when it does. */
static void queue(struct request *request, struct admission *admission, const struct id *tenant)
{
    unsigned waiting = admission_waiting(admission);

    *request = (struct request){.admission = admission, .tenant = tenant, .run = true};
    assert_int_equal(pthread_create(&request->thread, NULL, enter, request), 0);
    await_waiting(admission, waiting + 1);
}

static void join(struct request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(requests[i].thread, NULL);
}

static void test_turns_go_round_by_tenant(void **state)
{
    static const struct id *const wanted[] = {&tenant_a, &tenant_b, &tenant_a,
                                              &tenant_b, &tenant_a, &tenant_a};
    _cleanup_admission_ struct admission *admission = make(1, 9, 99, LONG_MS);
    struct admission_ticket held = hold(admission, false);
    struct request requests[6];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        queue(&requests[i], admission, &tenant_a);
    for (size_t i = 4; i < 6; i++)
        queue(&requests[i], admission, &tenant_b);
    admission_leave(admission, &held);
    join(requests, 6);
    assert_int_equal(admitted, 6);
    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(order[i], wanted[i]);
}

static void test_a_start_ends_before_its_run(void **state)
{
    _cleanup_admission_ struct admission *admission = make(1, 2, 99, 0);
    struct admission_ticket first = hold(admission, true);
    struct admission_ticket second, third;
    struct error err;

    (void)state;
    assert_int_equal(admission_enter(admission, &tenant_a, true, &second, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
    admission_yield(admission, &first);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &second, &err), 0);
    admission_yield(admission, &second);
    /* Both places are taken; a start that needs none goes on. */
    assert_int_equal(admission_enter(admission, &tenant_a, true, &third, &err), -1);
    assert_int_equal(err.limit, 2);
    assert_int_equal(err.used, 2);
    assert_int_equal(err.retry_after_s, 1);
    assert_string_equal(err.message,
                        "2 of 2 executions are running (sandbox.max_concurrent_sandboxes)");
    assert_int_equal(admission_enter(admission, &tenant_a, false, &third, &err), 0);
    admission_leave(admission, &third);
    admission_leave(admission, &first);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &third, &err), 0);
    admission_leave(admission, &third);
    admission_leave(admission, &second);
}

static void test_a_ticket_is_given_back_once(void **state)
{
    _cleanup_admission_ struct admission *admission = make(1, 1, 99, 0);
    struct admission_ticket ticket = hold(admission, true);
    struct admission_ticket next;

    (void)state;
    admission_yield(admission, &ticket);
    admission_yield(admission, &ticket);
    admission_leave(admission, &ticket);
    admission_leave(admission, &ticket);
    next = hold(admission, true);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &ticket, NULL), -1);
    admission_leave(admission, &next);
}

static void test_a_wait_ends(void **state)
{
    _cleanup_admission_ struct admission *admission = make(1, 9, 99, 10);
    struct admission_ticket held = hold(admission, false);
    struct admission_ticket ticket;
    struct error err;

    (void)state;
    assert_int_equal(admission_enter(admission, &tenant_a, false, &ticket, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
    assert_int_equal(admission_waiting(admission), 0);
    admission_leave(admission, &held);
    held = hold(admission, false);
    admission_leave(admission, &held);
}

static void test_the_longest_queue_gives_way(void **state)
{
    _cleanup_admission_ struct admission *admission = make(1, 9, 3, LONG_MS);
    struct admission_ticket held = hold(admission, false);
    struct admission_ticket ticket;
    struct request requests[4];
    struct error err;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        queue(&requests[i], admission, &tenant_a);
    /* Its own queue is the longest. */
    assert_int_equal(admission_enter(admission, &tenant_a, true, &ticket, &err), -1);
    assert_int_equal(err.code, ERR_TOO_MANY);
    requests[3] = (struct request){.admission = admission, .tenant = &tenant_b, .run = true};
    assert_int_equal(pthread_create(&requests[3].thread, NULL, enter, &requests[3]), 0);
    (void)pthread_join(requests[2].thread, NULL); /* the last of A */
    assert_int_equal(requests[2].status, -1);
    assert_int_equal(requests[2].err.code, ERR_TOO_MANY);
    await_waiting(admission, 3);
    admission_leave(admission, &held);
    join(requests, 2);
    join(requests + 3, 1);
    assert_int_equal(admitted, 3);
    assert_ptr_equal(order[1], &tenant_b);
}

static void test_a_long_turn_ends(void **state)
{
    const struct admission_limits limits = {
        .starting = 1, .running = 9, .held = 99, .turn_ms = 5, .wait_ms = LONG_MS};
    struct admission_ticket first, second, third;
    struct admission *admission;

    (void)state;
    assert_int_equal(admission_open(&limits, &admission, NULL), 0);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &first, NULL), 0);
    admission_started(admission, &first);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &second, NULL), 0);
    admission_started(admission, &second);
    assert_false(first.starting);
    assert_true(first.running);
    admission_leave(admission, &first);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &third, NULL), 0);
    admission_leave(admission, &second);
    admission_leave(admission, &third);
    admission_close(admission);
}

static void test_a_tenant_that_comes_late_does_not_catch_up(void **state)
{
    _cleanup_admission_ struct admission *admission = make(1, 9, 99, LONG_MS);
    struct admission_ticket held = hold(admission, false);
    struct request requests[5];

    (void)state;
    /* Served alone for some rounds, A has used nobody's turns up. */
    queue(&requests[0], admission, &tenant_a);
    queue(&requests[1], admission, &tenant_a);
    admission_leave(admission, &held);
    join(requests, 2);
    held = hold(admission, false);
    queue(&requests[0], admission, &tenant_b);
    queue(&requests[1], admission, &tenant_b);
    queue(&requests[2], admission, &tenant_a);
    admission_leave(admission, &held);
    join(requests, 3);
    assert_ptr_equal(order[2], &tenant_b);
    assert_ptr_equal(order[3], &tenant_a);
    assert_ptr_equal(order[4], &tenant_b);
}

static void test_a_tenant_that_comes_again_waits_for_the_others(void **state)
{
    _cleanup_admission_ struct admission *admission = make(1, 9, 99, LONG_MS);
    struct admission_ticket held = hold(admission, false);
    struct request requests[4];

    (void)state;
    (void)sem_init(&may_leave, 0, 0);
    queue(&requests[0], admission, &tenant_a);
    queue(&requests[1], admission, &tenant_b);
    queue(&requests[2], admission, &tenant_b);
    admission_leave(admission, &held);
    /* A has had its turn, and comes again before B has had its first. */
    await_waiting(admission, 2);
    queue(&requests[3], admission, &tenant_a);
    for (size_t i = 0; i < 4; i++)
        (void)sem_post(&may_leave);
    join(requests, 4);
    assert_ptr_equal(order[0], &tenant_a);
    assert_ptr_equal(order[1], &tenant_b);
    assert_true(order[2] != order[3]);
}

static void test_tenants_share_the_turns(void **state)
{
    const struct admission_limits limits = {.starting = 4,
                                            .spare = 2,
                                            .share_ms = LONG_MS,
                                            .running = 99,
                                            .held = 99,
                                            .turn_ms = LONG_MS};
    _cleanup_admission_ struct admission *admission = NULL;
    struct admission_ticket tickets[4], others[2], more;

    (void)state;
    assert_int_equal(admission_open(&limits, &admission, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(admission_enter(admission, &tenant_a, true, &tickets[i], NULL), 0);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &more, NULL), -1);
    /* All turns are taken; who has none need not wait for one. */
    assert_int_equal(admission_enter(admission, &tenant_b, true, &others[0], NULL), 0);
    assert_int_equal(admission_enter(admission, &tenant_b, true, &more, NULL), -1);
    assert_int_equal(admission_enter(admission, &tenant_c, true, &others[1], NULL), 0);
    admission_leave(admission, &others[1]);
    admission_leave(admission, &others[0]);
    /* What A gives back is B's as well now, and C's part is kept for it. */
    for (size_t i = 0; i < 3; i++)
        admission_leave(admission, &tickets[i]);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &tickets[0], NULL), 0);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &more, NULL), -1);
    assert_int_equal(admission_enter(admission, &tenant_b, true, &others[0], NULL), 0);
    for (size_t i = 0; i < 4; i += 3)
        admission_leave(admission, &tickets[i]);
    admission_leave(admission, &others[0]);
}

static void test_a_share_is_kept_for_a_moment(void **state)
{
    const struct admission_limits limits = {
        .starting = 2, .share_ms = 0, .running = 99, .held = 99, .turn_ms = LONG_MS};
    _cleanup_admission_ struct admission *admission = NULL;
    struct admission_ticket tickets[2];

    (void)state;
    assert_int_equal(admission_open(&limits, &admission, NULL), 0);
    tickets[0] = hold(admission, true);
    assert_int_equal(admission_enter(admission, &tenant_a, true, &tickets[1], NULL), 0);
    admission_leave(admission, &tickets[0]);
    /* C starts nothing any more. */
    assert_int_equal(admission_enter(admission, &tenant_a, true, &tickets[0], NULL), 0);
    admission_leave(admission, &tickets[0]);
    admission_leave(admission, &tickets[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_go_round_by_tenant),
        cmocka_unit_test(test_a_start_ends_before_its_run),
        cmocka_unit_test(test_a_ticket_is_given_back_once),
        cmocka_unit_test(test_a_wait_ends),
        cmocka_unit_test(test_the_longest_queue_gives_way),
        cmocka_unit_test(test_a_long_turn_ends),
        cmocka_unit_test(test_a_tenant_that_comes_late_does_not_catch_up),
        cmocka_unit_test(test_a_tenant_that_comes_again_waits_for_the_others),
        cmocka_unit_test(test_tenants_share_the_turns),
        cmocka_unit_test(test_a_share_is_kept_for_a_moment),
    };

    return cmocka_run_group_tests_name("services/admission", tests, NULL, NULL);
}
