#include "lib/base/util.h"
#include "server/http/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_segments(void **state)
{
    static const struct {
        const char *path;
        size_t count;
        const char *segments[4];
    } cases[] = {
        {"/", 0, {0}},
        {"/a", 1, {"a"}},
        {"/a/", 2, {"a", ""}},
        {"//a", 2, {"", "a"}},
        {"/a%20b/%C3%A9+/c", 3, {"a b", "\xc3\xa9+", "c"}},
    };
    char storage[64];
    char *segments[HTTP_SEGMENTS_MAX];
    size_t count;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(http_path_split(cases[i].path, storage, segments, &count, NULL), 0);
        assert_int_equal(count, cases[i].count);
        for (size_t k = 0; k < count; k++)
            assert_string_equal(segments[k], cases[i].segments[k]);
    }
}

static void test_paths_refused(void **state)
{
    static char
        too_many[2 * (HTTP_SEGMENTS_MAX + 1) + 1]; /* "/a/a...": one more than there may be */
    static const struct {
        const char *path;
        enum error_code code;
    } cases[] = {
        {"", ERR_BAD_REQUEST},        {"*", ERR_BAD_REQUEST},    {"/%", ERR_BAD_REQUEST},
        {"/a%4", ERR_BAD_REQUEST},    {"/%zz", ERR_BAD_REQUEST}, {"/a%00", ERR_BAD_REQUEST},
        {"/a%2Fb", ERR_BAD_REQUEST},  {"/%0a", ERR_BAD_REQUEST}, {"/%ff", ERR_BAD_REQUEST},
        {"/%c0%af", ERR_BAD_REQUEST}, {too_many, ERR_NOT_FOUND},
    };
    char storage[sizeof(too_many)];
    char *segments[HTTP_SEGMENTS_MAX];
    size_t count = 77;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(too_many); i++)
        too_many[i] = i % 2 == 0 ? '/' : 'a';
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err;

        assert_int_equal(http_path_split(cases[i].path, storage, segments, &count, &err), -1);
        assert_int_equal(err.code, cases[i].code);
        assert_int_equal(count, 77);
    }
}

static void test_query(void **state)
{
    char value[8];

    (void)state;
    assert_int_equal(http_query_value("a=1&bb=x+%2Fy&c", "bb", value, sizeof(value), NULL), 1);
    assert_string_equal(value, "x /y");
    assert_int_equal(http_query_value("a=1&bb=2&c", "c", value, sizeof(value), NULL), 1);
    assert_string_equal(value, "");
    assert_int_equal(http_query_value("a=1&bb=2&c", "b", value, sizeof(value), NULL), 0);
    assert_int_equal(http_query_value("", "b", value, sizeof(value), NULL), 0);
    assert_int_equal(http_query_value("&&b=&", "b", value, sizeof(value), NULL), 1);
}

static void test_query_refused(void **state)
{
    static const char *const cases[] = {"a=1&a=1", "a=%00", "a=%2", "a=%ff", "a=12345678"};
    char value[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error err;

        assert_int_equal(http_query_value(cases[i], "a", value, sizeof(value), &err), -1);
        assert_int_equal(err.code, ERR_INVALID_FIELD);
        assert_string_equal(err.field, "a");
        assert_non_null(strstr(err.message, "'a' "));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_paths_refused),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_refused),
    };

    return cmocka_run_group_tests_name("server/http/path", tests, NULL, NULL);
}
