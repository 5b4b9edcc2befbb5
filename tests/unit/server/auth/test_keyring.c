#include "lib/base/util.h"
#include "server/auth/keyring.h"
#include "tests/unit/lib/auth/token_maker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOW = 1800000000, TAKEN = -1, PATIENCE_USEC = 120 * 1000 * 1000, PAUSE_USEC = 5000 };

#define HS256       "{\"alg\":\"HS256\"}"
#define RS256       "{\"alg\":\"RS256\"}"
#define CLAIMS(who) "{\"iss\":\"" who "\",\"aud\":\"api\",\"sub\":\"eve\",\"exp\":1800000060}"
#define NEXT_SECRET "fedcba9876543210fedcba9876543210"

static struct maker maker;
static char issuers_path[96];
static struct config config;
static struct keyring *keyring;

/* Puts a file in the place of another, as an operator should. */
static void replace(const char *path, const char *content)
{
    char made[96];

    maker_file(&maker, "made", content, made);
    assert_int_equal(rename(made, path), 0);
}

/* One issuer beside the own, with the maker's RSA key. */
static void write_issuer(const char *name)
{
    char text[512];

    (void)snprintf(text, sizeof(text),
                   "{\"issuers\":[{\"issuer\":\"%s\",\"audience\":\"api\","
                   "\"algorithms\":[\"RS256\"],\"public_key_file\":\"%s\"}]}",
                   name, maker.rs256_path);
    replace(issuers_path, text);
}

static int setup(void **state)
{
    (void)state;
    maker_create(&maker);
    maker_file(&maker, "issuers.json", "", issuers_path);
    config = (struct config){
        .auth_hs256_key_file = maker.hs256_path,
        .auth_rs256_key_file = (char *)"",
        .auth_es256_key_file = (char *)"",
        .auth_issuer = (char *)"us",
        .auth_audience = (char *)"api",
        .auth_issuers_file = (char *)"",
    };
    keyring = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    keyring_destroy(keyring);
    (void)unlink(issuers_path);
    maker_destroy(&maker);
    return 0;
}

static void start(void)
{
    struct error err;

    if (keyring_create(&config, &keyring, &err) < 0)
        fail_msg("%s", err.message);
}

static void start_with_partner(void)
{
    write_issuer("partner");
    config.auth_issuers_file = issuers_path;
    start();
}

/* Checks and frees the token; TAKEN, or why it is not. */
static int check(char *token)
{
    enum auth_reason reason;
    struct auth_identity identity;
    struct error err;
    int result = keyring_verify(keyring, token, strlen(token), NOW, &identity, &reason, &err);

    if (result == 0)
        assert_string_equal(identity.subject, "eve");
    free(token);
    return result == 0 ? TAKEN : (int)reason;
}

static int check_own(const char *secret)
{
    return check(maker_sign_hmac(secret, strlen(secret), HS256, CLAIMS("us")));
}

static int check_partner(const char *claims)
{
    return check(maker_sign(&maker, AUTH_RS256, RS256, claims));
}

/* The keyring's thread does what it must in its own time. */
static void await_own(const char *secret)
{
    int64_t deadline = monotonic_usec() + PATIENCE_USEC;

    while (check_own(secret) != TAKEN) {
        assert_true(monotonic_usec() < deadline);
        (void)usleep(PAUSE_USEC);
    }
}

static void await_partner(const char *claims)
{
    int64_t deadline = monotonic_usec() + PATIENCE_USEC;

    while (check_partner(claims) != TAKEN) {
        assert_true(monotonic_usec() < deadline);
        (void)usleep(PAUSE_USEC);
    }
}

static void test_a_key_is_its_issuers(void **state)
{
    (void)state;
    start_with_partner();
    assert_int_equal(check_own(MAKER_SECRET), TAKEN);
    assert_int_equal(check_partner(CLAIMS("partner")), TAKEN);
    assert_int_not_equal(check_partner(CLAIMS("us")), TAKEN);
    assert_int_not_equal(check(maker_sign(&maker, AUTH_HS256, HS256, CLAIMS("partner"))), TAKEN);
    assert_int_equal(check_partner(CLAIMS("nobody")), AUTH_WRONG_ISSUER);
    assert_int_equal(check_partner("{\"aud\":\"api\",\"sub\":\"eve\",\"exp\":1800000060}"),
                     AUTH_WRONG_ISSUER);
    assert_int_not_equal(check(strdup("no token")), TAKEN);
}

