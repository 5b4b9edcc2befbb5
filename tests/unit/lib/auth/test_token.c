#include "lib/auth/token.h"
#include "lib/base/util.h"
#include "tests/unit/lib/auth/token_maker.h"

#include <atoll/tenant.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1800000000 };

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define RS256 "{\"alg\":\"RS256\"}"
#define ES256 "{\"alg\":\"ES256\"}"
#define GOOD  "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"eve\",\"exp\":1800000060}"

static struct maker maker;
static struct auth_keys *keys;
static const struct auth_policy policy = {.issuer = "us", .audience = "api", .leeway_seconds = 30};

static int setup(void **state)
{
    struct auth_key_files files;

    (void)state;
    maker_create(&maker);
    files = (struct auth_key_files){
        .hs256 = maker.hs256_path, .rs256 = maker.rs256_path, .es256 = maker.es256_path};
    return auth_keys_load(&files, &keys, NULL);
}

static int teardown(void **state)
{
    (void)state;
    auth_keys_free(keys);
    maker_destroy(&maker);
    return 0;
}

static int verify_size(const char *token, size_t size, struct auth_identity *identity)
{
    struct error err = {0};
    int result = auth_token_verify(keys, &policy, token, size, NOW, identity, &err);

    if (result < 0)
        assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    return result;
}

/* Verifies and frees. */
static int verify(char *token, struct auth_identity *identity)
{
    int result = verify_size(token, strlen(token), identity);

    free(token);
    return result;
}

static void assert_refused(char *token)
{
    struct auth_identity identity = {.subject = "untouched"};

    assert_int_equal(verify(token, &identity), -1);
    assert_string_equal(identity.subject, "untouched");
}

static void test_each_algorithm(void **state)
{
    static const char *const headers[] = {HS256, RS256, ES256};
    struct auth_identity identity;
    struct id tenant;

    (void)state;
    assert_true(id_parse(AUTH_DEFAULT_TENANT, &tenant));
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        assert_int_equal(
            verify(maker_sign(&maker, (enum auth_algorithm)i, headers[i], GOOD), &identity), 0);
        assert_string_equal(identity.subject, "eve");
        assert_string_equal(identity.scope, "");
        assert_true(id_equal(&identity.tenant, &tenant));
        assert_int_equal(identity.expires_at, 1800000060);
    }
}

static void test_claims_arrive(void **state)
{
    struct auth_identity identity;
    char text[ID_TEXT_SIZE];

    (void)state;
    assert_int_equal(
        verify(maker_sign(&maker, AUTH_HS256, HS256,
                          "{\"iss\":\"us\",\"aud\":[\"x\",\"api\"],\"sub\":\"s\",\"exp\":1.8e9,"
                          "\"nbf\":1800000030,\"iat\":1800000030,\"scope\":\"a b\",\"kid\":1,"
                          "\"tenant\":\"0190A0B0-0000-7000-8000-0000000000ff\"}"),
               &identity),
        0);
    id_format(&identity.tenant, text);
    assert_string_equal(text, "0190a0b00000700080000000000000ff");
    assert_string_equal(identity.scope, "a b");
}

static void test_types_accepted(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
    };
    struct auth_identity identity;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        if (verify(maker_sign(&maker, AUTH_HS256, headers[i], GOOD), &identity) < 0)
            fail_msg("%s", headers[i]);
}

