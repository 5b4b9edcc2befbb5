#include "server/auth/token_cache.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void make_digest(unsigned number, unsigned char digest[TOKEN_DIGEST_SIZE])
{
    memset(digest, 0, TOKEN_DIGEST_SIZE);
    /* The bytes that choose shard and set stay 0: all meet in one set. */
    memcpy(digest + 8, &number, sizeof(number));
}

static void store(struct token_cache *cache, unsigned number, int64_t expires_at)
{
    unsigned char digest[TOKEN_DIGEST_SIZE];
    struct token_record record = {.identity = {.expires_at = expires_at}, .epoch = number};

    make_digest(number, digest);
    (void)snprintf(record.identity.subject, sizeof(record.identity.subject), "%u", number);
    token_cache_store(cache, digest, &record);
}

static bool knows(struct token_cache *cache, unsigned number, int64_t now)
{
    unsigned char digest[TOKEN_DIGEST_SIZE];
    struct token_record record = {.epoch = 0};
    char subject[16];

    make_digest(number, digest);
    if (!token_cache_find(cache, digest, now, &record))
        return false;
    (void)snprintf(subject, sizeof(subject), "%u", number);
    assert_string_equal(record.identity.subject, subject);
    assert_int_equal(record.epoch, number);
    return true;
}

static void test_until_expiry(void **state)
{
    struct token_cache *cache = NULL;

    (void)state;
    assert_int_equal(token_cache_create(&cache, NULL), 0);
    assert_false(knows(cache, 1, 0));
    store(cache, 1, 100);
    assert_true(knows(cache, 1, 99));
    assert_false(knows(cache, 1, 100));
    assert_false(knows(cache, 1, 99));
    token_cache_destroy(cache);
}

static void test_least_recently_used_goes(void **state)
{
    struct token_cache *cache = NULL;

    (void)state;
    assert_int_equal(token_cache_create(&cache, NULL), 0);
    for (unsigned i = 1; i <= 4; i++)
        store(cache, i, 100);
    assert_true(knows(cache, 1, 0));
    store(cache, 5, 100);
    assert_true(knows(cache, 1, 0));
    assert_false(knows(cache, 2, 0));
    assert_true(knows(cache, 3, 0));
    assert_true(knows(cache, 4, 0));
    assert_true(knows(cache, 5, 0));
    token_cache_destroy(cache);
}

static void *hammer(void *cache)
{
    for (unsigned i = 0; i < 20000; i++) {
        store(cache, i % 7, 100);
        (void)knows(cache, i % 11, 0);
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct token_cache *cache = NULL;
    pthread_t threads[4];

    (void)state;
    assert_int_equal(token_cache_create(&cache, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, cache), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    token_cache_destroy(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_until_expiry),
        cmocka_unit_test(test_least_recently_used_goes),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests_name("server/auth/token_cache", tests, NULL, NULL);
}
