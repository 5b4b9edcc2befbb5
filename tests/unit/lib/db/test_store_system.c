#include "lib/db/store_system.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <postgresql/libpq-fe.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct db_pool *app;
static struct db_pool *pool; /* atoll_system */
static struct id processes_place;

static int setup(void **state)
{
    processes_place = (struct id){.bytes = {0}};
    return postgres_pools_setup(state, &app, &pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pools_teardown(&app, &pool);
}

static struct store_claims claim(uint32_t limit)
{
    struct store_claims claims;
    struct error err;

    if (store_claim_expired(pool, limit, &claims, &err) < 0)
        fail_msg("%s", err.message);
    return claims;
}

static void expect_nothing_to_claim(void)
{
    struct store_claims claims = claim(10);

    assert_int_equal(claims.count, 0);
    store_claims_free(&claims);
}

/* Claims what must be the only due sandbox. */
static void expect_claim(const struct id *id, enum store_claim_rule rule, size_t runs)
{
    struct store_claims claims = claim(10);

    assert_int_equal(claims.count, 1);
    assert_true(id_equal(&claims.items[0].id, id));
    assert_true(id_equal(&claims.items[0].tenant, &default_tenant));
    assert_int_equal(claims.items[0].rule, rule);
    assert_int_equal(claims.items[0].count, runs);
    store_claims_free(&claims);
}

static void finish(const struct id *id, bool expected)
{
    struct error err;
    bool finished;

    if (store_claim_finish(pool, id, &finished, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(finished, expected);
}

static void test_an_idle_sandbox_is_claimed_and_erased(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);

    (void)state;
    expect_nothing_to_claim();
    postgres_execute("UPDATE sandboxes SET last_active_at = now() - interval '3601 seconds'");
    expect_claim(&id, STORE_CLAIM_IDLE_TIMEOUT, 0);
    expect_nothing_to_claim();
    finish(&id, true);
    finish(&id, false);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'deleted' AND code IS NULL",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND actor ="
                               " 'worker' AND kind = 'sandbox.deleting'"
                               " AND detail->>'rule' = 'idle_timeout'",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND kind ="
                               " 'sandbox.deleted' AND actor = 'worker'",
                               &id),
                     1);
}

static void test_a_busy_sandbox_is_not_idle(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);

    (void)state;
    (void)begin_run(app, &default_tenant, &run);
    postgres_execute("UPDATE sandboxes SET last_active_at = now() - interval '1 day'");
    expect_nothing_to_claim();
}

static void test_the_lifetime_ends_a_busy_sandbox(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run first = make_run(&id);
    struct store_run second = make_run(&id);

    (void)state;
    (void)begin_run(app, &default_tenant, &first);
    (void)begin_run(app, &default_tenant, &second);
    postgres_execute("UPDATE sandboxes SET expires_at = now()");
    expect_claim(&id, STORE_CLAIM_MAX_LIFETIME, 2);
}

static void test_an_unfinished_deletion_is_claimed_after_a_while(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);
    struct store_deletion deletion;

    (void)state;
    (void)begin_run(app, &default_tenant, &run);
    assert_int_equal(
        store_sandbox_delete_begin(app, &default_scope, &id, &test_origin, &deletion, NULL), 0);
    store_deletion_free(&deletion);
    expect_nothing_to_claim();
    postgres_execute("UPDATE sandboxes SET last_active_at = now() - interval '31 seconds'");
    expect_claim(&id, STORE_CLAIM_UNFINISHED, 1);
    expect_nothing_to_claim();
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind = 'sandbox.deleting'"),
                     1);
}

struct claimer {
    struct store_claims claims;
};

static void *claim_all(void *context)
{
    struct claimer *claimer = context;

    return store_claim_expired(pool, 100, &claimer->claims, NULL) == 0 ? context : NULL;
}

static void test_workers_share_the_claims(void **state)
{
    struct claimer claimers[4] = {{{0}}};
    pthread_t threads[4];
    size_t total = 0;

    (void)state;
    for (int i = 0; i < 60; i++)
        (void)make_sandbox(app, &default_tenant);
    postgres_execute("UPDATE sandboxes SET expires_at = now()");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, claim_all, &claimers[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        void *result;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
        total += claimers[i].claims.count;
        store_claims_free(&claimers[i].claims);
    }
    assert_int_equal(total, 60);
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind = 'sandbox.deleting'"),
                     60);
}

static uint32_t mark_lost(void)
{
    struct error err;
    uint32_t count;

    if (store_mark_lost_runs(pool, 100, &count, &err) < 0)
        fail_msg("%s", err.message);
    return count;
}