/* Headers signed properly with the configured secret, and still refused. */
static void test_headers_refused(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"NONE\"}",
        "{\"alg\":\"nOnE\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"HS384\"}",
        "{\"alg\":\"HS512\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":\"ES256\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":null}",
        "{\"alg\":[\"HS256\"]}",
        "{\"ALG\":\"HS256\"}",
        "{}",
        "[]",
        "\"HS256\"",
        "",
        "{\"alg\":\"HS256\"",
        "{\"alg\":\"HS256\"} x",
        "{\"alg\":\"HS256\\u0000\"}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"typ\":\"jwt\"}",
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}",
        "{\"alg\":\"HS256\",\"typ\":\"\"}",
        "{\"alg\":\"HS256\",\"typ\":[\"JWT\"]}",
        "{\"alg\":\"HS256\",\"typ\":null}",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"crit\":[]}",
        "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1/\"}",
        "{\"alg\":\"HS256\",\"jwk\":{}}",
        "{\"alg\":\"HS256\",\"x5u\":\"http://127.0.0.1/\"}",
        "{\"alg\":\"HS256\",\"x5c\":[]}",
        "{\"alg\":\"HS256\",\"a\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]}",
        "{\"alg\":\"HS256\",\"kid\":\"\xff\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++)
        assert_refused(maker_sign(&maker, AUTH_HS256, headers[i], GOOD));
    assert_refused(maker_unsigned("{\"alg\":\"none\"}", GOOD));
    assert_refused(maker_unsigned("{\"alg\":\"NoNe\"}", GOOD));
    assert_refused(maker_unsigned(HS256, GOOD));
}

static void test_claims_refused(void **state)
{
    static const char *const claims[] = {
        "{\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":\"US\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":[\"us\"],\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api2\",\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":[],\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":[\"api\",1],\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":{\"api\":1},\"sub\":\"e\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":7,\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"a\\nb\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"admin\\u0000x\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\"}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1799999970}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":0}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":-1}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1e300}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":\"1800000060\"}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":null}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":true}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1,\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"sub\":\"f\",\"exp\":1800000060}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060,\"nbf\":1800000031}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060,\"nbf\":\"1\"}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060,\"iat\":1800000031}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060,\"tenant\":\"me\"}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060,\"tenant\":null}",
        "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060,\"scope\":[\"a\"]}",
        "[" GOOD "]",
        GOOD GOOD,
        "",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(claims); i++)
        assert_refused(maker_sign(&maker, AUTH_HS256, HS256, claims[i]));
}

static void test_public_key_is_no_secret(void **state)
{
    size_t size = strlen(maker.rsa_pem);

    (void)state;
    assert_refused(maker_sign_hmac(maker.rsa_pem, size, HS256, GOOD));
    assert_refused(maker_sign_hmac(maker.rsa_pem, size, RS256, GOOD));
    assert_refused(maker_sign_hmac(maker.rsa_pem, size - 1, HS256, GOOD));
    assert_refused(maker_sign_hmac("", 0, HS256, GOOD));
    assert_refused(maker_sign(&maker, AUTH_RS256, HS256, GOOD));
    assert_refused(maker_sign(&maker, AUTH_RS256, ES256, GOOD));
    assert_refused(maker_sign(&maker, AUTH_ES256, RS256, GOOD));
}

static void test_algorithm_without_key(void **state)
{
    struct auth_key_files files = {.rs256 = maker.rs256_path};
    struct auth_keys *only_rsa = NULL;
    struct auth_identity identity;
    char *token = maker_sign_hmac(maker.rsa_pem, strlen(maker.rsa_pem), HS256, GOOD);

    (void)state;
    assert_int_equal(auth_keys_load(&files, &only_rsa, NULL), 0);
    assert_int_equal(
        auth_token_verify(only_rsa, &policy, token, strlen(token), NOW, &identity, NULL), -1);
    free(token);
    token = maker_sign(&maker, AUTH_RS256, RS256, GOOD);
    assert_int_equal(
        auth_token_verify(only_rsa, &policy, token, strlen(token), NOW, &identity, NULL), 0);
    free(token);
    auth_keys_free(only_rsa);
}

