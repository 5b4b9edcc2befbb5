#include "lib/auth/base64url.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_vectors(void **state)
{
    static const struct {
        const char *text;
        const char *bytes;
    } cases[] = {
        {"", ""},        {"Zg", "f"},        {"Zm8", "fo"},
        {"Zm9v", "foo"}, {"Zm9vYg", "foob"}, {"-_-_", "\xfb\xff\xbf"},
    };
    char buffer[16];
    size_t size;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(
            base64url_decode(cases[i].text, strlen(cases[i].text), buffer, sizeof(buffer), &size));
        assert_int_equal(size, strlen(cases[i].bytes));
        assert_memory_equal(buffer, cases[i].bytes, size);
    }
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "Z",      "Zh" /* spare bits */,
        "Zm9",    "Zg==",
        "Zm9v=",  "Zm 9",
        "Zm9v\n", "+/+/",
        "Zm9v.",  "Zm\xff",
        "AAAAA",
    };
    char buffer[16];
    size_t size;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_false(base64url_decode(cases[i], strlen(cases[i]), buffer, sizeof(buffer), &size));
    assert_false(base64url_decode("Zm9v", 4, buffer, 2, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests_name("lib/auth/base64url", tests, NULL, NULL);
}
