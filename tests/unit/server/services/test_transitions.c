#include "server/services/transitions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_one_change_of_a_container_at_a_time(void **state)
{
    const struct id one = {{1}};
    const struct id two = {{2}};
    struct transitions transitions;
    struct error err;

    (void)state;
    transitions_init(&transitions);
    assert_int_equal(transitions_enter(&transitions, &one, &err), 0);
    assert_int_equal(transitions_enter(&transitions, &two, &err), 0);
    assert_int_equal(transitions_enter(&transitions, &one, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    transitions_leave(&transitions, &one);
    assert_int_equal(transitions_enter(&transitions, &one, &err), 0);
    assert_int_equal(transitions_enter(&transitions, &two, &err), -1);
    transitions_done(&transitions);
}

static void test_many_at_once(void **state)
{
    struct transitions transitions;
    struct error err;

    (void)state;
    transitions_init(&transitions);
    for (uint8_t i = 0; i < 200; i++) {
        const struct id id = {{i, 1}};

        assert_int_equal(transitions_enter(&transitions, &id, &err), 0);
    }
    for (uint8_t i = 0; i < 200; i++) {
        const struct id id = {{i, 1}};

        transitions_leave(&transitions, &id);
        assert_int_equal(transitions_enter(&transitions, &id, &err), 0);
    }
    transitions_done(&transitions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_change_of_a_container_at_a_time),
        cmocka_unit_test(test_many_at_once),
    };

    return cmocka_run_group_tests_name("services/transitions", tests, NULL, NULL);
}
