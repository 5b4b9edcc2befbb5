#include "lib/db/transaction.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct db_statement show_tenant = {
    "show_tenant", "SELECT coalesce(current_setting('atoll.tenant', true), ''),"
                   " current_setting('synchronous_commit'), pg_backend_pid()"};
static const struct db_statement show_after = {
    "show_after", "SELECT coalesce(nullif(current_setting('atoll.tenant', true), ''), 'none')"};
static const struct db_statement divide = {"divide", "SELECT 1 / $1::bigint"};
static const struct db_statement make_event = {
    "make_event", "INSERT INTO events (tenant_id, kind) VALUES ($1::uuid, 'test')"};
static const struct db_statement broken = {"broken", "SELECT FROM WHERE"};
static const struct db_statement echo = {
    "echo", "SELECT $1::uuid, $2::text, $3::bytea, $4::bigint, $5::boolean, NULL::bigint,"
            " 7::smallint, 8::integer, '2000-01-01 00:00:01+00'::timestamptz, $6::bytea[]"};

static struct db_pool *pool;

static int setup(void **state)
{
    return postgres_pool_setup(state, 1, &pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pool_teardown(&pool);
}

/* What the connection has outside of any call of ours. */
static void expect_no_tenant_left(void)
{
    const struct db_call call = {&show_after, NULL, 0};
    PGresult *result;

    assert_int_equal(db_run(pool, NULL, DB_DURABLE, &call, 1, &result, NULL), 0);
    assert_string_equal(db_get_text(result, 0, 0), "none");
    PQclear(result);
}

static void test_the_tenant_lasts_for_its_transaction(void **state)
{
    const struct db_call call = {&show_tenant, NULL, 0};
    PGresult *result;

    (void)state;
    assert_int_equal(db_run(pool, &default_scope, DB_RELAXED, &call, 1, &result, NULL), 0);
    assert_string_equal(db_get_text(result, 0, 0), "00000000000070008000000000000001");
    assert_string_equal(db_get_text(result, 0, 1), "off");
    PQclear(result);
    assert_int_equal(db_run(pool, NULL, DB_DURABLE, &call, 1, &result, NULL), 0);
    assert_string_equal(db_get_text(result, 0, 0), "");
    assert_string_equal(db_get_text(result, 0, 1), "on");
    PQclear(result);
    expect_no_tenant_left();
}

static void test_a_failure_undoes_all_and_leaves_no_tenant(void **state)
{
    const struct db_param tenant[] = {db_uuid(&default_tenant)};
    const struct db_param zero[] = {db_int8(0)};
    const struct db_call calls[] = {DB_CALL(make_event, tenant), DB_CALL(divide, zero),
                                    DB_CALL(make_event, tenant)};
    PGresult *results[3] = {NULL};
    struct error err;

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(db_run(pool, &default_scope, DB_DURABLE, calls, 3, results, &err), -1);
        assert_int_equal(err.code, ERR_INTERNAL);
        assert_non_null(strstr(err.message, "22012")); /* division_by_zero */
        expect_no_tenant_left();
    }
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind = 'test'"), 0);
}

static void test_a_statement_that_does_not_parse_is_not_remembered(void **state)
{
    const struct db_call call = {&broken, NULL, 0};
    PGresult *result;
    struct error err;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(db_run(pool, NULL, DB_DURABLE, &call, 1, &result, &err), -1);
        assert_non_null(strstr(err.message, "42601")); /* syntax_error */
    }
    assert_int_equal(db_ping(pool, NULL), 0);
}

