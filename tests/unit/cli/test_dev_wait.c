#include "cli/dev_wait.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_url_of_an_address(void **state)
{
    static const char *const cases[][2] = {
        {"127.0.0.1:8070", "http://127.0.0.1:8070"},
        {"0.0.0.0:1", "http://127.0.0.1:1"},
        {"localhost:65535", "http://localhost:65535"},
        {"::1:8070", "http://[::1]:8070"},
        {"[::1]:8070", "http://[::1]:8070"},
        {":::8070", "http://[::1]:8070"},
        {"[::]:8070", "http://[::1]:8070"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char url[DEV_URL_SIZE];

        assert_int_equal(dev_wait_url(cases[i][0], url), 0);
        assert_string_equal(url, cases[i][1]);
    }
}

static void test_refuses_what_is_no_address(void **state)
{
    static const char *const cases[] = {"", "8070", ":8070", "h:", "h:x", "h:65536", "h:-1"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char url[DEV_URL_SIZE];

        assert_int_equal(dev_wait_url(cases[i], url), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_of_an_address),
        cmocka_unit_test(test_refuses_what_is_no_address),
    };

    return cmocka_run_group_tests_name("dev_wait", tests, NULL, NULL);
}
