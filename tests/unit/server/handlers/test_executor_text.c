#include "server/handlers/executor_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_shown(const char *bytes, size_t size, const char *expected)
{
    _cleanup_json_text_ struct json_text text = {.data = NULL};

    executor_text_add(&text, bytes, size);
    assert_false(text.failed);
    assert_string_equal(text.data ? text.data : "", expected);
}

#define SHOWN(bytes, expected) assert_shown(bytes, sizeof(bytes) - 1, expected)

static void test_plain_text(void **state)
{
    (void)state;
    SHOWN("", "");
    SHOWN("plain / <b> 'x' \x7f", "plain / <b> 'x' \x7f");
    SHOWN("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
          "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void test_escapes(void **state)
{
    (void)state;
    SHOWN("\"\\\b\f\n\r\t", "\\\"\\\\\\b\\f\\n\\r\\t");
    SHOWN("\0\x01\x1f", "\\u0000\\u0001\\u001f");
    SHOWN("a\xc2\x85"
          "b\xe2\x80\xa8"
          "c\xe2\x80\xa9",
          "a\\u0085b\\u2028c\\u2029");
}

static void test_bad_bytes(void **state)
{
    (void)state;
    SHOWN("\xff", "\\ufffd");
    SHOWN("a\x80z", "a\\ufffdz");
    SHOWN("\xe2\x82", "\\ufffd\\ufffd");
    SHOWN("\xe2\x82z", "\\ufffd\\ufffdz");
    SHOWN("\xc0\x80", "\\ufffd\\ufffd");            /* overlong */
    SHOWN("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"); /* a surrogate */
    SHOWN("\xf5\x80", "\\ufffd\\ufffd");
}

#define WHOLE(bytes) executor_text_whole(bytes, sizeof(bytes) - 1)

static void test_what_is_whole(void **state)
{
    (void)state;
    assert_int_equal(WHOLE("abc"), 3);
    assert_int_equal(WHOLE("ab\xc3"), 2);
    assert_int_equal(WHOLE("ab\xc3\xbc"), 4);
    assert_int_equal(WHOLE("\xe2\x82"), 0);
    assert_int_equal(WHOLE("\xf0\x9f\x98"), 0);
    assert_int_equal(WHOLE("a\xf0\x9f\x98\x80"), 5);
    /* What nothing can complete does not wait. */
    assert_int_equal(WHOLE("a\x80\x80\x80\x80"), 5);
    assert_int_equal(WHOLE("\xff"), 1);
    assert_int_equal(WHOLE("\xc3\xbc\x80"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_what_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
