#include "archive/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_clean(const char *name, const char *expected)
{
    char clean[ARCHIVE_NAME_MAX + 1];

    assert_null(name_clean(name, clean));
    assert_string_equal(clean, expected);
}

static void assert_refused(const char *name)
{
    char clean[ARCHIVE_NAME_MAX + 1];

    assert_non_null(name_clean(name, clean));
}

static void test_what_names_mean(void **state)
{
    (void)state;
    assert_clean("a", "a");
    assert_clean("./a//b/./c/", "a/b/c");
    assert_clean("...", "...");
    assert_clean("a..b/..c/d..", "a..b/..c/d..");
    assert_clean("a\\..\\b", "a\\..\\b");
    assert_clean(".", "");
    assert_clean("", "");
    assert_clean("./", "");
}

static void test_what_leads_out(void **state)
{
    static const char *const names[] = {"/",    "/a",     "//a",    "..",       "../a",
                                        "a/..", "a/../b", "./../a", "a/b/../.."};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_refused(names[i]);
}

static void test_bounds(void **state)
{
    char name[ARCHIVE_NAME_MAX + 2];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[ARCHIVE_NAME_MAX + 1] = '\0';
    assert_refused(name);
    name[ARCHIVE_NAME_MAX] = '\0';
    assert_clean(name, name);
    for (size_t i = 0; i < ARCHIVE_DEPTH_MAX; i++)
        memcpy(name + 2 * i, "a/", 2);
    name[2 * ARCHIVE_DEPTH_MAX - 1] = '\0';
    assert_clean(name, name);
    memcpy(name + 2 * ARCHIVE_DEPTH_MAX - 1, "/a", 3);
    assert_refused(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_names_mean),
        cmocka_unit_test(test_what_leads_out),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
