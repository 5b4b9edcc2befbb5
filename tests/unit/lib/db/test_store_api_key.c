#include "lib/db/store_api_key.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_USEC (INT64_C(3600) * 1000000)

static struct db_pool *pool;
static struct db_scope scope;

static int setup(void **state)
{
    if (postgres_test_setup(state) < 0)
        return -1;
    pool = postgres_pool("atoll_app", 1);
    scope = (struct db_scope){.tenant = default_tenant};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    db_pool_free(pool);
    return 0;
}

/* A key with a prefix and a hash of one repeated byte. */
static int insert(const struct db_scope *for_scope, char letter, const struct id *project,
                  int64_t expires_usec, struct id *ret_id, struct error *err)
{
    unsigned char hash[STORE_KEY_HASH_SIZE];
    char prefix[STORE_KEY_PREFIX_SIZE] = "";
    struct store_api_key_new key = {.name = "a key",
                                    .prefix = prefix,
                                    .hash = hash,
                                    .role = ROLE_ADMIN,
                                    .project = project,
                                    .expires_usec = expires_usec};
    struct store_api_key made = {.name = NULL};
    int result;

    memset(hash, letter, sizeof(hash));
    memset(prefix, letter, sizeof(prefix) - 1);
    assert_int_equal(id_new(&key.id, NULL), 0);
    result = store_api_key_insert(pool, for_scope, &key, &test_origin, &made, err);
    *ret_id = key.id;
    store_api_key_done(&made);
    return result;
}

