#include "lib/base/util.h"

#include <atoll/error.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_the_cause_survives_its_contexts(void **state)
{
    struct error err;

    (void)state;
    assert_int_equal(error_set_errno(&err, ENOENT, "cannot open %s", "x"), -1);
    assert_int_equal(error_wrap(&err, "image %s", "base"), -1);
    assert_string_equal(err.message, "image base: cannot open x: No such file or directory");
    assert_int_equal(err.code, ERR_INTERNAL);
}

static void test_a_field_survives_a_context(void **state)
{
    struct error err;

    (void)state;
    (void)error_set_field(&err, ERR_INVALID_FIELD, "timeout_ms", "too large");
    (void)error_wrap(&err, "create");
    assert_string_equal(err.field, "timeout_ms");
    assert_int_equal(error_code_status(err.code), 400);
    assert_string_equal(error_code_name(err.code), "invalid_field");
}

static void test_long_messages_are_cut_and_terminated(void **state)
{
    struct error err;
    char text[2 * ERROR_MESSAGE_MAX];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)error_set(&err, ERR_CONFLICT, "%s", text);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
    (void)error_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
}

static void test_a_message_may_quote_the_error_it_replaces(void **state)
{
    struct error err;

    (void)state;
    (void)error_set(&err, ERR_CONFLICT, "first");
    (void)error_set(&err, ERR_UNAVAILABLE, "second after %s", err.message);
    assert_string_equal(err.message, "second after first");
}

/* Cut at a length in bytes, a name may end in the middle of a character. */
static void test_a_text_that_was_cut_is_utf8(void **state)
{
    char name[2 * ERROR_MESSAGE_MAX] = "a";
    struct error err;

    (void)state;
    while (strlen(name) + 2 < sizeof(name))
        (void)strcat(name, "\xc3\xa9");
    (void)error_set_field(&err, ERR_UNKNOWN_FIELD, name, "'%.64s' and '%s'", name, name);
    assert_true(utf8_valid(err.field, strlen(err.field)));
    assert_true(utf8_valid(err.message, strlen(err.message)));
    assert_int_equal(strncmp(err.field, name, strlen(err.field) - 1), 0);
    (void)error_set(&err, ERR_INTERNAL, "%s", name + 1);
    (void)error_wrap(&err, "x");
    assert_true(utf8_valid(err.message, strlen(err.message)));
    (void)error_set(&err, ERR_INTERNAL, "a\xff\xc3 \xf0\x9f\x98\x80\xe2\x82");
    assert_string_equal(err.message, "a?? \xf0\x9f\x98\x80??");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cause_survives_its_contexts),
        cmocka_unit_test(test_a_field_survives_a_context),
        cmocka_unit_test(test_long_messages_are_cut_and_terminated),
        cmocka_unit_test(test_a_message_may_quote_the_error_it_replaces),
        cmocka_unit_test(test_a_text_that_was_cut_is_utf8),
    };

    return cmocka_run_group_tests_name("lib/base/error", tests, NULL, NULL);
}
