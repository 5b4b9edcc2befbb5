#include "cli/redact.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_hides_passwords_and_nothing_else(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"info", "info"},
        {"host=/run/x dbname=atoll", "host=/run/x dbname=atoll"},
        {"host=h password=secret dbname=d", "host=h password=*** dbname=d"},
        {"password=secret", "password=***"},
        {"password = secret user=u", "password = *** user=u"},
        {"PASSWORD=secret", "PASSWORD=***"},
        {"password='se cret' user=u", "password=*** user=u"},
        {"password='it\\'s' user=u", "password=*** user=u"},
        {"password=a\\ b user=u", "password=*** user=u"},
        {"password='never closed", "password=***"},
        {"password=", "password=***"},
        {"sslpassword=s user=u", "sslpassword=*** user=u"},
        {"postgresql://u:p@h/d", "postgresql://u:***@h/d"},
        {"postgresql://u:p@ss@h/d", "postgresql://u:***@h/d"},
        {"postgresql://u@h:5432/d", "postgresql://u@h:5432/d"},
        {"postgresql://h:5432/d", "postgresql://h:5432/d"},
        {"postgres://h/d?user=u&password=p&sslmode=require",
         "postgres://h/d?user=u&password=***&sslmode=require"},
        {"postgresql://u:@h", "postgresql://u:***@h"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = redact(cases[i][0]);

        assert_non_null(text);
        assert_string_equal(text, cases[i][1]);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hides_passwords_and_nothing_else)};

    return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}
