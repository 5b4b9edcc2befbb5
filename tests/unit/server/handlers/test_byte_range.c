#include "server/handlers/byte_range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_part(const char *text, uint64_t size, uint64_t first, uint64_t count)
{
    uint64_t got_first = 0, got_count = 0;

    assert_int_equal(byte_range_parse(text, size, &got_first, &got_count), BYTE_RANGE_PART);
    assert_int_equal(got_first, first);
    assert_int_equal(got_count, count);
}

static void assert_kind(const char *text, uint64_t size, enum byte_range_kind kind)
{
    uint64_t first, count;

    assert_int_equal(byte_range_parse(text, size, &first, &count), kind);
}

static void test_parts(void **state)
{
    (void)state;
    assert_part("bytes=0-0", 10, 0, 1);
    assert_part("Bytes=2-", 10, 2, 8);
    assert_part("bytes=2-99", 10, 2, 8);
    assert_part("bytes=-4", 10, 6, 4);
    assert_part("bytes=-99", 10, 0, 10);
    assert_part("bytes=9223372036854775806-9223372036854775807", INT64_MAX, INT64_MAX - 1, 1);
}

static void test_outside(void **state)
{
    (void)state;
    assert_kind("bytes=10-", 10, BYTE_RANGE_OUTSIDE);
    assert_kind("bytes=0-", 0, BYTE_RANGE_OUTSIDE);
    assert_kind("bytes=-0", 10, BYTE_RANGE_OUTSIDE);
    assert_kind("bytes=-5", 0, BYTE_RANGE_OUTSIDE);
}

static void test_what_is_ignored(void **state)
{
    static const char *const texts[] = {
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5",
        "bytes=4-2",
        "bytes=0-1,3-4",
        "lines=1-2",
        "bytes=a-",
        "bytes=1-b",
        "bytes= 1-2",
        "bytes=+1-2",
        "bytes=1-2 ",
        "bytes=--1",
        "bytes=9223372036854775808-",
        "bytes=99999999999999999999999-",
    };

    (void)state;
    assert_kind(NULL, 10, BYTE_RANGE_NONE);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_kind(texts[i], 10, BYTE_RANGE_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_what_is_ignored),
    };

    return cmocka_run_group_tests_name("byte_range", tests, NULL, NULL);
}