static void test_values_go_and_come_back(void **state)
{
    _cleanup_db_array_ struct db_array array;
    struct id id;
    struct db_param params[6];
    const struct db_call call = DB_CALL(echo, params);
    PGresult *result;
    char *copy;
    size_t size;

    (void)state;
    assert_int_equal(id_new(&id, NULL), 0);
    params[0] = db_uuid(&id);
    params[1] = db_text("gr\xc3\xbc\xc3\x9f'\\");
    params[2] = db_bytes("a\0b", 3);
    params[3] = db_int8(INT64_MIN);
    params[4] = db_bool(true);
    db_array_begin(&array, DB_BYTEA);
    db_array_add(&array, "", 0);
    db_array_add(&array, "xy", 2);
    assert_int_equal(db_array_param(&array, &params[5], NULL), 0);
    assert_int_equal(db_run(pool, NULL, DB_DURABLE, &call, 1, &result, NULL), 0);
    const struct id read = db_get_uuid(result, 0, 0);
    assert_true(id_equal(&read, &id));
    assert_string_equal(db_get_text(result, 0, 1), "gr\xc3\xbc\xc3\x9f'\\");
    assert_int_equal(db_copy(result, 0, 2, &copy, &size, NULL), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(copy, "a\0b", 4);
    free(copy);
    assert_true(db_get_int(result, 0, 3) == INT64_MIN);
    assert_true(db_get_bool(result, 0, 4));
    assert_int_equal(db_get_int(result, 0, 5), 0);
    assert_null(db_get_text(result, 0, 5));
    assert_int_equal(db_get_int(result, 0, 6), 7);
    assert_int_equal(db_get_int(result, 0, 7), 8);
    assert_int_equal(db_get_time(result, 0, 8), INT64_C(946684801000000));
    /* PostgreSQL sends an array in the format it takes one. */
    assert_int_equal(PQgetlength(result, 0, 9), array.size);
    assert_memory_equal(PQgetvalue(result, 0, 9), array.data, array.size);
    PQclear(result);
}

static void test_constraints_are_conflicts(void **state)
{
    static const struct db_statement twice = {
        "twice", "INSERT INTO nodes (id, boot_id) SELECT 'secret-name', gen_random_uuid()"
                 " FROM generate_series(1, 2)"};
    const struct db_call call = {&twice, NULL, 0};
    PGresult *result;
    struct error err;

    (void)state;
    assert_int_equal(db_run(pool, NULL, DB_DURABLE, &call, 1, &result, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.message, "23505"));
    assert_null(strstr(err.message, "secret-name"));
}

static void test_a_refused_value_is_not_quoted(void **state)
{
    static const struct db_statement cast = {"cast", "SELECT $1::text::bigint"};
    const struct db_param params[] = {db_text("secret-value")};
    const struct db_call call = DB_CALL(cast, params);
    PGresult *result;
    struct error err;

    (void)state;
    assert_int_equal(db_run(pool, NULL, DB_DURABLE, &call, 1, &result, &err), -1);
    assert_non_null(strstr(err.message, "22P02"));
    assert_null(strstr(err.message, "secret-value"));
}

static void test_a_slow_statement_is_cut_off(void **state)
{
    static const struct db_statement slow = {
        "slow", "SELECT set_config('statement_timeout', '50ms', true), pg_sleep(0)"};
    static const struct db_statement sleep = {"sleep", "SELECT pg_sleep(60)"};
    const struct db_call calls[] = {{&slow, NULL, 0}, {&sleep, NULL, 0}};
    PGresult *results[2];
    struct error err;

    (void)state;
    assert_int_equal(db_run(pool, NULL, DB_DURABLE, calls, 2, results, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(db_ping(pool, NULL), 0);
}

/* --- look-ups that share an exchange, as all wait for the one connection */

enum { READERS = 12, READS = 100 };

struct reader {
    struct id tenant;
    bool breaks;      /* it does what fails, every other time */
    bool may_be_away; /* some other closes the connection */
    bool ok;
    pthread_t thread;
};

static int look_up(const struct reader *reader, const struct db_call *call, PGresult **ret_result,
                   struct error *err)
{
    const struct db_scope scope = {.tenant = reader->tenant};

    return db_run(pool, &scope, DB_LOOKUP, call, 1, ret_result, err);
}

static bool reads_its_tenant(const struct reader *reader)
{
    const struct db_call call = {&show_tenant, NULL, 0};
    _cleanup_pg_result_ PGresult *result = NULL;
    char tenant[ID_TEXT_SIZE];
    struct error err = {0};

    id_format(&reader->tenant, tenant);
    if (look_up(reader, &call, &result, &err) < 0)
        return reader->may_be_away && err.code == ERR_UNAVAILABLE;
    return strcmp(db_get_text(result, 0, 0), tenant) == 0;
}

static bool fails_alone(const struct reader *reader)
{
    const struct db_param zero[] = {db_int8(0)};
    const struct db_call call = DB_CALL(divide, zero);
    _cleanup_pg_result_ PGresult *result = NULL;
    struct error err = {0};

    return look_up(reader, &call, &result, &err) < 0 && err.code == ERR_INTERNAL;
}

static bool closes_the_connection(const struct reader *reader)
{
    static const struct db_statement die = {"die", "SELECT pg_terminate_backend(pg_backend_pid())"};
    const struct db_call call = {&die, NULL, 0};
    _cleanup_pg_result_ PGresult *result = NULL;
    struct error err = {0};

    return look_up(reader, &call, &result, &err) < 0 && err.code == ERR_UNAVAILABLE;
}

static void *read_often(void *context)
{
    struct reader *reader = context;

    reader->ok = true;
    for (int i = 0; i < READS && reader->ok; i++) {
        if (!reader->breaks || i % 2 == 0)
            reader->ok = reads_its_tenant(reader);
        else if (reader->may_be_away)
            reader->ok = closes_the_connection(reader);
        else
            reader->ok = fails_alone(reader);
    }
    return NULL;
}

/* Those of one tenant are one transaction where they come to their turn together. */
static void read_together(size_t tenants, bool may_be_away)
{
    struct reader readers[READERS] = {{.ok = false}};

    for (size_t i = 0; i < READERS; i++) {
        readers[i].tenant = (struct id){{(uint8_t)(i % tenants + 1)}};
        readers[i].breaks = i == 0;
        readers[i].may_be_away = may_be_away;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_often, &readers[i]), 0);
    }
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
    for (size_t i = 0; i < READERS; i++)
        assert_true(readers[i].ok);
    expect_no_tenant_left();
}

static void test_each_look_up_has_its_own_tenant_and_failure(void **state)
{
    (void)state;
    read_together(READERS, false);
    read_together(1, false);
}

static void test_look_ups_end_when_their_connection_does(void **state)
{
    (void)state;
    read_together(READERS, true);
    read_together(1, true);
}

enum { WAITING = 8, WRITES = 20 };

static const struct db_statement share_lock = {"share_lock",
                                               "SELECT pg_advisory_xact_lock_shared(7)"};

static void *wait_for_lock(void *context)
{
    const struct db_call call = {&share_lock, NULL, 0};
    PGresult *result = NULL;

    if (db_run(context, &default_scope, DB_LOOKUP, &call, 1, &result, NULL) < 0)
        return NULL;
    PQclear(result);
    return context;
}

/* However many there are: what changes something does not wait for what only looks. */
static void test_look_ups_that_wait_leave_a_connection(void **state)
{
    const struct db_call call = {&show_tenant, NULL, 0};
    struct db_pool *two = postgres_pool("atoll_app", 2);
    PGresult *result;
    pthread_t threads[WAITING];
    char url[POSTGRES_URL_SIZE];
    PGconn *holder = PQconnectdb(postgres_url("postgres", url));
    void *found;

    (void)state;
    PQclear(PQexec(holder, "SELECT pg_advisory_lock(7)"));
    for (size_t i = 0; i < WAITING; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_lock, two), 0);
    while (postgres_number("SELECT count(*) FROM pg_locks"
                           " WHERE locktype = 'advisory' AND NOT granted") == 0)
        ;
    for (int i = 0; i < WRITES; i++) {
        assert_int_equal(db_run(two, &default_scope, DB_DURABLE, &call, 1, &result, NULL), 0);
        PQclear(result);
    }
    PQfinish(holder);
    for (size_t i = 0; i < WAITING; i++) {
        assert_int_equal(pthread_join(threads[i], &found), 0);
        assert_non_null(found);
    }
    db_pool_free(two);
}

