#include "cli/query.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(const struct parameter *parameters, size_t count, const char *expected)
{
    char *path = NULL;

    assert_int_equal(query_make("/v1/x", parameters, count, &path, NULL), 0);
    assert_string_equal(path, expected);
    free(path);
}

static void test_values_are_escaped(void **state)
{
    const struct parameter parameters[] = {{"path", "/a b/\xff&c=?#%"}, {"user", "u"}};

    (void)state;
    check(parameters, ARRAY_SIZE(parameters), "/v1/x?path=%2Fa%20b%2F%FF%26c%3D%3F%23%25&user=u");
}

static void test_what_is_not_given_is_left_out(void **state)
{
    const struct parameter parameters[] = {{"a", NULL}, {"b", ""}, {"c", NULL}, {"d", "1"}};

    (void)state;
    check(parameters, ARRAY_SIZE(parameters), "/v1/x?b=&d=1");
    check(parameters, 1, "/v1/x");
}

static void test_a_query_goes_on(void **state)
{
    const struct parameter parameter = {"b", "2"};
    char *path = NULL;

    (void)state;
    assert_int_equal(query_make("/v1/x?a=1", &parameter, 1, &path, NULL), 0);
    assert_string_equal(path, "/v1/x?a=1&b=2");
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_escaped),
        cmocka_unit_test(test_what_is_not_given_is_left_out),
        cmocka_unit_test(test_a_query_goes_on),
    };

    return cmocka_run_group_tests_name("cli/query", tests, NULL, NULL);
}
