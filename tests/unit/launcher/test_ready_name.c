#include "launcher/ready_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void survives_the_way_there_and_back(void **state)
{
    const uid_t uids[] = {65536, 738197504, UINT32_MAX};
    const int64_t times[] = {1, 53074651958, INT64_MAX};
    char name[SANDBOX_NAME_SIZE];
    struct id id;
    uint32_t generation;

    (void)state;
    for (size_t i = 0; i < sizeof(uids) / sizeof(uids[0]); i++) {
        ready_name_format(uids[i], times[i], name);
        assert_true(ready_name_valid(name));
        assert_false(sandbox_name_parse(name, &id, &generation));
    }
}

static void leaves_other_names_alone(void **state)
{
    static const char *const names[] = {
        "",
        "ready",
        "ready.",
        "ready.1",
        "ready..1",
        "ready.1.",
        "ready.x.1",
        "ready.1.x",
        "ready.-1.1",
        "ready.1.-1",
        "ready.+1.1",
        "ready.01.1",
        "ready.1.01",
        "ready.1.1 ",
        "ready.1.1.scope",
        "ready.1.2.3",
        "ready.4294967296.1",
        "ready.10000000000.1",
        "ready.1.9223372036854775808",
        "Ready.1.1",
        "already.1.1",
        "0123456789abcdef0123456789abcdef.1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(ready_name_valid(names[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_the_way_there_and_back),
        cmocka_unit_test(leaves_other_names_alone),
    };

    return cmocka_run_group_tests_name("launcher/ready_name", tests, NULL, NULL);
}
