#include "lib/db/store_run.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct db_pool *pool;

static int setup(void **state)
{
    return postgres_pool_setup(state, 8, &pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pool_teardown(&pool);
}

static struct sandbox_record get(const struct id *id)
{
    struct sandbox_record record;

    assert_int_equal(store_sandbox_get(pool, &default_scope, id, &record, NULL), 0);
    return record;
}

static void expect(const struct id *id, enum sandbox_state state, uint32_t runs,
                   uint32_t generation)
{
    struct sandbox_record record = get(id);

    assert_string_equal(sandbox_state_name(record.state), sandbox_state_name(state));
    assert_int_equal(record.active_runs, runs);
    assert_int_equal(record.generation, generation);
    sandbox_record_free(&record);
}

static void end_run(const struct store_run *run, uint32_t generation)
{
    const struct store_run_end end = completed(run, generation);
    struct error err;

    if (store_run_end(pool, &default_scope, &end, &test_origin, &err) < 0)
        fail_msg("%s", err.message);
}

static void test_begin_returns_the_definition(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct sandbox_file files[] = {
        {.path = (char *)"/b", .content = (char *)"two\0", .size = 4, .executable = true},
        {.path = (char *)"/a", .content = (char *)"", .size = 0},
    };
    struct store_run run = make_run(&id);
    struct sandbox_definition definition;
    uint32_t generation;

    (void)state;
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                             &(struct sandbox_files){files, 2}, &test_origin, NULL),
                     0);
    assert_int_equal(
        store_run_begin(pool, &default_scope, &run, &test_origin, &generation, &definition, NULL),
        0);
    assert_int_equal(generation, 1);
    assert_string_equal(definition.runtime, "shell");
    assert_int_equal(definition.code_size, 6);
    assert_memory_equal(definition.code, "echo 1", 6);
    assert_null(definition.entry_point);
    assert_string_equal(definition.env_json, "{\"NAME\": \"value\"}");
    assert_int_equal(definition.timeout_ms, 30000);
    assert_int_equal(definition.memory_limit_mb, 64);
    assert_int_equal(definition.files.count, 2);
    assert_string_equal(definition.files.items[0].path, "/a");
    assert_int_equal(definition.files.items[0].size, 0);
    assert_false(definition.files.items[0].executable);
    assert_int_equal(definition.files.items[1].size, 4);
    assert_memory_equal(definition.files.items[1].content, "two\0", 4);
    assert_true(definition.files.items[1].executable);
    sandbox_definition_free(&definition);
    expect(&id, SANDBOX_RUNNING, 1, 1);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE sandbox_id = '%s' AND"
                               " state = 'running' AND node_id = 'node-1' AND generation = 1 AND"
                               " deadline_at = started_at + interval '30 seconds'",
                               &id),
                     1);
}

static void test_end_returns_to_stopped(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run first = make_run(&id);
    struct store_run second = make_run(&id);
    struct sandbox_record record;

    (void)state;
    assert_int_equal(begin_run(pool, &default_tenant, &first), 1);
    assert_int_equal(begin_run(pool, &default_tenant, &second), 2);
    end_run(&first, 1);
    expect(&id, SANDBOX_RUNNING, 1, 2);
    end_run(&second, 2);
    expect(&id, SANDBOX_STOPPED, 0, 2);
    record = get(&id);
    assert_true(record.has_last_run);
    assert_int_equal(record.last_run_state, PROCESS_COMPLETED);
    sandbox_record_free(&record);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND kind IN"
                               " ('sandbox.running', 'sandbox.stopped')",
                               &id),
                     2);
}

static void test_every_part_of_an_outcome_is_kept(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run run = make_run(&id);
    struct store_run_end end = completed(&run, begin_run(pool, &default_tenant, &run));

    (void)state;
    end.state = PROCESS_KILLED;
    end.exit_code = -1;
    end.signal = 9;
    end.timed_out = true;
    end.oom_killed = true;
    end.truncated = true;
    end.memory_peak_bytes = -1;
    assert_int_equal(store_run_end(pool, &default_scope, &end, &test_origin, NULL), 0);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s' AND state = 'killed'"
                               " AND exit_code IS NULL AND signal = 9 AND timed_out AND oom_killed"
                               " AND truncated AND cpu_usec = 1200 AND memory_peak_bytes IS NULL"
                               " AND wall_usec = 5000 AND ended_at >= started_at",
                               &run.id),
                     1);
}

static void test_an_end_twice_counts_once(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run first = make_run(&id);
    struct store_run second = make_run(&id);
    struct store_run_end end;

    (void)state;
    end = completed(&first, begin_run(pool, &default_tenant, &first));
    (void)begin_run(pool, &default_tenant, &second);
    assert_int_equal(store_run_end(pool, &default_scope, &end, &test_origin, NULL), 0);
    end.state = PROCESS_FAILED;
    end.exit_code = 1;
    assert_int_equal(store_run_end(pool, &default_scope, &end, &test_origin, NULL), 0);
    expect(&id, SANDBOX_RUNNING, 1, 2);
    assert_int_equal(
        number_of("SELECT count(*) FROM processes WHERE id = '%s' AND state = 'completed'",
                  &first.id),
        1);
}

