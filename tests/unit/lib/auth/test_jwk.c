#include "lib/auth/base64url.h"
#include "lib/auth/jwk.h"
#include "lib/auth/token.h"
#include "lib/base/util.h"
#include "tests/unit/lib/auth/token_maker.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1800000000 };

#define GOOD "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"eve\",\"exp\":1800000060}"

static struct maker maker;
static const struct auth_policy policy = {.issuer = "us", .audience = "api"};
static char rsa_n[700];
static char rsa_e[16];
static char ec_x[64];
static char ec_y[64];

static void take_number(EVP_PKEY *key, const char *name, int width, char *text)
{
    unsigned char bytes[512];
    BIGNUM *number = NULL;
    int size;

    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &number), 1);
    size = width ? width : BN_num_bytes(number);
    assert_int_equal(BN_bn2binpad(number, bytes, size), size);
    base64url_encode(bytes, (size_t)size, text);
    BN_free(number);
}

static int setup(void **state)
{
    (void)state;
    maker_create(&maker);
    take_number(maker.rsa, OSSL_PKEY_PARAM_RSA_N, 0, rsa_n);
    take_number(maker.rsa, OSSL_PKEY_PARAM_RSA_E, 0, rsa_e);
    take_number(maker.ec, OSSL_PKEY_PARAM_EC_PUB_X, 32, ec_x);
    take_number(maker.ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32, ec_y);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    maker_destroy(&maker);
    return 0;
}

static struct auth_keys *parse(const char *text, struct error *err)
{
    struct auth_keys *keys = calloc(1, sizeof(*keys));

    assert_non_null(keys);
    if (auth_jwks_add(keys, text, strlen(text), err) == 0)
        return keys;
    auth_keys_free(keys);
    return NULL;
}

static char *rsa_entry(const char *id, const char *more)
{
    char *text = NULL;

    assert_true(asprintf(&text, "{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", id,
                         rsa_n, rsa_e, more) > 0);
    return text;
}

static char *ec_entry(const char *id, const char *more)
{
    char *text = NULL;

    assert_true(
        asprintf(&text,
                 "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%s}",
                 id, ec_x, ec_y, more) > 0);
    return text;
}

static bool accepts(const struct auth_keys *keys, enum auth_algorithm how, const char *header)
{
    struct auth_identity identity;
    _cleanup_free_ char *token = maker_sign(&maker, how, header, GOOD);

    return auth_token_verify(keys, &policy, token, strlen(token), NOW, &identity, NULL) == 0;
}

