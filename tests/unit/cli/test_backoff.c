#include "cli/backoff.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_doubles_up_to_the_limit(void **state)
{
    static const int64_t seconds[] = {1, 2, 4, 8, 16, 30, 30, 30};
    struct backoff backoff = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
        assert_int_equal(backoff_next(&backoff, 0), seconds[i] * 1000000);
}

static void test_steady_run_starts_over(void **state)
{
    struct backoff backoff = {0};

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)backoff_next(&backoff, 0);
    assert_int_equal(backoff_next(&backoff, BACKOFF_STEADY_USEC - 1), BACKOFF_MAX_USEC);
    assert_int_equal(backoff_next(&backoff, BACKOFF_STEADY_USEC), BACKOFF_FIRST_USEC);
    assert_int_equal(backoff_next(&backoff, 0), 2 * BACKOFF_FIRST_USEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_up_to_the_limit),
        cmocka_unit_test(test_steady_run_starts_over),
    };

    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
