#include "server/services/allowance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define HOUR_USEC (INT64_C(3600) * 1000000)

static const struct id one = {{1}};
static const struct id two = {{2}};
static struct allowance *allowance;

static int setup(void **state)
{
    (void)state;
    return allowance_create(&allowance, NULL);
}

static int teardown(void **state)
{
    (void)state;
    allowance_free(allowance);
    return 0;
}

static void test_each_tenant_has_its_own(void **state)
{
    (void)state;
    assert_true(allowance_take(allowance, &one, 60, 100, 1));
    assert_false(allowance_take(allowance, &one, 41, 100, 2));
    assert_true(allowance_take(allowance, &two, 100, 100, 2));
    assert_true(allowance_take(allowance, &one, 40, 100, 3));
    assert_false(allowance_take(allowance, &one, 1, 100, 4));
    assert_true(allowance_take(allowance, &one, 0, 100, 5));
    assert_false(allowance_take(allowance, &two, UINT64_MAX, 100, 6));
}

static void test_after_an_hour_it_is_whole_again(void **state)
{
    (void)state;
    assert_true(allowance_take(allowance, &one, 100, 100, 1));
    assert_false(allowance_take(allowance, &one, 1, 100, HOUR_USEC));
    assert_true(allowance_take(allowance, &one, 100, 100, HOUR_USEC + 1));
    assert_false(allowance_take(allowance, &one, 1, 100, HOUR_USEC + 2));
}

/* More tenants than it can tell apart: each still has at least its own. */
static void test_many_tenants(void **state)
{
    (void)state;
    for (uint8_t i = 0; i < 8; i++)
        for (unsigned j = 0; j < 256; j++) {
            const struct id tenant = {{3, i, (uint8_t)j}};

            assert_true(allowance_take(allowance, &tenant, 100, 100, 1));
            assert_false(allowance_take(allowance, &tenant, 1, 100, 1));
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_tenant_has_its_own),
        TEST(test_after_an_hour_it_is_whole_again),
        TEST(test_many_tenants),
    };

    return cmocka_run_group_tests_name("services/allowance", tests, NULL, NULL);
}
