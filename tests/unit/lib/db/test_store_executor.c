#include "lib/db/store_container.h"
#include "lib/db/store_executor.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct db_pool *pool;

static int setup(void **state)
{
    return postgres_pool_setup(state, 2, &pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pool_teardown(&pool);
}

static void set_environment(const struct id *id, const char *env_json)
{
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    assert_int_equal(store_container_environment(pool, &default_scope, id, env_json, false,
                                                 STORE_ANY_VERSION, &test_origin, &record, NULL),
                     0);
}

static void test_the_key_is_one(void **state)
{
    static const unsigned char zeros[STORE_EXECUTOR_KEY_SIZE];
    unsigned char first[STORE_EXECUTOR_KEY_SIZE];
    unsigned char second[STORE_EXECUTOR_KEY_SIZE];

    (void)state;
    assert_int_equal(store_executor_key(pool, first, NULL), 0);
    assert_int_equal(store_executor_key(pool, second, NULL), 0);
    assert_memory_equal(first, second, sizeof(first));
    assert_memory_not_equal(first, zeros, sizeof(first));
}

static void test_a_container_is_found_whosever_it_is(void **state)
{
    struct id tenant = make_tenant("executor");
    struct id id = make_container(pool, &tenant);
    struct store_executor found;

    (void)state;
    assert_int_equal(store_executor_find(pool, &id, &found, NULL), 0);
    assert_true(id_equal(&found.tenant, &tenant));
    assert_true(found.is_active);
    assert_false(found.has_chosen);
    (void)postgres_number("WITH s AS (UPDATE tenants SET state = 'suspended' WHERE name = "
                          "'executor' RETURNING 1) SELECT count(*) FROM s");
    assert_int_equal(store_executor_find(pool, &id, &found, NULL), 0);
    assert_false(found.is_active);
}

static void test_a_chosen_secret_is_told_as_its_hash(void **state)
{
    /* SHA-256 of "abc" (FIPS 180-2, appendix B.1) */
    static const unsigned char expected[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    struct id id = make_container(pool, &default_tenant);
    struct store_executor found;

    (void)state;
    set_environment(&id, "{\"SANDBOX_SECRET\":\"abc\"}");
    assert_int_equal(store_executor_find(pool, &id, &found, NULL), 0);
    assert_true(found.has_chosen);
    assert_memory_equal(found.chosen_hash, expected, sizeof(expected));
    set_environment(&id, "{\"SANDBOX_SECRET\":\"\"}");
    assert_int_equal(store_executor_find(pool, &id, &found, NULL), 0);
    assert_false(found.has_chosen);
}

static void test_what_goes_is_not_found(void **state)
{
    struct id id = make_container(pool, &default_tenant);
    struct store_executor found;
    struct error err;
    uint32_t generation;
    struct id none;

    (void)state;
    assert_int_equal(id_new(&none, NULL), 0);
    assert_int_equal(store_executor_find(pool, &none, &found, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_container_delete_begin(pool, &default_scope, &id, CONTAINER_REQUESTED,
                                                  STORE_ANY_VERSION, &test_origin, &generation,
                                                  NULL),
                     0);
    assert_int_equal(store_executor_find(pool, &id, &found, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_key_is_one),
        TEST(test_a_container_is_found_whosever_it_is),
        TEST(test_a_chosen_secret_is_told_as_its_hash),
        TEST(test_what_goes_is_not_found),
    };

    return cmocka_run_group_tests_name("db/store_executor", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