static void test_the_truth_replaces_lost(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run run = make_run(&id);

    (void)state;
    (void)begin_run(pool, &default_tenant, &run);
    postgres_execute("UPDATE processes SET state = 'lost', ended_at = now()");
    postgres_execute("UPDATE sandboxes SET active_runs = 0, state = 'stopped'");
    end_run(&run, 1);
    expect(&id, SANDBOX_STOPPED, 0, 1);
    assert_int_equal(
        number_of("SELECT count(*) FROM processes WHERE id = '%s' AND state = 'completed'",
                  &run.id),
        1);
}

static void test_a_begin_that_a_crash_forgot_is_made_good(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run run = make_run(&id);
    struct store_run next;

    (void)state;
    end_run(&run, 5);
    end_run(&run, 5);
    expect(&id, SANDBOX_STOPPED, 0, 5);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s' AND state ="
                               " 'completed' AND generation = 5",
                               &run.id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM usage_intervals u JOIN sandboxes s"
                               " ON s.id = u.sandbox_id AND s.project_id = u.project_id"
                               " AND s.memory_limit_mb = u.memory_mb WHERE s.id = '%s'",
                               &id),
                     1);
    next = make_run(&id);
    assert_int_equal(begin_run(pool, &default_tenant, &next), 6);
}

static void test_a_begin_in_doubt_is_ended_where_it_was_committed(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run runs[] = {make_run(&id), make_run(&id)};
    const struct db_scope scope = {.tenant = default_tenant};

    (void)state;
    (void)begin_run(pool, &default_tenant, &runs[0]);
    for (size_t i = 0; i < 2; i++) {
        struct store_run_end end = completed(&runs[i], 0);

        end.in_doubt = true;
        end.state = PROCESS_FAILED;
        assert_int_equal(store_run_end(pool, &scope, &end, &test_origin, NULL), 0);
    }
    expect(&id, SANDBOX_STOPPED, 0, 1);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE sandbox_id = '%s'"
                               " AND state = 'failed' AND ended_at IS NOT NULL",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE sandbox_id = '%s'", &id), 1);
}

