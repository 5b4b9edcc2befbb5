#include "server/services/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void check(const char *data, size_t size, const char *expected, bool expected_exact)
{
    bool exact = !expected_exact;
    char *text = text_from_bytes(data, size, &exact);

    assert_string_equal(text, expected);
    assert_int_equal(exact, expected_exact);
    free(text);
}

static void test_text_passes_and_bytes_are_marked(void **state)
{
    (void)state;
    check("", 0, "", true);
    check("h\xc3\xa4\n", 4, "h\xc3\xa4\n", true);
    check("a\xff"
          "b",
          3,
          "a\xef\xbf\xbd"
          "b",
          false);
    check("\xc3", 1, "\xef\xbf\xbd", false);
    check("a\0b", 3,
          "a\xef\xbf\xbd"
          "b",
          false);
    check("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text_passes_and_bytes_are_marked)};

    return cmocka_run_group_tests_name("server/services/text", tests, NULL, NULL);
}