static void test_a_key_is_found_by_its_prefix(void **state)
{
    int64_t later = INT64_C(4102444800123456); /* in 2100 */
    struct store_found_key found;
    struct error err;
    struct id id;

    (void)state;
    assert_int_equal(insert(&scope, 'a', NULL, later, &id, NULL), 0);
    assert_int_equal(store_api_key_find(pool, "aaaaaaaaaaaa", &found, NULL), 0);
    assert_true(id_equal(&found.id, &id));
    assert_true(id_equal(&found.tenant, &default_tenant));
    assert_false(found.has_project || found.is_revoked || found.is_expired);
    assert_int_equal(found.role, ROLE_ADMIN);
    assert_int_equal(found.hash[31], 'a');
    assert_true(found.expires_usec == later);
    assert_int_equal(store_api_key_find(pool, "bbbbbbbbbbbb", &found, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_expiry_and_revocation(void **state)
{
    struct store_standing standing;
    struct store_found_key found;
    struct store_api_key shown;
    struct error err;
    struct id expired, revoked;

    (void)state;
    assert_int_equal(insert(&scope, 'a', NULL, HOUR_USEC, &expired, NULL), 0);
    assert_int_equal(insert(&scope, 'b', NULL, 0, &revoked, NULL), 0);
    assert_int_equal(store_standing_get(pool, &default_tenant, &revoked, &standing, NULL), 0);
    assert_true(standing.key_valid);
    assert_int_equal(store_api_key_revoke(pool, &scope, &revoked, &test_origin, NULL), 0);
    assert_int_equal(store_api_key_revoke(pool, &scope, &revoked, &test_origin, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_api_key_get(pool, &scope, &revoked, &shown, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_api_key_find(pool, "aaaaaaaaaaaa", &found, NULL), 0);
    assert_true(found.is_expired);
    assert_int_equal(store_api_key_find(pool, "bbbbbbbbbbbb", &found, NULL), 0);
    assert_true(found.is_revoked);
    assert_int_equal(store_standing_get(pool, &default_tenant, &expired, &standing, NULL), 0);
    assert_false(standing.key_valid);
    assert_int_equal(store_standing_get(pool, &default_tenant, &revoked, &standing, NULL), 0);
    assert_false(standing.key_valid);
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind IN"
                                     " ('admin.api_key_created', 'admin.api_key_revoked')"),
                     3);
}

static void test_standing_of_tenants(void **state)
{
    struct id tenant = make_tenant("other");
    struct store_standing standing;
    struct id nobody, key;

    (void)state;
    assert_int_equal(insert(&scope, 'a', NULL, 0, &key, NULL), 0);
    assert_int_equal(store_standing_get(pool, &tenant, NULL, &standing, NULL), 0);
    assert_true(standing.tenant_exists && standing.tenant_active && standing.key_valid);
    /* Another tenant's key is none. */
    assert_int_equal(store_standing_get(pool, &tenant, &key, &standing, NULL), 0);
    assert_false(standing.key_valid);
    postgres_execute("UPDATE tenants SET state = 'suspended' WHERE name = 'other'");
    assert_int_equal(store_standing_get(pool, &tenant, NULL, &standing, NULL), 0);
    assert_true(standing.tenant_exists);
    assert_false(standing.tenant_active);
    assert_int_equal(id_new(&nobody, NULL), 0);
    assert_int_equal(store_standing_get(pool, &nobody, NULL, &standing, NULL), 0);
    assert_false(standing.tenant_exists || standing.tenant_active);
}

/* At most once a minute: a busy key is not a busy row. */
static void test_use_is_noted_seldom(void **state)
{
    struct store_standing standing;
    struct id id;

    (void)state;
    assert_int_equal(insert(&scope, 'a', NULL, 0, &id, NULL), 0);
    assert_int_equal(postgres_number("SELECT count(last_used_at) FROM api_keys"), 0);
    assert_int_equal(store_standing_get(pool, &default_tenant, &id, &standing, NULL), 0);
    assert_int_equal(postgres_number("SELECT count(last_used_at) FROM api_keys"), 1);
    postgres_execute("UPDATE api_keys SET last_used_at = now() - interval '50 seconds'");
    assert_int_equal(store_standing_get(pool, &default_tenant, &id, &standing, NULL), 0);
    assert_int_equal(postgres_number("SELECT count(*) FROM api_keys WHERE last_used_at <"
                                     " now() - interval '49 seconds'"),
                     1);
    postgres_execute("UPDATE api_keys SET last_used_at = now() - interval '61 seconds'");
    assert_int_equal(store_standing_get(pool, &default_tenant, &id, &standing, NULL), 0);
    assert_int_equal(postgres_number("SELECT count(*) FROM api_keys WHERE last_used_at <"
                                     " now() - interval '49 seconds'"),
                     0);
}

static void test_projects_and_tenants_are_apart(void **state)
{
    struct id tenant = make_tenant("other");
    struct db_scope bound = {.tenant = default_tenant, .has_project = true};
    struct db_scope other = {.tenant = tenant};
    struct store_api_keys keys;
    struct store_api_key key;
    struct error err;
    struct id whole, part;

    (void)state;
    assert_true(id_parse("00000000000070008000000000000002", &bound.project));
    assert_int_equal(insert(&scope, 'a', NULL, 0, &whole, NULL), 0);
    assert_int_equal(insert(&bound, 'b', &bound.project, 0, &part, NULL), 0);
    assert_int_equal(store_api_key_list(pool, &scope, 10, NULL, &keys, NULL), 0);
    assert_int_equal(keys.count, 2);
    store_api_keys_free(&keys);
    assert_int_equal(store_api_key_list(pool, &bound, 10, NULL, &keys, NULL), 0);
    assert_int_equal(keys.count, 1);
    assert_true(id_equal(&keys.items[0].id, &part));
    store_api_keys_free(&keys);
    assert_int_equal(store_api_key_list(pool, &other, 10, NULL, &keys, NULL), 0);
    assert_int_equal(keys.count, 0);
    assert_int_equal(store_api_key_get(pool, &bound, &whole, &key, &err), -1);
    assert_int_equal(store_api_key_revoke(pool, &other, &whole, &test_origin, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(insert(&other, 'c', &bound.project, 0, &part, &err), -1);
    assert_string_equal(err.field, "project_id");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_key_is_found_by_its_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry_and_revocation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_standing_of_tenants, setup, teardown),
        cmocka_unit_test_setup_teardown(test_use_is_noted_seldom, setup, teardown),
        cmocka_unit_test_setup_teardown(test_projects_and_tenants_are_apart, setup, teardown),
    };

    return cmocka_run_group_tests_name("db/store_api_key", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
