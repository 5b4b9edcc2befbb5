#include "lib/base/util.h"
#include "server/auth/auth.h"
#include "server/edge/edge.h"
#include "server/http/link.h"
#include "tests/unit/lib/auth/token_maker.h"
#include "tests/unit/server/edge/client.h"

#include <atoll/tenant.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct maker maker;
static struct config config;
static struct auth *auth;
static struct http *http;
static struct edge *edge;
static uint16_t port;

static enum auth_standing standing;
static unsigned standing_checks;
static enum auth_reason refused_for;
static struct auth_stored_key stored_key;
static char stored_prefix[API_KEY_PREFIX_SIZE];

static int find_key(void *user, const char *prefix, struct auth_stored_key *ret_key,
                    struct error *err)
{
    (void)user;
    if (strcmp(prefix, stored_prefix) != 0)
        return error_set(err, ERR_NOT_FOUND, "none");
    *ret_key = stored_key;
    return 0;
}

static int check_standing(void *user, const struct auth_identity *identity,
                          enum auth_standing *ret_standing, struct error *err)
{
    (void)user;
    (void)identity;
    (void)err;
    standing_checks++;
    *ret_standing = standing;
    return 0;
}

static void note_refusal(void *user, const struct auth_refusal *refusal)
{
    (void)user;
    refused_for = refusal->reason;
}

static const struct auth_directory directory = {
    .find_key = find_key, .check_standing = check_standing, .note_refusal = note_refusal};

/* Says who asks. */
static void handle(struct http_request *request, __attribute__((unused)) void *user)
{
    struct auth_identity identity;
    struct error err;

    if (auth_authenticate(auth, request, &identity, &err) < 0)
        http_respond_problem(request, &err);
    else
        http_respond_bytes(request, 200, "text/plain", identity.subject, strlen(identity.subject));
}

static int setup(void **state)
{
    char secret[EDGE_SECRET_SIZE];
    struct http_options http_options = {
        .threads = 2, .request_timeout_ms = 10000, .edge_secret = secret, .handler = handle};
    struct edge_options options = {
        .host = "127.0.0.1",
        .secret = secret,
        .max_connections = 64,
        .upstreams = 2,
        .max_queued = 64,
        .queue_timeout_ms = 10000,
        .limits = {.max_body_bytes = 1024, .request_timeout_ms = 10000, .idle_timeout_ms = 10000},
    };

    (void)state;
    maker_create(&maker);
    config = (struct config){
        .server_host = (char *)"0.0.0.0",
        .auth_mode = (char *)"jwt",
        .auth_hs256_key_file = maker.hs256_path,
        .auth_rs256_key_file = maker.rs256_path,
        .auth_es256_key_file = (char *)"",
        .auth_issuer = (char *)"us",
        .auth_audience = (char *)"api",
        .auth_leeway_s = 0,
        .auth_issuers_file = (char *)"",
        .auth_cache_s = 10,
    };
    assert_int_equal(auth_create(&config, &directory, &auth, NULL), 0);
    assert_int_equal(edge_secret_new(secret, NULL), 0);
    assert_int_equal(http_start(&http_options, &http, NULL), 0);
    options.upstream_port = http_port(http);
    return edge_start(&options, &edge, &port, NULL);
}

static int teardown(void **state)
{
    (void)state;
    edge_stop(edge, 5000);
    http_stop(http);
    auth_destroy(auth);
    maker_destroy(&maker);
    return 0;
}

/* Sends the field lines and reads the answer. */
static void ask(const char *fields, struct client_response *ret_response)
{
    char text[8192];
    int fd = client_connect(port);

    (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    client_exchange(fd, text, ret_response);
    close(fd);
}

static char *make_token(const char *header, const char *subject, int64_t lifetime)
{
    char claims[256];

    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"us\",\"aud\":\"api\",\"sub\":\"%s\",\"exp\":%lld}", subject,
                   (long long)time(NULL) + lifetime);
    return maker_sign(&maker, strstr(header, "RS") ? AUTH_RS256 : AUTH_HS256, header, claims);
}

