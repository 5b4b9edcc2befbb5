#include "lib/base/util.h"

#include <atoll/role.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_the_highest_word_of_a_scope_counts(void **state)
{
    static const struct {
        const char *scope;
        enum role role;
    } cases[] = {
        {"", ROLE_MEMBER},
        {"viewer", ROLE_VIEWER},
        {"member", ROLE_MEMBER},
        {"admin", ROLE_ADMIN},
        {"operator", ROLE_OPERATOR},
        {"viewer admin member", ROLE_ADMIN},
        {"openid viewer email", ROLE_VIEWER},
        {"  viewer  ", ROLE_VIEWER},
        {"openid email", ROLE_NONE},
        {" ", ROLE_NONE},
        {"none", ROLE_NONE},
        {"Admin", ROLE_NONE},
        {"admins", ROLE_NONE},
        {"admi", ROLE_NONE},
        {"admin,operator", ROLE_NONE},
        {"viewer\tadmin", ROLE_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(role_of_scope(cases[i].scope), cases[i].role);
}

static void test_each_role_is_named_by_its_word(void **state)
{
    (void)state;
    for (int role = ROLE_VIEWER; role <= ROLE_OPERATOR; role++)
        assert_int_equal(role_of_scope(role_name((enum role)role)), role);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_highest_word_of_a_scope_counts),
        cmocka_unit_test(test_each_role_is_named_by_its_word),
    };

    return cmocka_run_group_tests_name("lib/base/role", tests, NULL, NULL);
}