static void expect_stopped(const struct id *id)
{
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'stopped' AND active_runs = 0 AND last_run_state = 'lost'",
                               id),
                     1);
}

static void test_a_restarted_server_loses_its_runs(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run first = make_run(&id);
    struct store_run second = make_run(&id);
    struct store_run fresh = make_run(&id);
    struct id boot;

    (void)state;
    assert_int_equal(id_new(&boot, NULL), 0);
    assert_int_equal(store_node_register(app, "node-1", &first.boot_id, NULL), 0);
    (void)begin_run(app, &default_tenant, &first);
    (void)begin_run(app, &default_tenant, &second);
    assert_int_equal(mark_lost(), 0);
    assert_int_equal(store_node_register(app, "node-1", &boot, NULL), 0);
    fresh.boot_id = boot;
    (void)begin_run(app, &default_tenant, &fresh);
    assert_int_equal(mark_lost(), 2);
    assert_int_equal(mark_lost(), 0);
    assert_int_equal(number_of("SELECT active_runs FROM sandboxes WHERE id = '%s'", &id), 1);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND kind ="
                               " 'run.lost' AND detail->>'rule' = 'server_restarted'",
                               &id),
                     2);
}

static void test_a_run_a_minute_past_its_deadline_is_lost(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);

    (void)state;
    (void)begin_run(app, &default_tenant, &run);
    postgres_execute("UPDATE processes SET deadline_at = now() - interval '30 seconds'");
    assert_int_equal(mark_lost(), 0);
    postgres_execute("UPDATE processes SET deadline_at = now() - interval '61 seconds'");
    assert_int_equal(mark_lost(), 1);
    expect_stopped(&id);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE sandbox_id = '%s' AND state ="
                               " 'lost' AND ended_at IS NOT NULL AND exit_code IS NULL",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND kind ="
                               " 'sandbox.stopped' AND actor = 'worker'",
                               &id),
                     1);
}

static bool is_orphan(const struct id *id, uint32_t generation, uint64_t age_s)
{
    struct store_live live[2] = {
        {.id = default_tenant, .generation = 1, .age_usec = 1},
        {.id = *id, .generation = generation, .age_usec = age_s * 1000000}};
    struct error err;

    if (store_find_orphans(pool, live, 2, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(live[0].orphan); /* no such sandbox */
    return live[1].orphan;
}

static void test_what_no_live_run_owns_is_an_orphan(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);
    struct store_run_end end;
    uint32_t generation;

    (void)state;
    generation = begin_run(app, &default_tenant, &run);
    assert_false(is_orphan(&id, generation, 1000));
    end = completed(&run, generation);
    assert_int_equal(store_run_end(app, &default_scope, &end, &test_origin, NULL), 0);
    assert_true(is_orphan(&id, generation, 1000));
}

static void test_a_generation_that_a_crash_forgot_has_its_time(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);

    (void)state;
    /* Its time limit is 30 s, and a minute's grace. */
    assert_false(is_orphan(&id, 1, 89));
    assert_true(is_orphan(&id, 1, 91));
    assert_true(is_orphan(&id, UINT32_MAX, 91));
}

static void test_a_run_of_a_sandbox_that_is_deleted_is_an_orphan(void **state)
{
    struct id id = make_sandbox(app, &default_tenant);
    struct store_run run = make_run(&id);
    uint32_t generation = begin_run(app, &default_tenant, &run);

    (void)state;
    postgres_execute("UPDATE sandboxes SET expires_at = now()");
    expect_claim(&id, STORE_CLAIM_MAX_LIFETIME, 1);
    finish(&id, true);
    assert_true(is_orphan(&id, generation, 11));
    assert_true(is_orphan(&id, generation + 1, 11));
}

static struct store_retained retain(uint32_t age_s)
{
    const struct store_ages ages = {.ended_s = age_s, .events_s = 2 * age_s};
    struct store_retained retained;
    struct error err;

    if (store_retention(pool, &ages, &processes_place, &retained, &err) < 0)
        fail_msg("%s", err.message);
    return retained;
}