static void test_begin_needs_a_sandbox_that_may_run(void **state)
{
    static const char *const unfit[] = {"creating", "paused", "failed", "deleting"};
    const struct db_scope other = {.tenant = make_tenant("other")};
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run run = make_run(&id);
    struct sandbox_definition definition;
    struct error err;
    uint32_t generation;

    (void)state;
    assert_int_equal(
        store_run_begin(pool, &other, &run, &test_origin, &generation, &definition, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    for (size_t i = 0; i < 4; i++) {
        char sql[160];

        (void)snprintf(sql, sizeof(sql),
                       "SET session_replication_role = replica;"
                       "UPDATE sandboxes SET state = '%s'",
                       unfit[i]);
        postgres_execute(sql);
        assert_int_equal(store_run_begin(pool, &default_scope, &run, &test_origin, &generation,
                                         &definition, &err),
                         -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
    }
    assert_int_equal(postgres_number("SELECT count(*) FROM processes"), 0);
    assert_int_equal(postgres_number("SELECT sum(generation + active_runs) FROM sandboxes"), 0);
}

enum { THREADS = 8, RUNS = 25 };

static void *run_often(void *context)
{
    const struct id *id = context;

    for (int i = 0; i < RUNS; i++) {
        struct store_run run = {.sandbox = *id, .node_id = "node-1", .deadline_ms = 1000};
        struct sandbox_definition definition;
        struct store_run_end end;
        uint32_t generation;

        if (id_new(&run.id, NULL) < 0 || store_run_begin(pool, &default_scope, &run, &test_origin,
                                                         &generation, &definition, NULL) < 0)
            return NULL;
        sandbox_definition_free(&definition);
        end = completed(&run, generation);
        if (store_run_end(pool, &default_scope, &end, &test_origin, NULL) < 0)
            return NULL;
    }
    return context;
}

static void test_concurrent_runs_are_counted_exactly(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_often, &id), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *result;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
    expect(&id, SANDBOX_STOPPED, 0, THREADS * RUNS);
    assert_int_equal(postgres_number("SELECT count(DISTINCT generation) FROM processes"),
                     THREADS * RUNS);
    /* Every start of a state has its end. */
    assert_int_equal(postgres_number("SELECT count(*) FILTER (WHERE kind = 'sandbox.running') -"
                                     " count(*) FILTER (WHERE kind = 'sandbox.stopped')"
                                     " FROM events"),
                     0);
}

static void test_delete_names_the_live_runs(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run runs[] = {make_run(&id), make_run(&id), make_run(&id)};
    struct store_deletion deletion;
    struct sandbox_definition definition;
    struct error err;
    uint32_t generation;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        (void)begin_run(pool, &default_tenant, &runs[i]);
    end_run(&runs[1], 2);
    assert_int_equal(
        store_sandbox_delete_begin(pool, &default_scope, &id, &test_origin, &deletion, NULL), 0);
    assert_false(deletion.done);
    assert_int_equal(deletion.count, 2);
    assert_int_equal(deletion.generations[0], 1);
    assert_int_equal(deletion.generations[1], 3);
    store_deletion_free(&deletion);
    assert_int_equal(store_run_begin(pool, &default_scope, &runs[1], &test_origin, &generation,
                                     &definition, &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    end_run(&runs[0], 1);
    expect(&id, SANDBOX_DELETING, 1, 3);
    assert_int_equal(store_sandbox_delete_finish(pool, &default_scope, &id, &test_origin, NULL), 0);
    /* The run that the delete killed reports after its sandbox is gone. */
    end_run(&runs[2], 3);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'deleted' AND active_runs = 0",
                               &id),
                     1);
    assert_int_equal(postgres_number("SELECT count(*) FROM processes WHERE ended_at IS NULL"), 0);
    assert_int_equal(postgres_number("SELECT count(*) FROM events WHERE kind = 'sandbox.deleted'"),
                     1);
}

/* Whoever comes first: a run that began is named by the delete, or it never began. */
static void test_a_run_that_races_a_delete_is_seen(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct delete_race race = {.pool = pool, .id = make_sandbox(pool, &default_tenant)};
        struct store_run run = make_run(&race.id);
        struct sandbox_definition definition;
        uint32_t generation;
        pthread_t thread;
        void *result;
        int status;

        assert_int_equal(pthread_create(&thread, NULL, run_delete_race, &race), 0);
        status = store_run_begin(pool, &default_scope, &run, &test_origin, &generation, &definition,
                                 NULL);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_non_null(result);
        if (status == 0)
            sandbox_definition_free(&definition);
        assert_int_equal(race.deletion.count, status == 0 ? 1 : 0);
        assert_int_equal(race.deletion.done, status != 0);
        store_deletion_free(&race.deletion);
    }
}

static void test_a_node_has_one_current_boot(void **state)
{
    struct id boots[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(id_new(&boots[i], NULL), 0);
        assert_int_equal(store_node_register(pool, "node-1", &boots[i], NULL), 0);
    }
    assert_int_equal(number_of("SELECT count(*) FROM nodes WHERE boot_id = '%s'", &boots[1]), 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM nodes"), 1);
}

/* A backend hands in its counts before it leaves pg_stat_activity. */
static void wait_for_counts_of(const char *role)
{
    _cleanup_free_ char *sql = NULL;

    assert_true(asprintf(&sql, "SELECT count(*) FROM pg_stat_activity WHERE usename = '%s'", role) >
                0);
    while (postgres_number(sql) > 0)
        continue;
}

/* Plans are made once, on tables that are still empty: each must go by keys all the same. */
static void test_no_statement_of_a_cycle_scans_a_table(void **state)
{
    struct sandbox_file files[] = {{.path = (char *)"/a", .content = (char *)"x", .size = 1}};
    struct store_deletion deletion;

    (void)state;
    wait_for_counts_of("atoll_owner"); /* the migration's: making an index scans its table */
    postgres_execute("SELECT pg_stat_reset()");
    for (int i = 0; i < 10; i++) {
        struct id id = make_sandbox(pool, &default_tenant);
        struct store_run run = make_run(&id);
        struct sandbox_record record;

        /* Without files the delete goes another way. */
        if (i % 2 == 0)
            assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                                     &(struct sandbox_files){files, 1},
                                                     &test_origin, NULL),
                             0);
        end_run(&run, begin_run(pool, &default_tenant, &run));
        record = get(&id);
        sandbox_record_free(&record);
        assert_int_equal(
            store_sandbox_delete_begin(pool, &default_scope, &id, &test_origin, &deletion, NULL),
            0);
        assert_true(deletion.done);
    }
    db_pool_free(pool);
    pool = NULL;
    wait_for_counts_of("atoll_app");
    assert_int_equal(postgres_number("SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname"
                                     " IN ('sandboxes', 'processes', 'sandbox_files')"),
                     0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_begin_returns_the_definition),
        TEST(test_end_returns_to_stopped),
        TEST(test_every_part_of_an_outcome_is_kept),
        TEST(test_an_end_twice_counts_once),
        TEST(test_the_truth_replaces_lost),
        TEST(test_a_begin_that_a_crash_forgot_is_made_good),
        TEST(test_a_begin_in_doubt_is_ended_where_it_was_committed),
        TEST(test_begin_needs_a_sandbox_that_may_run),
        TEST(test_concurrent_runs_are_counted_exactly),
        TEST(test_delete_names_the_live_runs),
        TEST(test_a_run_that_races_a_delete_is_seen),
        TEST(test_a_node_has_one_current_boot),
        TEST(test_no_statement_of_a_cycle_scans_a_table),
    };

    return cmocka_run_group_tests_name("db/store_run", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
