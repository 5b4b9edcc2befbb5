#include "server/services/executors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct services services;

static int setup(void **state)
{
    (void)state;
    return executors_create(&services.executors, NULL);
}

static int teardown(void **state)
{
    (void)state;
    executors_free(services.executors);
    return 0;
}

static void test_memory_is_bounded(void **state)
{
    struct id tenants[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        tenants[i] = (struct id){.bytes = {(uint8_t)i}};
    assert_true(executors_take_memory(&services, &tenants[0], EXECUTORS_PIECES_OF_TENANT - 1));
    assert_false(executors_take_memory(&services, &tenants[0], 2));
    assert_true(executors_take_memory(&services, &tenants[0], 1));
    assert_true(executors_take_memory(&services, &tenants[1], EXECUTORS_PIECES_OF_TENANT));
    assert_false(executors_take_memory(&services, &tenants[2], 1));
    executors_give_memory(&services, &tenants[1], 2);
    assert_false(executors_take_memory(&services, &tenants[0], 1));
    assert_true(executors_take_memory(&services, &tenants[2], 2));
}

static void test_what_chooses_a_secret(void **state)
{
    (void)state;
    assert_true(executors_is_chosen("{\"SANDBOX_SECRET\":\"x\"}"));
    assert_false(executors_is_chosen("{\"SANDBOX_SECRET\":\"\"}"));
    assert_false(executors_is_chosen("{\"sandbox_secret\":\"x\"}"));
    assert_false(executors_is_chosen("{}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_memory_is_bounded, setup, teardown),
        cmocka_unit_test(test_what_chooses_a_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