static void test_retention_removes_what_is_old_and_nothing_else(void **state)
{
    struct id ids[] = {make_sandbox(app, &default_tenant), make_sandbox(app, &default_tenant)};
    struct store_run runs[] = {make_run(&ids[0]), make_run(&ids[1]), make_run(&ids[1])};
    struct store_retained retained;
    struct store_deletion deletion;
    struct store_run_end end;

    (void)state;
    end = completed(&runs[0], begin_run(app, &default_tenant, &runs[0]));
    assert_int_equal(store_run_end(app, &default_scope, &end, &test_origin, NULL), 0);
    assert_int_equal(
        store_sandbox_delete_begin(app, &default_scope, &ids[0], &test_origin, &deletion, NULL), 0);
    end = completed(&runs[1], begin_run(app, &default_tenant, &runs[1]));
    assert_int_equal(store_run_end(app, &default_scope, &end, &test_origin, NULL), 0);
    (void)begin_run(app, &default_tenant, &runs[2]);
    retained = retain(100);
    assert_int_equal(retained.tombstones + retained.processes + retained.events, 0);
    postgres_execute("UPDATE sandboxes SET deleted_at = now() - interval '101 seconds'"
                     " WHERE state = 'deleted'");
    postgres_execute("UPDATE processes SET id = ('0190' || substr(id::text, 5))::uuid,"
                     " ended_at = now() - interval '201 seconds'"
                     " WHERE ended_at IS NOT NULL AND generation = 1");
    postgres_execute("UPDATE events SET at = now() - interval '101 seconds'");
    postgres_execute("UPDATE events SET at = now() - interval '201 seconds'"
                     " WHERE kind = 'sandbox.created'");
    postgres_execute("INSERT INTO idempotency_keys (tenant_id, key, fingerprint, created_at)"
                     " SELECT id, k, sha256('x'), now() - age * interval '1 hour' FROM tenants,"
                     " (VALUES ('new', 23), ('old', 25)) keys (k, age)");
    retained = retain(100);
    assert_int_equal(retained.tombstones, 1);
    assert_int_equal(retained.processes, 2);
    assert_int_equal(retained.events, 2);
    assert_int_equal(retained.idempotency_keys, 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM idempotency_keys WHERE key = 'new'"), 1);
    assert_false(retained.full);
    assert_int_equal(postgres_number("SELECT count(*) FROM sandboxes"), 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM processes"), 1);
    assert_true(postgres_number("SELECT count(*) FROM events") > 0);
}

/* A delete of the project, which removes its tombstones too. */
static void test_retention_waits_for_nobody(void **state)
{
    struct id ids[] = {make_sandbox(app, &default_tenant), make_sandbox(app, &default_tenant)};
    char url[POSTGRES_URL_SIZE];
    PGconn *other;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct store_deletion deletion;

        assert_int_equal(
            store_sandbox_delete_begin(app, &default_scope, &ids[i], &test_origin, &deletion, NULL),
            0);
    }
    postgres_execute("UPDATE sandboxes SET deleted_at = now() - interval '101 seconds'");
    other = PQconnectdb(postgres_url("postgres", url));
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "SELECT FROM sandboxes ORDER BY id LIMIT 1 FOR UPDATE"));
    assert_int_equal(PQtransactionStatus(other), PQTRANS_INTRANS);
    assert_int_equal(retain(100).tombstones, 1);
    PQclear(PQexec(other, "ROLLBACK")); /* answered when its locks are gone, unlike PQfinish() */
    PQfinish(other);
    assert_int_equal(retain(100).tombstones, 1);
}

/* Ten thousand that live on, or ended lately, and behind them one that ended long ago. */
static void test_old_processes_are_found_behind_those_that_live(void **state)
{
    (void)state;
    postgres_execute(
        "INSERT INTO processes (id, tenant_id, sandbox_id, generation, node_id, boot_id, state,"
        " deadline_at, ended_at) SELECT ('0190' || lpad(to_hex(i), 28, '0'))::uuid,"
        " '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 1, 'n', gen_random_uuid(),"
        " CASE WHEN i % 2 = 1 OR i > 10000 THEN 'completed' ELSE 'running' END, now(),"
        " CASE WHEN i > 10000 THEN now() - interval '201 seconds'"
        " WHEN i % 2 = 1 THEN now() END FROM generate_series(1, 10001) i");
    assert_int_equal(retain(100).processes, 0);
    assert_int_equal(retain(100).processes, 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM processes"), 10000);
    postgres_execute(
        "UPDATE processes SET state = 'lost', ended_at = now() - interval '201 seconds'"
        " WHERE id = '01900000-0000-0000-0000-000000000002'");
    assert_int_equal(retain(100).processes, 1);
}

/* Its node never came back; of the container not even the tombstone is left. */
static void test_open_processes_of_a_container_that_is_gone_are_old_too(void **state)
{
    struct id ids[] = {make_running_container(app, &default_tenant),
                       make_running_container(app, &default_tenant)};
    char text[ID_TEXT_SIZE];
    char sql[128];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct store_process_new process = simple_process(&ids[i], STORE_PROCESS_DETACHED);

        (void)begin_process(app, &process);
    }
    assert_int_equal(retain(100).processes, 0);
    postgres_execute("UPDATE processes SET id = ('0190' || substr(id::text, 5))::uuid");
    id_format(&ids[0], text);
    (void)snprintf(sql, sizeof(sql), "DELETE FROM sandboxes WHERE id <> '%s'", text);
    postgres_execute(sql);
    assert_int_equal(retain(100).processes, 1);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE sandbox_id = '%s'", &ids[0]),
                     1);
}

