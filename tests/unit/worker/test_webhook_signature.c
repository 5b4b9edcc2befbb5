#include "worker/webhook_signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* printf '1700000000.{"id": 1}' | openssl dgst -sha256 -hmac sixteen-bytes-ok */
static void test_the_signature_is_what_openssl_says(void **state)
{
    char signature[WEBHOOK_SIGNATURE_SIZE];

    (void)state;
    assert_int_equal(webhook_sign("sixteen-bytes-ok", 1700000000, "{\"id\": 1}", signature, NULL),
                     0);
    assert_string_equal(
        signature,
        "t=1700000000,v1=fcd40cf0f4569596c9e8f0eb59ea239164a5849103ebeeaa941787b7889ff1d8");
}

static void test_time_key_and_body_count(void **state)
{
    char signature[WEBHOOK_SIGNATURE_SIZE], other[WEBHOOK_SIGNATURE_SIZE];

    (void)state;
    assert_int_equal(webhook_sign("secret", 1, "body", signature, NULL), 0);
    assert_int_equal(webhook_sign("secreT", 1, "body", other, NULL), 0);
    assert_string_not_equal(signature, other);
    assert_int_equal(webhook_sign("secret", 1, "bodY", other, NULL), 0);
    assert_string_not_equal(signature, other);
    assert_int_equal(webhook_sign("secret", 2, "body", other, NULL), 0);
    assert_string_not_equal(signature + 4, other + 4);
}

static void test_the_largest_time_fits(void **state)
{
    char signature[WEBHOOK_SIGNATURE_SIZE];

    (void)state;
    assert_int_equal(webhook_sign("secret", INT64_MIN, "", signature, NULL), 0);
    assert_memory_equal(signature, "t=-9223372036854775808,v1=", 26);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_signature_is_what_openssl_says),
        cmocka_unit_test(test_time_key_and_body_count),
        cmocka_unit_test(test_the_largest_time_fits),
    };

    return cmocka_run_group_tests_name("worker/webhook_signature", tests, NULL, NULL);
}