/* --- claims */

static struct db_claim make_claim(const char *key)
{
    return (struct db_claim){.key = key, .tenant = default_tenant, .resource = {{7}}};
}

/* Writes an event under the claim. */
static int write_event(struct db_claim *claim, enum db_commit commit, struct error *err)
{
    const struct db_scope scope = {.tenant = default_tenant, .claim = claim};
    const struct db_param params[] = {db_uuid(&default_tenant)};
    const struct db_call call = DB_CALL(make_event, params);
    PGresult *result = NULL;
    int status = db_run(pool, &scope, commit, &call, 1, &result, err);

    PQclear(result);
    return status;
}

static void expect_rows(long keys, long events)
{
    assert_int_equal(postgres_number("SELECT count(*) FROM idempotency_keys"), keys);
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind = 'test'"), events);
}

static void test_the_first_durable_transaction_writes_the_claim(void **state)
{
    struct db_claim claim = make_claim("once");

    (void)state;
    assert_int_equal(write_event(&claim, DB_RELAXED, NULL), 0);
    assert_int_equal(claim.state, DB_CLAIM_OPEN);
    expect_rows(0, 1);
    assert_int_equal(write_event(&claim, DB_DURABLE, NULL), 0);
    assert_int_equal(claim.state, DB_CLAIM_HELD);
    expect_rows(1, 2);
    assert_int_equal(write_event(&claim, DB_DURABLE, NULL), 0);
    expect_rows(1, 3);
    assert_int_equal(postgres_number("SELECT count(*) FROM idempotency_keys WHERE key = 'once'"
                                     " AND status IS NULL AND resource_id"
                                     " = '07000000-0000-0000-0000-000000000000'"),
                     1);
}

