#include "lib/base/util.h"
#include "server/http/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_only_origins_are_taken(void **state)
{
    static const char *const good[] = {
        "",
        "https://a.example",
        "http://localhost:3000",
        "https://a.example, https://b.example https://[::1]:8443",
    };
    static const char *const bad[] = {
        "*",
        "null",
        "a.example",
        "https://",
        "https://a.example/",
        "https://A.example",
        "https://*.example",
        "ftp://a.example",
        "https://a.example https://b.example/x",
    };
    struct error err;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_int_equal(cors_check_origins(good[i], &err), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (cors_check_origins(bad[i], &err) == 0)
            fail_msg("%s is taken", bad[i]);
}

static void test_an_origin_matches_whole(void **state)
{
    static const char list[] = "https://a.example, http://localhost:3000";

    (void)state;
    assert_true(cors_has_origin(list, "https://a.example"));
    assert_true(cors_has_origin(list, "http://localhost:3000"));
    assert_false(cors_has_origin(list, "https://a.exampl"));
    assert_false(cors_has_origin(list, "https://a.example."));
    assert_false(cors_has_origin(list, "http://localhost:30000"));
    assert_false(cors_has_origin(list, "https://a.example, http://localhost:3000"));
    assert_false(cors_has_origin(list, ""));
    assert_false(cors_has_origin("", "https://a.example"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_origins_are_taken),
        cmocka_unit_test(test_an_origin_matches_whole),
    };

    return cmocka_run_group_tests_name("server/http/cors", tests, NULL, NULL);
}
