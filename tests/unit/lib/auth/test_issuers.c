#include "lib/auth/issuers.h"
#include "lib/base/util.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BASE "\"issuer\":\"a\",\"audience\":\"b\""
#define URL  BASE ",\"algorithms\":[\"RS256\"],\"jwks_url\":\"https://id.example.com/keys\""

static void test_a_file(void **state)
{
    static const char text[] =
        "{\"issuers\":[{" URL "},"
        "{\"issuer\":\"c\",\"audience\":\"d\",\"algorithms\":[\"HS256\"],"
        "\"hs256_key_file\":\"/k\",\"tenant\":\"0190a0b0-0000-7000-8000-0000000000ff\"},"
        "{\"issuer\":\"e\",\"audience\":\"d\",\"algorithms\":[\"ES256\",\"RS256\"],"
        "\"jwks_file\":\"/j\",\"max_role\":\"viewer\",\"refresh_seconds\":7}]}";
    _cleanup_(cleanup_auth_issuers) struct auth_issuers *issuers = NULL;

    (void)state;
    assert_int_equal(auth_issuers_parse(text, strlen(text), &issuers, NULL), 0);
    assert_int_equal(issuers->count, 3);
    assert_string_equal(issuers->items[0].where, "https://id.example.com/keys");
    assert_int_equal(issuers->items[0].source, AUTH_SOURCE_JWKS_URL);
    assert_int_equal(issuers->items[0].algorithms, 1U << AUTH_RS256);
    assert_int_equal(issuers->items[0].max_role, ROLE_OPERATOR);
    assert_int_equal(issuers->items[0].refetch_s, 30);
    assert_false(issuers->items[0].has_tenant);
    assert_true(issuers->items[1].has_tenant);
    assert_int_equal(issuers->items[1].tenant.bytes[15], 0xff);
    assert_int_equal(issuers->items[1].max_role, ROLE_ADMIN);
    assert_int_equal(issuers->items[2].algorithms, 1U << AUTH_RS256 | 1U << AUTH_ES256);
    assert_int_equal(issuers->items[2].max_role, ROLE_VIEWER);
    assert_int_equal(issuers->items[2].refresh_s, 7);
}

/* Each complaint names the field. */
static void test_refused(void **state)
{
    static const struct {
        const char *entries;
        const char *because;
    } refused[] = {
        {"", "'issuers'"},
        {"{}", "issuers[0].issuer"},
        {"{" URL ",\"url\":1}", "issuers[0].url"},
        {"{" URL ",\"jwks_file\":\"/x\"}", "issuers[0]"},
        {"{" BASE ",\"algorithms\":[\"RS256\"]}", "issuers[0]"},
        {"{" BASE ",\"algorithms\":[],\"jwks_file\":\"/x\"}", "algorithms"},
        {"{" BASE ",\"algorithms\":[\"none\"],\"jwks_file\":\"/x\"}", "algorithms"},
        {"{" BASE ",\"algorithms\":[\"HS256\"],\"jwks_file\":\"/x\"}", "algorithms"},
        {"{" BASE ",\"algorithms\":[\"HS256\"],\"public_key_file\":\"/x\"}", "algorithms"},
        {"{" BASE ",\"algorithms\":[\"HS256\",\"RS256\"],\"hs256_key_file\":\"/x\"}", "algorithms"},
        {"{" BASE ",\"algorithms\":[\"RS256\"],\"jwks_url\":\"http://id.example.com/\"}",
         "jwks_url"},
        {"{" BASE ",\"algorithms\":[\"RS256\"],\"jwks_url\":\"http://localhost/\","
         "\"jwks_ca_file\":\"/x\"}",
         "jwks_ca_file"},
        {"{" BASE ",\"algorithms\":[\"RS256\"],\"jwks_file\":\"/x\",\"jwks_ca_file\":\"/x\"}",
         "jwks_ca_file"},
        {"{" URL ",\"tenant\":\"x\"}", "tenant"},
        {"{" URL ",\"max_role\":\"none\"}", "max_role"},
        {"{" URL ",\"refetch_seconds\":0}", "refetch_seconds"},
        {"{" URL "},{" URL "}", "issuers[1].issuer"},
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct auth_issuers *issuers = NULL;
        struct error err = {0};

        (void)snprintf(text, sizeof(text), "{\"issuers\":[%s]}", refused[i].entries);
        assert_int_equal(auth_issuers_parse(text, strlen(text), &issuers, &err), -1);
        assert_null(issuers);
        if (!strstr(err.message, refused[i].because))
            fail_msg("%s: %s", refused[i].entries, err.message);
    }
}

static void test_the_file_is_named(void **state)
{
    struct auth_issuers *issuers = NULL;
    struct error err;

    (void)state;
    assert_int_equal(auth_issuers_load("/nonexistent/issuers.json", &issuers, &err), -1);
    assert_non_null(strstr(err.message, "/nonexistent/issuers.json"));
}

static void test_urls(void **state)
{
    static const char *const good[] = {
        "https://id.example.com/keys", "https://id.example.com", "https://10.0.0.1:8443/a?b=c",
        "http://localhost:1/keys",     "http://127.0.0.1/",      "http://127.9.9.9:80",
        "http://[::1]:8080/keys",      "https://[fd00::1]/keys",
    };
    static const char *const bad[] = {
        "",
        "https://",
        "https:///keys",
        "https://:80/",
        "HTTPS://a/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://id.example.com/",
        "http://127.0.0.1.evil.com/",
        "http://localhost.evil.com/",
        "http://localhost@evil.com/",
        "http://127.0.0.1\\@evil.com/",
        "https://user@id.example.com/",
        "https://id.example.com/#x",
        "https://id.example.com/ x",
        "https://id.example.com/\n",
        "http://[::1/",
        "http://[::2]/",
        "http://128.0.0.1/",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        if (!auth_jwks_url_valid(good[i]))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        if (auth_jwks_url_valid(bad[i]))
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_the_file_is_named),
        cmocka_unit_test(test_urls),
    };

    return cmocka_run_group_tests_name("lib/auth/issuers", tests, NULL, NULL);
}
