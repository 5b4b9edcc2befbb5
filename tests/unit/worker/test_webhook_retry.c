#include "worker/webhook_retry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_the_wait_doubles(void **state)
{
    (void)state;
    assert_int_equal(webhook_retry_ms(1, 1000, 500), 1000);
    assert_int_equal(webhook_retry_ms(2, 1000, 1000), 2000);
    assert_int_equal(webhook_retry_ms(3, 1000, 2000), 4000);
}

static void test_at_least_half_is_waited_and_never_more_than_all(void **state)
{
    (void)state;
    for (uint32_t random = 0; random < 5000; random++) {
        assert_in_range(webhook_retry_ms(3, 1000, random), 2000, 4000);
        assert_in_range(webhook_retry_ms(1, 10, random), 5, 10);
    }
    assert_int_not_equal(webhook_retry_ms(3, 1000, 17), webhook_retry_ms(3, 1000, 18));
}

static void test_it_ends_at_an_hour(void **state)
{
    (void)state;
    assert_in_range(webhook_retry_ms(100, 1000, UINT32_MAX), WEBHOOK_RETRY_MAX_MS / 2,
                    WEBHOOK_RETRY_MAX_MS);
    assert_in_range(webhook_retry_ms(INT32_MAX, WEBHOOK_RETRY_MAX_MS, 7), WEBHOOK_RETRY_MAX_MS / 2,
                    WEBHOOK_RETRY_MAX_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_wait_doubles),
        cmocka_unit_test(test_at_least_half_is_waited_and_never_more_than_all),
        cmocka_unit_test(test_it_ends_at_an_hour),
    };

    return cmocka_run_group_tests_name("worker/webhook_retry", tests, NULL, NULL);
}
