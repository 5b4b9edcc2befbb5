#include "cli/plain.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *plain;
    const char *json;
} cases[] = {
    {"", "", ""},
    {"plain \"text\" ~", "plain \"text\" ~", "plain \"text\" ~"},
    {"gr\xc3\xbc\xc3\x9f \xe6\xb5\xb7 \xf0\x9f\x90\x9a",
     "gr\xc3\xbc\xc3\x9f \xe6\xb5\xb7 \xf0\x9f\x90\x9a",
     "gr\xc3\xbc\xc3\x9f \xe6\xb5\xb7 \xf0\x9f\x90\x9a"},
    {"\x1b[2Jx\x7f", "?[2Jx?", "\\u001b[2Jx\\u007f"},
    {"a\tb\r\nc", "a?b??c", "a\tb\r\nc"},
    /* C1: as UTF-8, and as the byte that an older terminal takes for it */
    {"\xc2\x9b"
     "31m\xc2\xa0",
     "?31m\xc2\xa0", "\\u009b31m\xc2\xa0"},
    {"\x9b"
     "31m",
     "?31m", "\\ufffd31m"},
    /* what turns the direction, and what ends a line */
    {"a\xe2\x80\xae"
     "b\xe2\x81\xa6"
     "c\xe2\x80\xa8"
     "d\xd8\x9c",
     "a?b?c?d?", "a\\u202eb\\u2066c\\u2028d\\u061c"},
    /* no UTF-8: cut short, overlong, a surrogate, beyond the last */
    {"\xe2\x80", "??", "\\ufffd\\ufffd"},
    {"\xc0\x9b", "??", "\\ufffd\\ufffd"},
    {"\xed\xa0\x80", "???", "\\ufffd\\ufffd\\ufffd"},
    {"\xf5x", "?x", "\\ufffdx"},
};

static void test_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text = strdup(cases[i].text);

        assert_non_null(text);
        plain_text(text);
        assert_string_equal(text, cases[i].plain);
        free(text);
    }
}

static void test_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        assert_non_null(out);
        plain_json(out, cases[i].text);
        assert_int_equal(fclose(out), 0);
        assert_int_equal(text[size - 1], '\n');
        text[size - 1] = '\0';
        assert_string_equal(text, cases[i].json);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests_name("cli/plain", tests, NULL, NULL);
}