static void test_a_changed_secret_counts_without_restart(void **state)
{
    uint64_t before;

    (void)state;
    start();
    before = keyring_epoch(keyring);
    assert_int_not_equal(check_own(NEXT_SECRET), TAKEN);
    replace(maker.hs256_path, NEXT_SECRET);
    await_own(NEXT_SECRET);
    assert_int_not_equal(check_own(MAKER_SECRET), TAKEN);
    assert_true(keyring_epoch(keyring) != before);
}

/* The same key again is no reason to verify everything anew. */
static void test_the_epoch_counts_changes_of_keys_alone(void **state)
{
    uint64_t before;

    (void)state;
    start_with_partner();
    before = keyring_epoch(keyring);
    replace(maker.hs256_path, MAKER_SECRET);
    replace(maker.rs256_path, maker.rsa_pem);
    /* What comes later in a round is done when the next round's change is seen. */
    write_issuer("other");
    await_partner(CLAIMS("other"));
    assert_int_equal(keyring_epoch(keyring), before + 1);
}

static void test_issuers_come_and_go(void **state)
{
    (void)state;
    start_with_partner();
    write_issuer("other");
    keyring_reload(keyring);
    await_partner(CLAIMS("other"));
    assert_int_equal(check_partner(CLAIMS("partner")), AUTH_WRONG_ISSUER);
    assert_int_equal(check_own(MAKER_SECRET), TAKEN);
}

static void test_what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    start_with_partner();
    replace(issuers_path, "{");
    replace(maker.hs256_path, "short");
    keyring_reload(keyring);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(check_own(MAKER_SECRET), TAKEN);
        assert_int_equal(check_partner(CLAIMS("partner")), TAKEN);
        (void)usleep(PAUSE_USEC);
    }
    /* And it is looked at again. */
    replace(maker.hs256_path, NEXT_SECRET);
    write_issuer("other");
    await_own(NEXT_SECRET);
    await_partner(CLAIMS("other"));
}

static void fails(const char *told)
{
    struct error err;

    assert_int_equal(keyring_create(&config, &keyring, &err), -1);
    assert_null(keyring);
    if (!strstr(err.message, told))
        fail_msg("%s", err.message);
}

static void test_a_start_without_what_it_needs(void **state)
{
    (void)state;
    config.auth_hs256_key_file = (char *)"/no/secret";
    fails("/no/secret");
    config.auth_hs256_key_file = (char *)"";
    fails("no key");
    config.auth_issuers_file = (char *)"/no/issuers";
    fails("/no/issuers");
    config.auth_hs256_key_file = maker.hs256_path;
    config.auth_issuers_file = issuers_path;
    write_issuer("us");
    fails("issuers[0].issuer");
}

static void test_tokens_are_made_with_the_own_secret(void **state)
{
    const struct auth_claims claims = {.subject = "eve", .lifetime_seconds = 60};
    char *token = NULL;
    struct error err;

    (void)state;
    start_with_partner();
    assert_int_equal(keyring_sign(keyring, &claims, NOW, &token, NULL), 0);
    assert_int_equal(check(token), TAKEN);
    keyring_destroy(keyring);
    keyring = NULL;
    config.auth_hs256_key_file = (char *)"";
    start();
    assert_int_equal(check_partner(CLAIMS("partner")), TAKEN);
    assert_int_equal(keyring_sign(keyring, &claims, NOW, &token, &err), -1);
    assert_int_equal(err.code, ERR_NOT_SUPPORTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_key_is_its_issuers),
        TEST(test_a_changed_secret_counts_without_restart),
        TEST(test_the_epoch_counts_changes_of_keys_alone),
        TEST(test_issuers_come_and_go),
        TEST(test_what_is_wrong_changes_nothing),
        TEST(test_a_start_without_what_it_needs),
        TEST(test_tokens_are_made_with_the_own_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
