#include "lib/db/db.h"
#include "lib/db/pool.h"
#include "lib/db/store_sandbox.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect_url_refused(const char *url, const char *secret)
{
    struct db_pool *pool;
    struct error err;

    assert_int_equal(db_pool_create(url, 1, "test", &pool, &err), -1);
    assert_null(strstr(err.message, secret));
}

static void test_a_malformed_url_is_refused_unquoted(void **state)
{
    (void)state;
    expect_url_refused("host=x password='hidden", "hidden");
    expect_url_refused("postgres://user:hidden@[host/db", "hidden");
    expect_url_refused("", "hidden");
}

static void test_no_server_is_unavailable(void **state)
{
    struct db_pool *pool;
    char reason[ERROR_MESSAGE_MAX];
    struct error err;

    (void)state;
    assert_int_equal(
        db_pool_create("host=/nonexistent user=x password=hidden", 1, "test", &pool, NULL), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(db_ping(pool, &err), -1);
        assert_int_equal(err.code, ERR_UNAVAILABLE);
        assert_string_equal(err.message, "the database is away");
    }
    db_pool_failure(pool, reason);
    assert_non_null(strstr(reason, "/nonexistent"));
    assert_null(strstr(reason, "hidden"));
    assert_null(strchr(reason, '\n'));
    db_pool_free(pool);
}

static void test_a_terminated_connection_is_replaced_unseen(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 2);

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct error err;

        if (db_ping(pool, &err) < 0)
            fail_msg("%s", err.message);
        /* Returns when the backend has gone, up to the time given. */
        assert_int_equal(postgres_number("SELECT count(*) FROM (SELECT pid FROM pg_stat_activity"
                                         " WHERE usename = 'atoll_app' OFFSET 0) own"
                                         " WHERE pg_terminate_backend(pid, 60000)"),
                         1);
    }
}

/* Asks until the pool's pause after a failed connect is over. */
static void await_answer(struct db_pool *pool)
{
    struct error err;

    while (db_ping(pool, &err) < 0)
        assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void test_a_restart_is_survived(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 2);
    struct id id = make_sandbox(pool, &default_tenant);
    struct sandbox_record record;
    struct error err;

    (void)state;
    postgres_stop();
    assert_int_equal(store_sandbox_get(pool, &default_scope, &id, &record, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    postgres_start();
    await_answer(pool);
    assert_int_equal(store_sandbox_get(pool, &default_scope, &id, &record, NULL), 0);
    sandbox_record_free(&record);
}

static void *write_until_stopped(void *context)
{
    struct db_pool *pool = context;

    for (;;) {
        const struct sandbox_definition definition = simple_definition();
        struct sandbox_record record;
        struct error err;
        struct id id;

        if (id_new(&id, NULL) < 0)
            return NULL;
        if (store_sandbox_insert(pool, &default_scope, &id, &definition, &long_lifetime,
                                 &test_origin, &record, &err) < 0)
            return err.code == ERR_UNAVAILABLE ? pool : NULL;
        sandbox_record_free(&record);
    }
}

static void test_a_restart_under_load_says_unavailable(void **state)
{
    enum { THREADS = 6 };
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 4);
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_until_stopped, pool), 0);
    while (postgres_number("SELECT count(*) FROM sandboxes") < 50)
        continue;
    postgres_stop();
    for (size_t i = 0; i < THREADS; i++) {
        void *result;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    postgres_start();
    await_answer(pool);
}

enum { CLIENTS = 16, PINGS = 50 };

static void *ping_often(void *context)
{
    for (int i = 0; i < PINGS; i++)
        if (db_ping(context, NULL) < 0)
            return NULL;
    return context;
}

static void test_threads_share_few_connections(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 3);
    pthread_t threads[CLIENTS];

    (void)state;
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ping_often, pool), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        void *result;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    assert_in_range(postgres_number("SELECT count(*) FROM pg_stat_activity WHERE usename ="
                                    " 'atoll_app'"),
                    1, 3);
}

static void test_a_connection_left_in_a_transaction_is_not_reused(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 1);
    struct db_connection *connection;
    PGresult *result;

    (void)state;
    assert_int_equal(db_pool_acquire(pool, NULL, &connection, NULL), 0);
    assert_int_equal(db_connection_query(connection,
                                         "BEGIN; SELECT set_config('atoll.tenant', 'x', false)",
                                         INT64_MAX, &result, NULL),
                     0);
    PQclear(result);
    db_pool_release(pool, NULL, connection);
    assert_int_equal(db_pool_acquire(pool, NULL, &connection, NULL), 0);
    assert_int_equal(db_connection_query(connection, "SELECT current_setting('atoll.tenant', true)",
                                         INT64_MAX, &result, NULL),
                     0);
    assert_true(PQgetisnull(result, 0, 0));
    PQclear(result);
    db_pool_release(pool, NULL, connection);
}

static void test_the_server_sets_limits(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = NULL;
    char url[POSTGRES_URL_SIZE + 64];
    struct db_connection *connection;
    PGresult *result;

    (void)state;
    (void)postgres_url("atoll_app", url);
    (void)strcat(url, " options='-c work_mem=5MB -c statement_timeout=0'");
    assert_int_equal(db_pool_create(url, 1, "test", &pool, NULL), 0);
    assert_int_equal(db_pool_acquire(pool, NULL, &connection, NULL), 0);
    assert_int_equal(db_connection_query(connection,
                                         "SELECT current_setting('statement_timeout'),"
                                         " current_setting('work_mem')",
                                         INT64_MAX, &result, NULL),
                     0);
    assert_string_equal(PQgetvalue(result, 0, 0), "5s");
    assert_string_equal(PQgetvalue(result, 0, 1), "5MB");
    PQclear(result);
    db_pool_release(pool, NULL, connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_malformed_url_is_refused_unquoted),
        cmocka_unit_test(test_no_server_is_unavailable),
        cmocka_unit_test_setup(test_a_terminated_connection_is_replaced_unseen,
                               postgres_test_setup),
        cmocka_unit_test_setup(test_a_restart_is_survived, postgres_test_setup),
        cmocka_unit_test_setup(test_a_restart_under_load_says_unavailable, postgres_test_setup),
        cmocka_unit_test_setup(test_threads_share_few_connections, postgres_test_setup),
        cmocka_unit_test_setup(test_a_connection_left_in_a_transaction_is_not_reused,
                               postgres_test_setup),
        cmocka_unit_test_setup(test_the_server_sets_limits, postgres_test_setup),
    };

    return cmocka_run_group_tests_name("db/pool", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
