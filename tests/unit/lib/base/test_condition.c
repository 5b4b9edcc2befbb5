/* Waits that end by the monotonic clock. */
#include "lib/base/condition.h"
#include "lib/base/util.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_times_keep_their_microseconds(void **state)
{
    (void)state;
    assert_int_equal(condition_time(0).tv_sec, 0);
    assert_int_equal(condition_time(1999999).tv_sec, 1);
    assert_int_equal(condition_time(1999999).tv_nsec, 999999000);
}

static void test_a_wait_ends_by_the_monotonic_clock(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    int64_t end = monotonic_usec() + 1000;
    struct timespec until = condition_time(end);
    pthread_cond_t condition;

    (void)state;
    condition_init(&condition);
    (void)pthread_mutex_lock(&lock);
    while (pthread_cond_timedwait(&condition, &lock, &until) != ETIMEDOUT)
        continue;
    (void)pthread_mutex_unlock(&lock);
    assert_true(monotonic_usec() >= end);
    (void)pthread_cond_destroy(&condition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_keep_their_microseconds),
        cmocka_unit_test(test_a_wait_ends_by_the_monotonic_clock),
    };

    return cmocka_run_group_tests_name("base/condition", tests, NULL, NULL);
}
