#include "lib/base/util.h"
#include "server/http/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_parse(void **state)
{
    char secret[EDGE_SECRET_SIZE];
    char value[256];
    struct edge_link link;

    (void)state;
    assert_int_equal(edge_secret_new(secret, NULL), 0);
    assert_int_equal(strlen(secret), 32);
    (void)snprintf(value, sizeof(value), "%s id ::1 a:80", secret);
    assert_true(edge_link_parse(value, secret, &link));
    assert_string_equal(link.request_id, "id");
    assert_string_equal(link.client, "::1");
    assert_string_equal(link.host, "a:80");
    value[31] ^= 1;
    assert_false(edge_link_parse(value, secret, &link));
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "",         " ",       "s",         "s i",
        "s i c",    "s i c ",  "s i c h x", "s  c h",
        " s i c h", "t i c h", "ss i c h",  "s i 0123456789012345678901234567890123456789012345 h",
    };
    struct edge_link link;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_false(edge_link_parse(cases[i], "s", &link));
    assert_true(edge_link_parse("s i c h", "s", &link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("server/http/link", tests, NULL, NULL);
}