/* Every single change of a good token, and every cut of it, is refused. */
static void test_mangled_tokens(void **state)
{
    struct auth_identity identity;
    char *token = maker_sign(&maker, AUTH_HS256, HS256, GOOD);
    size_t size = strlen(token);

    (void)state;
    assert_int_equal(verify_size(token, size, &identity), 0);
    for (size_t i = 0; i < size; i++) {
        char kept = token[i];

        assert_int_equal(verify_size(token, i, &identity), -1);
        token[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(verify_size(token, size, &identity), -1);
        token[i] = '=';
        assert_int_equal(verify_size(token, size, &identity), -1);
        token[i] = '\0';
        assert_int_equal(verify_size(token, size, &identity), -1);
        token[i] = kept;
    }
    free(token);
}

static void test_garbage_around(void **state)
{
    static const struct {
        const char *before;
        const char *after;
    } garbage[] = {
        {" ", ""}, {"", " "},  {"", "\n"}, {"", "\t"}, {"", "="},    {"", "."},
        {".", ""}, {"..", ""}, {"x", ""},  {"", "A"},  {"", ".e30"}, {"\"", "\""},
    };
    char *token = maker_sign(&maker, AUTH_HS256, HS256, GOOD);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        char *text = NULL;

        assert_true(asprintf(&text, "%s%s%s", garbage[i].before, token, garbage[i].after) > 0);
        assert_refused(text);
    }
    free(token);
}

static void test_too_long(void **state)
{
    char claims[AUTH_TOKEN_MAX];
    char subject[400];

    (void)state;
    memset(subject, 's', sizeof(subject));
    subject[256] = '\0';
    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"us\",\"aud\":\"api\",\"exp\":1800000060,\"sub\":\"%s\"}", subject);
    assert_refused(maker_sign(&maker, AUTH_HS256, HS256, claims));
    memset(claims, ' ', sizeof(claims));
    memcpy(claims + sizeof(claims) - sizeof(GOOD), GOOD, sizeof(GOOD));
    assert_refused(maker_sign(&maker, AUTH_HS256, HS256, claims));
}

static void test_leeway(void **state)
{
    struct auth_identity identity;

    (void)state;
    assert_int_equal(verify(maker_sign(&maker, AUTH_HS256, HS256,
                                       "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\","
                                       "\"exp\":1799999971,\"nbf\":1800000030}"),
                            &identity),
                     0);
}

/* The policy of an issuer, and why its tokens are refused. */
static enum auth_reason reason_for(const struct auth_keys *set, const struct auth_policy *rules,
                                   char *text)
{
    _cleanup_(auth_token_close) struct auth_token token;
    struct auth_identity identity;
    struct error err = {0};
    int result = auth_token_open(&token, text, strlen(text), &err);

    if (result == 0)
        result = auth_token_check(&token, set, rules, NOW, &identity, &err);
    free(text);
    assert_int_equal(result, -1);
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    return token.reason;
}

static char *with_claims(const char *more)
{
    char claims[512];

    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"e\",\"exp\":1800000060,%s}", more);
    return maker_sign(&maker, AUTH_HS256, HS256, claims);
}

