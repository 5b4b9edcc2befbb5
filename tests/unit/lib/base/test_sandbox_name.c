#include "lib/base/sandbox_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void survives_the_way_there_and_back(void **state)
{
    const uint32_t generations[] = {1, 10, UINT32_MAX};
    struct id id = {{0x01, 0xff, 0xa0}};
    char name[SANDBOX_NAME_SIZE];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct id back;
        uint32_t generation = 0;

        sandbox_name_format(&id, generations[i], name);
        assert_true(sandbox_name_parse(name, &back, &generation));
        assert_true(id_equal(&id, &back));
        assert_int_equal(generation, generations[i]);
    }
}

static void leaves_other_names_alone(void **state)
{
    static const char *const names[] = {
        "",
        ".",
        "supervisor",
        "0123456789abcdef0123456789abcdef",
        "0123456789abcdef0123456789abcdef.",
        "0123456789abcdef0123456789abcdef.0",
        "0123456789abcdef0123456789abcdef.01",
        "0123456789abcdef0123456789abcdef.+1",
        "0123456789abcdef0123456789abcdef.4294967296",
        "0123456789abcdef0123456789abcdef.1 ",
        "0123456789abcdef0123456789abcdef.1.scope",
        "0123456789ABCDEF0123456789abcdef.1",
        "0123456789abcdeg0123456789abcdef.1",
        "0123456789abcdef0123456789abcde.12",
        "01234567-89ab-cdef-0123-456789abcdef.1",
    };
    struct id id;
    uint32_t generation;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_false(sandbox_name_parse(names[i], &id, &generation));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_the_way_there_and_back),
        cmocka_unit_test(leaves_other_names_alone),
    };

    return cmocka_run_group_tests_name("lib/base/sandbox_name", tests, NULL, NULL);
}
