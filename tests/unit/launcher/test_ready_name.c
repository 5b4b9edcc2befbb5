#include "launcher/ready_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void survives_the_way_there_and_back(void **state)
{
    const struct id ids[] = {{{0}}, {{1, 0xa2, 0xff}}};
    char name[SANDBOX_NAME_SIZE];
    struct id id;
    uint32_t generation;

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        ready_name_format(&ids[i], name);
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
        "ready.x",
        "ready.0123456789abcdef0123456789abcde",
        "ready.0123456789ABCDEF0123456789ABCDEF",
        "ready.01234567-89ab-cdef-0123-456789abcdef",
        "ready.0123456789abcdef0123456789abcdef ",
        "ready.0123456789abcdef0123456789abcdef.1",
        "Ready.0123456789abcdef0123456789abcdef",
        "already.0123456789abcdef0123456789abcdef",
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