static void test_reasons(void **state)
{
    static const struct {
        const char *header;
        const char *claims;
        enum auth_reason reason;
    } refused[] = {
        {"{\"alg\":\"none\"}", GOOD, AUTH_WRONG_ALGORITHM},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", GOOD, AUTH_WRONG_TYPE},
        {"{\"alg\":\"HS256\",\"jku\":\"https://a/\"}", GOOD, AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":5}", GOOD, AUTH_MALFORMED},
        {"{\"alg\":\"RS256\"}", GOOD, AUTH_WRONG_SIGNATURE},
        {HS256, "{}", AUTH_WRONG_CLAIM},
        {HS256, "{\"exp\":1800000060}", AUTH_WRONG_ISSUER},
        {HS256, "{\"exp\":1}", AUTH_EXPIRED},
        {HS256, "{\"exp\":1800000060,\"nbf\":1800000060}", AUTH_NOT_YET_VALID},
        {HS256, "{\"iss\":\"us\",\"exp\":1800000060}", AUTH_WRONG_AUDIENCE},
        {HS256, "{\"iss\":\"us\",\"aud\":\"api\",\"exp\":1800000060}", AUTH_WRONG_CLAIM},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        assert_int_equal(
            reason_for(keys, &policy,
                       maker_sign(&maker, AUTH_HS256, refused[i].header, refused[i].claims)),
            refused[i].reason);
    assert_int_equal(reason_for(NULL,
                                &(struct auth_policy){.issuer = "us",
                                                      .audience = "api",
                                                      .algorithms = 1U << AUTH_HS256},
                                maker_sign(&maker, AUTH_HS256, HS256, GOOD)),
                     AUTH_UNKNOWN_KEY);
}

static void test_issuer_of_one_tenant(void **state)
{
    struct auth_policy bound = {
        .issuer = "us", .audience = "api", .has_tenant = true, .max_role = ROLE_MEMBER};
    struct auth_identity identity;
    char *token = with_claims("\"scope\":\"x operator\"");

    (void)state;
    assert_true(id_parse("0190a0b00000700080000000000000ff", &bound.tenant));
    assert_int_equal(auth_token_verify(keys, &bound, token, strlen(token), NOW, &identity, NULL),
                     0);
    assert_true(id_equal(&identity.tenant, &bound.tenant));
    assert_int_equal(identity.role, ROLE_MEMBER);
    free(token);
    assert_int_equal(
        reason_for(keys, &bound, with_claims("\"tenant\":\"0190a0b00000700080000000000000fe\"")),
        AUTH_WRONG_TENANT);
}

/* Which API key a token was made with is the installation's own word. */
static void test_key_claim(void **state)
{
    struct auth_policy own = {.issuer = "us", .audience = "api", .is_own = true};
    static const char claim[] = "\"key\":\"0190a0b00000700080000000000000aa\","
                                "\"project\":\"0190a0b00000700080000000000000bb\"";
    struct auth_identity identity;
    char *token = with_claims(claim);

    (void)state;
    assert_int_equal(auth_token_verify(keys, &own, token, strlen(token), NOW, &identity, NULL), 0);
    assert_true(identity.has_key);
    assert_false(identity.is_key);
    assert_int_equal(identity.key.bytes[15], 0xaa);
    assert_true(identity.has_project);
    assert_int_equal(identity.project.bytes[15], 0xbb);
    assert_int_equal(verify(token, &identity), 0);
    assert_false(identity.has_key);
    assert_int_equal(reason_for(keys, &own, with_claims("\"key\":\"x\"")), AUTH_WRONG_CLAIM);
    assert_int_equal(reason_for(keys, &own, with_claims("\"project\":null")), AUTH_WRONG_CLAIM);
}

static void test_sign(void **state)
{
    struct auth_identity identity;
    struct auth_claims claims = {.subject = "eve", .scope = "all", .lifetime_seconds = 60};
    struct id tenant;
    struct error err;
    char *token = NULL;

    (void)state;
    assert_true(id_parse("0190a0b00000700080000000000000ff", &tenant));
    claims.tenant = &tenant;
    assert_int_equal(auth_token_sign(keys, &policy, &claims, NOW, &token, &err), 0);
    assert_int_equal(verify(token, &identity), 0);
    assert_string_equal(identity.subject, "eve");
    assert_string_equal(identity.scope, "all");
    assert_true(id_equal(&identity.tenant, &tenant));
    assert_int_equal(identity.expires_at, NOW + 60);
    token = NULL;
    claims.subject = "";
    assert_int_equal(auth_token_sign(keys, &policy, &claims, NOW, &token, &err), -1);
    assert_null(token);
    assert_string_equal(err.field, "subject");
    claims.subject = "eve";
    claims.lifetime_seconds = 0;
    assert_int_equal(auth_token_sign(keys, &policy, &claims, NOW, &token, &err), -1);
    assert_string_equal(err.field, "lifetime");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_algorithm),
        cmocka_unit_test(test_claims_arrive),
        cmocka_unit_test(test_headers_refused),
        cmocka_unit_test(test_types_accepted),
        cmocka_unit_test(test_claims_refused),
        cmocka_unit_test(test_public_key_is_no_secret),
        cmocka_unit_test(test_algorithm_without_key),
        cmocka_unit_test(test_mangled_tokens),
        cmocka_unit_test(test_garbage_around),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_leeway),
        cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_issuer_of_one_tenant),
        cmocka_unit_test(test_key_claim),
        cmocka_unit_test(test_sign),
    };

    return cmocka_run_group_tests_name("lib/auth/token", tests, setup, teardown);
}