static void assert_asks_as(const char *header, const char *subject)
{
    struct client_response response;
    char fields[2048];
    char *token = make_token(header, subject, 60);

    /* The second time it comes from the cache. */
    for (int i = 0; i < 2; i++) {
        (void)snprintf(fields, sizeof(fields), "Authorization: %s %s\r\n",
                       i == 0 ? "Bearer" : "bearer", token);
        ask(fields, &response);
        assert_int_equal(response.status, 200);
        assert_string_equal(response.body, subject);
        client_response_free(&response);
    }
    free(token);
}

static void test_good_tokens(void **state)
{
    (void)state;
    assert_asks_as("{\"alg\":\"HS256\"}", "eve");
    assert_asks_as("{\"alg\":\"RS256\"}", "bob");
}

/* Drops what differs by nature: the request id. */
static void assert_same_refusal(const char *fields)
{
    struct client_response response;
    char *challenge;

    ask(fields, &response);
    challenge = client_field(&response, "WWW-Authenticate");
    assert_int_equal(response.status, 401);
    assert_string_equal(challenge, "Bearer");
    assert_non_null(strstr(response.body, "\"code\":\"unauthenticated\","
                                          "\"detail\":\"a valid bearer token is needed\","
                                          "\"request_id\":"));
    free(challenge);
    client_response_free(&response);
}

static void test_refusals_tell_nothing(void **state)
{
    static const char *const fields[] = {
        "",
        "Authorization:\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Basic eA==\r\n",
        "Authorization: Bearer x\r\n",
        "Authorization: Bearer a.b.c\r\n",
        "Authorization: BearerX\r\n",
    };
    char *expired = make_token("{\"alg\":\"HS256\"}", "eve", -60);
    char *good = make_token("{\"alg\":\"HS256\"}", "eve", 60);
    char text[4096];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        assert_same_refusal(fields[i]);
    (void)snprintf(text, sizeof(text), "Authorization: Bearer %s\r\n", expired);
    assert_same_refusal(text);
    (void)snprintf(text, sizeof(text), "Authorization: Bearer %s x\r\n", good);
    assert_same_refusal(text);
    (void)snprintf(text, sizeof(text), "Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n",
                   good, good);
    assert_same_refusal(text);
    free(expired);
    free(good);
}

static void test_off(void **state)
{
    struct config off = config;
    struct auth_identity identity = {0};
    struct auth *open = NULL;
    struct id tenant;
    struct error err;

    (void)state;
    off.auth_mode = (char *)"off";
    assert_int_equal(auth_create(&off, &directory, &open, &err), -1);
    assert_null(open);
    assert_non_null(strstr(err.message, "loopback"));
    off.server_host = (char *)"127.0.0.1";
    assert_int_equal(auth_create(&off, &directory, &open, &err), 0);
    assert_int_equal(auth_authenticate(open, NULL, &identity, &err), 0);
    assert_true(id_parse(AUTH_DEFAULT_TENANT, &tenant));
    assert_true(id_equal(&identity.tenant, &tenant));
    auth_destroy(open);
}

static void test_start_without_keys(void **state)
{
    struct config none = config;
    struct auth *made = NULL;

    (void)state;
    none.auth_hs256_key_file = (char *)"";
    none.auth_rs256_key_file = (char *)"";
    assert_int_equal(auth_create(&none, &directory, &made, NULL), -1);
    assert_null(made);
}

static void test_api_key(void **state)
{
    struct client_response response;
    struct api_key key;
    char fields[256];

    (void)state;
    assert_int_equal(api_key_make(&key, NULL), 0);
    (void)strcpy(stored_prefix, key.prefix);
    memset(&stored_key, 0, sizeof(stored_key));
    stored_key.expires_at = INT64_MAX;
    stored_key.role = ROLE_VIEWER;
    memcpy(stored_key.hash, key.hash, sizeof(key.hash));
    for (int i = 0; i < 2; i++) {
        (void)snprintf(fields, sizeof(fields), "%s %s\r\n",
                       i == 0 ? "X-API-Key:" : "Authorization: Bearer", key.text);
        ask(fields, &response);
        assert_int_equal(response.status, 200);
        assert_memory_equal(response.body, "key:", 4);
        assert_string_equal(response.body + 4, key.prefix);
        client_response_free(&response);
    }
}