static long starts(void)
{
    return postgres_number("SELECT count(*) FROM events WHERE kind = 'sandbox.running'");
}

/* A container that lives longer than events are kept. */
static void test_a_start_is_kept_until_its_end_is_old(void **state)
{
    struct id id = make_running_container(app, &default_tenant);

    (void)state;
    postgres_execute("UPDATE events SET at = now() - interval '301 seconds'");
    assert_int_equal(retain(100).events, 1);
    assert_int_equal(starts(), 1);
    step_container(app, &default_tenant, &id, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    assert_int_equal(retain(100).events, 0);
    assert_int_equal(starts(), 1);
    postgres_execute("UPDATE events SET at = now() - interval '201 seconds'");
    assert_int_equal(retain(100).events, 2);
    assert_int_equal(starts(), 0);
}

/* No event tells how it ended. */
static void test_a_start_of_a_container_that_is_gone_is_not_kept(void **state)
{
    (void)state;
    (void)make_running_container(app, &default_tenant);
    postgres_execute("UPDATE events SET at = now() - interval '301 seconds'");
    postgres_execute("DELETE FROM sandboxes");
    assert_int_equal(retain(100).events, 2);
    assert_int_equal(starts(), 0);
}

static void test_partitions_come_and_go(void **state)
{
    struct store_retained retained;

    (void)state;
    postgres_execute("CREATE TABLE samples_2020010100 PARTITION OF samples"
                     " FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-01 01:00+00')");
    retained = retain(3600);
    assert_int_equal(retained.sample_partitions, 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM pg_class WHERE relname ="
                                     " 'samples_2020010100'"),
                     0);
    /* Of this hour and the next 24; another hour may have begun since the first were made. */
    assert_in_range(
        postgres_number("SELECT count(*) FROM pg_inherits WHERE inhparent = 'samples'::regclass"),
        25, 26);
    assert_int_equal(retain(3600).sample_partitions, 0);
}

/* PostgreSQL has not so many locks that all could be dropped together. */
static void test_many_partitions_go_the_oldest_first(void **state)
{
    struct store_retained retained;

    (void)state;
    postgres_execute("DO $$ BEGIN FOR i IN 0..100 LOOP EXECUTE format('CREATE TABLE samples_%s"
                     " PARTITION OF samples FOR VALUES FROM (%L) TO (%L)',"
                     " to_char(timestamp '2020-01-01' + i * interval '1 hour', 'YYYYMMDDHH24'),"
                     " timestamptz '2020-01-01 00:00+00' + i * interval '1 hour',"
                     " timestamptz '2020-01-01 01:00+00' + i * interval '1 hour'); END LOOP;"
                     " END $$");
    retained = retain(3600);
    assert_int_equal(retained.sample_partitions, 100);
    assert_true(retained.full);
    assert_int_equal(postgres_number("SELECT count(*) FROM pg_class WHERE relname ="
                                     " 'samples_2020010504'"),
                     1);
    retained = retain(3600);
    assert_int_equal(retained.sample_partitions, 1);
    assert_false(retained.full);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_idle_sandbox_is_claimed_and_erased),
        TEST(test_a_busy_sandbox_is_not_idle),
        TEST(test_the_lifetime_ends_a_busy_sandbox),
        TEST(test_an_unfinished_deletion_is_claimed_after_a_while),
        TEST(test_workers_share_the_claims),
        TEST(test_a_restarted_server_loses_its_runs),
        TEST(test_a_run_a_minute_past_its_deadline_is_lost),
        TEST(test_what_no_live_run_owns_is_an_orphan),
        TEST(test_a_generation_that_a_crash_forgot_has_its_time),
        TEST(test_a_run_of_a_sandbox_that_is_deleted_is_an_orphan),
        TEST(test_retention_removes_what_is_old_and_nothing_else),
        TEST(test_retention_waits_for_nobody),
        TEST(test_old_processes_are_found_behind_those_that_live),
        TEST(test_open_processes_of_a_container_that_is_gone_are_old_too),
        TEST(test_a_start_is_kept_until_its_end_is_old),
        TEST(test_a_start_of_a_container_that_is_gone_is_not_kept),
        TEST(test_partitions_come_and_go),
        TEST(test_many_partitions_go_the_oldest_first),
    };

    return cmocka_run_group_tests_name("db/store_system", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