static void test_keys_verify(void **state)
{
    _cleanup_free_ char *rsa = rsa_entry("r", ",\"use\":\"sig\",\"alg\":\"RS256\",\"x5t\":\"?\"");
    _cleanup_free_ char *ec = ec_entry("e", "");
    _cleanup_free_ char *text = NULL;
    _cleanup_(cleanup_auth_keys) struct auth_keys *keys = NULL;

    (void)state;
    assert_true(asprintf(&text, "{\"keys\":[%s,%s,{\"kty\":\"OKP\"},7],\"more\":1}", rsa, ec) > 0);
    keys = parse(text, NULL);
    assert_non_null(keys);
    assert_int_equal(keys->count, 2);
    assert_true(accepts(keys, AUTH_RS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}"));
    assert_true(accepts(keys, AUTH_ES256, "{\"alg\":\"ES256\",\"kid\":\"e\"}"));
    assert_true(accepts(keys, AUTH_RS256, "{\"alg\":\"RS256\"}"));
    assert_false(accepts(keys, AUTH_RS256, "{\"alg\":\"RS256\",\"kid\":\"e\"}"));
    assert_false(accepts(keys, AUTH_RS256, "{\"alg\":\"RS256\",\"kid\":\"x\"}"));
    assert_false(accepts(keys, AUTH_RS256, "{\"alg\":\"RS256\",\"kid\":\"\"}"));
}

/* With two keys of one kind a token has to say which. */
static void test_kid_is_needed_among_several(void **state)
{
    _cleanup_free_ char *one = rsa_entry("1", "");
    _cleanup_free_ char *two = rsa_entry("2", "");
    _cleanup_free_ char *text = NULL;
    _cleanup_(cleanup_auth_keys) struct auth_keys *keys = NULL;

    (void)state;
    assert_true(asprintf(&text, "{\"keys\":[%s,%s]}", one, two) > 0);
    keys = parse(text, NULL);
    assert_non_null(keys);
    assert_false(accepts(keys, AUTH_RS256, "{\"alg\":\"RS256\"}"));
    assert_true(accepts(keys, AUTH_RS256, "{\"alg\":\"RS256\",\"kid\":\"2\"}"));
}

static void assert_no_key(const char *entry)
{
    _cleanup_free_ char *text = NULL;
    struct error err;

    assert_true(asprintf(&text, "{\"keys\":[%s]}", entry) > 0);
    if (parse(text, &err))
        fail_msg("taken: %s", entry);
    assert_non_null(strstr(err.message, "no key"));
}

static void test_entries_passed_over(void **state)
{
    static const char *const more[] = {
        ",\"use\":\"enc\"", ",\"use\":5", ",\"alg\":\"RS512\"", ",\"alg\":null", ",\"d\":\"AQAB\"",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(more); i++) {
        _cleanup_free_ char *rsa = rsa_entry("r", more[i]);
        _cleanup_free_ char *ec = ec_entry("e", more[i]);

        assert_no_key(rsa);
        assert_no_key(ec);
    }
    assert_no_key(
        "{\"kty\":\"oct\",\"kid\":\"o\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}");
    assert_no_key("{\"kty\":\"RSA\",\"kid\":\"r\"}");
    assert_no_key("{}");
    assert_no_key("null");
}

static void assert_no_rsa(const char *n, const char *e)
{
    _cleanup_free_ char *text = NULL;

    assert_true(asprintf(&text, "{\"kty\":\"RSA\",\"kid\":\"r\",\"n\":\"%s\",\"e\":\"%s\"}", n, e) >
                0);
    assert_no_key(text);
}

static void test_bad_rsa(void **state)
{
    unsigned char bytes[1200];
    char text[1700];

    (void)state;
    assert_no_rsa(rsa_n, "");
    assert_no_rsa(rsa_n, "AQ");             /* 1 */
    assert_no_rsa(rsa_n, "AQAA");           /* 65536 */
    assert_no_rsa(rsa_n, "AQAB=");          /* padded */
    assert_no_rsa(rsa_n, "AQABAQABAQABAQ"); /* over 64 bits */
    assert_no_rsa("", rsa_e);
    assert_no_rsa("AQAB", rsa_e);
    memset(bytes, 0xff, sizeof(bytes));
    base64url_encode(bytes, 128, text); /* 1024 bits */
    assert_no_rsa(text, rsa_e);
    base64url_encode(bytes, 1025, text); /* 8200 bits */
    assert_no_rsa(text, rsa_e);
    bytes[255] = 0xfe; /* even */
    base64url_encode(bytes, 256, text);
    assert_no_rsa(text, rsa_e);
}

static void assert_no_ec(const char *curve, const char *x, const char *y)
{
    _cleanup_free_ char *text = NULL;

    assert_true(asprintf(&text,
                         "{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}",
                         curve, x, y) > 0);
    assert_no_key(text);
}

static void test_bad_ec(void **state)
{
    char zero[44];

    (void)state;
    memset(zero, 'A', 43);
    zero[43] = '\0';
    assert_no_ec("P-384", ec_x, ec_y);
    assert_no_ec("p-256", ec_x, ec_y);
    assert_no_ec("P-256", ec_y, ec_x); /* not on the curve */
    assert_no_ec("P-256", zero, zero);
    assert_no_ec("P-256", ec_x, "");
    assert_no_ec("P-256", "AQAB", ec_y);
    zero[0] = '_';
    assert_no_ec("P-256", zero, ec_y);
}

static void assert_refused(const char *text, const char *because)
{
    struct error err;

    assert_null(parse(text, &err));
    assert_non_null(strstr(err.message, because));
}

static void test_sets_refused(void **state)
{
    _cleanup_free_ char *one = rsa_entry("same", "");
    _cleanup_free_ char *text = NULL;
    _cleanup_free_ char *long_text = malloc(AUTH_JWKS_MAX + 2);
    char many[AUTH_KEYS_MAX * 3 + 32] = "{\"keys\":[1";

    (void)state;
    assert_refused("", "JSON");
    assert_refused("[]", "array");
    assert_refused("{}", "array");
    assert_refused("{\"keys\":{}}", "array");
    assert_refused("{\"keys\":[]}", "no key");
    assert_refused("{\"keys\":[],\"keys\":[]}", "twice");
    assert_true(asprintf(&text, "{\"keys\":[%s,%s]}", one, one) > 0);
    assert_refused(text, "same id");
    for (int i = 0; i < AUTH_KEYS_MAX; i++)
        (void)strcat(many, ",1");
    (void)strcat(many, "]}");
    assert_refused(many, "at most 32 keys");
    memset(long_text, ' ', AUTH_JWKS_MAX + 1);
    long_text[AUTH_JWKS_MAX + 1] = '\0';
    assert_refused(long_text, "at most 65536 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_verify),
        cmocka_unit_test(test_kid_is_needed_among_several),
        cmocka_unit_test(test_entries_passed_over),
        cmocka_unit_test(test_bad_rsa),
        cmocka_unit_test(test_bad_ec),
        cmocka_unit_test(test_sets_refused),
    };

    return cmocka_run_group_tests_name("lib/auth/jwk", tests, setup, teardown);
}
