#include "lib/auth/api_key.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_what_is_made_is_taken(void **state)
{
    struct api_key made;
    struct api_key again;
    struct api_key taken;

    (void)state;
    assert_int_equal(api_key_make(&made, NULL), 0);
    assert_int_equal(api_key_make(&again, NULL), 0);
    assert_int_equal(strlen(made.text), API_KEY_TEXT_SIZE - 1);
    assert_memory_equal(made.text, API_KEY_START, strlen(API_KEY_START));
    assert_string_not_equal(made.text, again.text);
    assert_true(api_key_parse(made.text, &taken));
    assert_string_equal(taken.prefix, made.prefix);
    assert_memory_equal(taken.hash, made.hash, sizeof(made.hash));
    assert_memory_not_equal(made.hash, again.hash, sizeof(made.hash));
}

static void test_other_texts(void **state)
{
    static const char *const texts[] = {
        "",
        "atoll_",
        "atoll_0123456789ab_",
        "atoll_0123456789AB_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Atoll_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "atoll_0123456789ab-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "atoll_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "atoll_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "atoll_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB",
        "atoll_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "atoll_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/A",
    };
    struct api_key key;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if (api_key_parse(texts[i], &key))
            fail_msg("%s", texts[i]);
    assert_true(
        api_key_parse("atoll_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &key));
    assert_string_equal(key.prefix, "0123456789ab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_made_is_taken),
        cmocka_unit_test(test_other_texts),
    };

    return cmocka_run_group_tests_name("lib/auth/api_key", tests, NULL, NULL);
}