static void test_a_claim_that_is_taken_refuses_every_change(void **state)
{
    struct db_claim first = make_claim("same");
    struct db_claim second = make_claim("same");
    struct error err = {0};

    (void)state;
    assert_int_equal(write_event(&first, DB_DURABLE, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write_event(&second, DB_DURABLE, &err), -1);
        assert_int_equal(err.code, ERR_CONFLICT);
        assert_int_equal(second.state, DB_CLAIM_REFUSED);
    }
    expect_rows(1, 1);
}

static void test_a_claim_goes_with_its_effect(void **state)
{
    struct db_claim claim = make_claim("undone");
    const struct db_scope scope = {.tenant = default_tenant, .claim = &claim};
    const struct db_param params[] = {db_int8(0)};
    const struct db_call call = DB_CALL(divide, params);
    PGresult *result = NULL;

    (void)state;
    assert_int_equal(db_run(pool, &scope, DB_DURABLE, &call, 1, &result, NULL), -1);
    assert_int_equal(claim.state, DB_CLAIM_OPEN);
    expect_rows(0, 0);
    assert_int_equal(write_event(&claim, DB_DURABLE, NULL), 0);
    expect_rows(1, 1);
}

static void test_a_lost_commit_leaves_the_claim_unknown(void **state)
{
    static const struct db_statement die = {"die", "SELECT pg_terminate_backend(pg_backend_pid())"};
    struct db_claim claim = make_claim("unknown");
    const struct db_scope scope = {.tenant = default_tenant, .claim = &claim};
    const struct db_call call = {&die, NULL, 0};
    struct error err = {0};
    PGresult *result = NULL;

    (void)state;
    assert_int_equal(db_run(pool, &scope, DB_DURABLE, &call, 1, &result, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_equal(claim.state, DB_CLAIM_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_tenant_lasts_for_its_transaction),
        TEST(test_a_failure_undoes_all_and_leaves_no_tenant),
        TEST(test_a_statement_that_does_not_parse_is_not_remembered),
        TEST(test_values_go_and_come_back),
        TEST(test_constraints_are_conflicts),
        TEST(test_a_refused_value_is_not_quoted),
        TEST(test_a_slow_statement_is_cut_off),
        TEST(test_each_look_up_has_its_own_tenant_and_failure),
        TEST(test_look_ups_end_when_their_connection_does),
        TEST(test_look_ups_that_wait_leave_a_connection),
        TEST(test_the_first_durable_transaction_writes_the_claim),
        TEST(test_a_claim_that_is_taken_refuses_every_change),
        TEST(test_a_claim_goes_with_its_effect),
        TEST(test_a_lost_commit_leaves_the_claim_unknown),
    };

    return cmocka_run_group_tests_name("db/transaction", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