/* Each refusal looks the same outside, and has its reason inside. */
static void assert_key_refused(const char *text, enum auth_reason reason)
{
    char fields[256];

    (void)snprintf(fields, sizeof(fields), "X-API-Key: %s\r\n", text);
    assert_same_refusal(fields);
    assert_int_equal(refused_for, reason);
}

static void test_api_keys_refused(void **state)
{
    struct api_key other;
    struct api_key key;

    (void)state;
    assert_int_equal(api_key_make(&key, NULL), 0);
    assert_int_equal(api_key_make(&other, NULL), 0);
    (void)strcpy(stored_prefix, key.prefix);
    memset(&stored_key, 0, sizeof(stored_key));
    stored_key.expires_at = INT64_MAX;
    assert_key_refused(other.text, AUTH_UNKNOWN_KEY);
    assert_key_refused(key.text, AUTH_WRONG_SIGNATURE);
    stored_key.is_revoked = true;
    assert_key_refused(key.text, AUTH_WRONG_SIGNATURE);
    memcpy(stored_key.hash, key.hash, sizeof(key.hash));
    assert_key_refused(key.text, AUTH_REVOKED_KEY);
    stored_key.is_revoked = false;
    stored_key.is_expired = true;
    assert_key_refused(key.text, AUTH_EXPIRED);
    key.text[API_KEY_TEXT_SIZE - 2] = '=';
    assert_key_refused(key.text, AUTH_MALFORMED);
    assert_key_refused("eyJhbGciOiJIUzI1NiJ9.e30.x", AUTH_MALFORMED);
}

static void test_two_credentials(void **state)
{
    char *good = make_token("{\"alg\":\"HS256\"}", "eve", 60);
    struct api_key key;
    char text[2048];

    (void)state;
    assert_int_equal(api_key_make(&key, NULL), 0);
    (void)snprintf(text, sizeof(text), "Authorization: Bearer %s\r\nX-API-Key: %s\r\n", good,
                   key.text);
    assert_same_refusal(text);
    assert_int_equal(refused_for, AUTH_MALFORMED);
    free(good);
}

static int status_of(const char *token)
{
    struct client_response response;
    char fields[2048];
    int status;

    (void)snprintf(fields, sizeof(fields), "Authorization: Bearer %s\r\n", token);
    ask(fields, &response);
    status = response.status;
    client_response_free(&response);
    return status;
}

/* The standing is asked for once while it is fresh, and anew when it is not to be believed. */
static void test_standing(void **state)
{
    struct config careful = config;
    char *token = make_token("{\"alg\":\"HS256\"}", "standing", 60);

    (void)state;
    standing_checks = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(status_of(token), 200);
    assert_int_equal(standing_checks, 1);
    careful.auth_cache_s = 0;
    auth_reload(auth, &careful);
    standing = AUTH_STANDING_SUSPENDED;
    assert_int_equal(status_of(token), 403);
    assert_int_equal(refused_for, AUTH_SUSPENDED_TENANT);
    standing = AUTH_STANDING_NO_TENANT;
    assert_int_equal(status_of(token), 403);
    assert_int_equal(refused_for, AUTH_UNKNOWN_TENANT);
    standing = AUTH_STANDING_NO_KEY;
    assert_int_equal(status_of(token), 401);
    assert_int_equal(refused_for, AUTH_REVOKED_KEY);
    standing = AUTH_STANDING_GOOD;
    assert_int_equal(status_of(token), 200);
    auth_reload(auth, &config);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_tokens),
        cmocka_unit_test(test_refusals_tell_nothing),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_start_without_keys),
        cmocka_unit_test(test_api_key),
        cmocka_unit_test(test_api_keys_refused),
        cmocka_unit_test(test_two_credentials),
        cmocka_unit_test(test_standing),
    };

    return cmocka_run_group_tests_name("server/auth", tests, setup, teardown);
}
