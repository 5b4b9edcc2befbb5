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
    (void)state;
    assert_true(executors_take_memory(&services, EXECUTORS_MEMORY - 1));
    assert_false(executors_take_memory(&services, 2));
    assert_true(executors_take_memory(&services, 1));
    assert_false(executors_take_memory(&services, 1));
    executors_give_memory(&services, EXECUTORS_MEMORY);
    assert_true(executors_take_memory(&services, EXECUTORS_MEMORY));
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
