/* Quotas: what is counted, what is refused, and that no timing gets past a limit. */
#include "lib/db/admission.h"
#include "lib/db/store_once.h"
#include "lib/db/store_run.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { RACERS = 100, RACE_LIMIT = 10, RACE_CONNECTIONS = 32 };

static struct db_pool *pool;

static int setup(void **state)
{
    return postgres_pool_setup(state, RACE_CONNECTIONS, &pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pool_teardown(&pool);
}

#define DEFAULT_TENANT_TEXT "'00000000-0000-7000-8000-000000000001'"
#define SET_QUOTA(columns, values)                                                                 \
    postgres_execute("INSERT INTO quotas (tenant_id, " columns ") VALUES (" DEFAULT_TENANT_TEXT    \
                     ", " values ")")

/* A container of the default project with 100 of everything, in this state. */
static void add_container(const char *state)
{
    char sql[1024];

    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO sandboxes (id, tenant_id, project_id, state, kind, image, env,"
                   " cpu_milli, memory_limit_mb, disk_mb, pids_max, idle_timeout_s, expires_at,"
                   " deleted_at) SELECT atoll_new_id(), tenant_id, id, '%s', 'container', 'base',"
                   " '{}', 100, 100, 100, 100, 60, now() + interval '1 hour',"
                   " CASE '%s' WHEN 'deleted' THEN now() END FROM projects"
                   " WHERE is_default AND tenant_id = " DEFAULT_TENANT_TEXT,
                   state, state);
    postgres_execute(sql);
}

static int try_run(const struct id *sandbox, struct error *err)
{
    struct store_run run = make_run(sandbox);
    struct sandbox_definition definition;
    uint32_t generation;

    run.cpu_milli = 500;
    run.pids_max = 50;
    if (store_run_begin(pool, &default_scope, &run, &test_origin, &generation, &definition, err) <
        0)
        return -1;
    sandbox_definition_free(&definition);
    return 0;
}

static int try_create(const struct db_scope *scope, const struct admission_need *need,
                      struct error *err)
{
    struct admission_params params;
    const struct db_call call = admission_create(&params, &scope->tenant, NULL, need);
    _cleanup_pg_result_ PGresult *result = NULL;

    return db_run(pool, scope, DB_RELAXED, &call, 1, &result, err);
}

static void test_without_a_quota_everything_is_admitted(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);

    (void)state;
    assert_int_equal(try_run(&id, NULL), 0);
    assert_int_equal(try_run(&id, NULL), 0);
}

static void test_a_refusal_names_the_limit_and_is_an_event(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct error err;

    (void)state;
    SET_QUOTA("sandboxes", "1");
    assert_int_equal(try_run(&id, NULL), 0);
    assert_int_equal(try_run(&id, &err), -1);
    assert_int_equal(err.code, ERR_QUOTA);
    assert_int_equal(err.limit, 1);
    assert_int_equal(err.used, 1);
    assert_int_equal(err.retry_after_s, 1);
    assert_string_equal(err.message,
                        "quota 'sandboxes' of the tenant: 1 of 1 in use, and this needs 1");
    assert_int_equal(number_of("SELECT count(*) FROM events e JOIN sandboxes s ON"
                               " e.sandbox_id = s.id AND e.project_id = s.project_id"
                               " WHERE s.id = '%s' AND e.kind = 'admission.refused'"
                               " AND e.actor = 'tester' AND e.request_id = 'request-1'"
                               " AND e.detail->>'limit' = '1' AND e.detail->>'used' = '1'",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT active_runs FROM sandboxes WHERE id = '%s'", &id), 1);
}

static void test_the_end_of_a_run_frees_what_it_held(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct store_run run = make_run(&id);
    struct store_run_end end;

    (void)state;
    SET_QUOTA("sandboxes", "1");
    end = completed(&run, begin_run(pool, &default_tenant, &run));
    assert_int_equal(try_run(&id, NULL), -1);
    assert_int_equal(store_run_end(pool, &default_scope, &end, &test_origin, NULL), 0);
    assert_int_equal(try_run(&id, NULL), 0);
}

static void test_each_limit_is_held(void **state)
{
    static const struct {
        const char *quota; /* one less than two runs need */
        const char *message;
    } limits[] = {
        {"cpu_milli", "quota 'cpu_milli' of the tenant: 500 of 999 in use, and this needs 500"},
        {"memory_mb", "quota 'memory_mb' of the tenant: 64 of 127 in use, and this needs 64"},
        {"processes", "quota 'processes' of the tenant: 50 of 99 in use, and this needs 50"},
        {"creates_per_minute",
         "quota 'creates_per_minute' of the tenant: 1 of 1 in use, and this needs 1"},
    };
    static const char *const most[] = {"999", "127", "99", "1"};

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct id id = make_sandbox(pool, &default_tenant);
        struct error err;
        char sql[256];

        (void)snprintf(sql, sizeof(sql),
                       "UPDATE processes SET state = 'lost', ended_at = now() WHERE ended_at IS"
                       " NULL; DELETE FROM quotas; INSERT INTO quotas (tenant_id, %s) VALUES"
                       " (" DEFAULT_TENANT_TEXT ", %s)",
                       limits[i].quota, most[i]);
        postgres_execute(sql);
        assert_int_equal(try_run(&id, NULL), 0);
        assert_int_equal(try_run(&id, &err), -1);
        assert_string_equal(err.message, limits[i].message);
    }
    (void)state;
}

static void
test_containers_count_while_they_are_up_and_their_disks_until_they_are_gone(void **state)
{
    static const char *const states[] = {"creating", "running",  "paused", "stopped",
                                         "failed",   "deleting", "deleted"};
    const struct db_scope scope = {.tenant = default_tenant};
    const struct admission_need running = {.sandboxes = 1};
    const struct admission_need disk = {.disk_mb = 1};
    struct error err;

    (void)state;
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        add_container(states[i]);
    SET_QUOTA("sandboxes, disk_mb", "3, 600");
    assert_int_equal(try_create(&scope, &running, &err), -1);
    assert_int_equal(err.used, 3);
    assert_int_equal(try_create(&scope, &disk, &err), -1);
    assert_int_equal(err.used, 600);
    postgres_execute("UPDATE quotas SET sandboxes = 4, disk_mb = 601");
    assert_int_equal(try_create(&scope, &running, &err), 0);
    assert_int_equal(try_create(&scope, &disk, &err), 0);
}

static void test_a_start_is_admitted_by_what_the_container_gets(void **state)
{
    const struct admission_need need = {.creates = 0};
    struct admission_params params;
    struct id stopped, up;
    PGresult *result = NULL;
    struct error err;

    (void)state;
    add_container("stopped");
    add_container("running");
    _cleanup_free_ char *first = postgres_value("SELECT id FROM sandboxes WHERE state = 'stopped'");
    _cleanup_free_ char *second =
        postgres_value("SELECT id FROM sandboxes WHERE state = 'running'");
    assert_true(id_parse(first, &stopped) && id_parse(second, &up));
    SET_QUOTA("memory_mb", "199");
    struct db_call call = admission_start(&params, &default_tenant, &stopped, &need);
    assert_int_equal(db_run(pool, &default_scope, DB_RELAXED, &call, 1, &result, &err), -1);
    assert_string_equal(err.message,
                        "quota 'memory_mb' of the tenant: 100 of 199 in use, and this needs 100");
    /* What is up already adds nothing. */
    call = admission_start(&params, &default_tenant, &up, &need);
    assert_int_equal(db_run(pool, &default_scope, DB_RELAXED, &call, 1, &result, &err), 0);
    PQclear(result);
}

static void test_a_project_has_its_own_limit_and_the_tenants(void **state)
{
    const struct admission_need need = {.sandboxes = 1};
    struct db_scope scope = {.tenant = default_tenant, .has_project = true};
    struct error err;

    (void)state;
    add_container("running");
    postgres_execute("INSERT INTO projects (id, tenant_id, name) VALUES"
                     " ('00000000-0000-0000-0000-0000000000aa', " DEFAULT_TENANT_TEXT ", 'other')");
    assert_true(id_parse("000000000000000000000000000000aa", &scope.project));
    SET_QUOTA("project_id, sandboxes", "'00000000-0000-0000-0000-0000000000aa', 0");
    assert_int_equal(try_create(&scope, &need, &err), -1);
    assert_string_equal(err.message,
                        "quota 'sandboxes' of the project: 0 of 0 in use, and this needs 1");
    scope.has_project = false; /* the default project has no limit */
    assert_int_equal(try_create(&scope, &need, &err), 0);
    /* The tenant's counts what the bound caller does not see. */
    SET_QUOTA("sandboxes", "1");
    scope.has_project = true;
    assert_int_equal(try_create(&scope, &need, &err), -1);
    assert_string_equal(err.message,
                        "quota 'sandboxes' of the tenant: 1 of 1 in use, and this needs 1");
}

/* Whoever is bound to a project can neither use up another one's quota, nor learn of it. */
static void test_another_projects_quota_is_not_touched(void **state)
{
    const struct db_scope bound = {
        .tenant = default_tenant, .has_project = true, .project = {{0xa}}};
    struct container_spec spec = simple_container();
    struct store_run run = {.node_id = "node-1", .deadline_ms = 30000, .pids_max = 1};
    struct container_record record;
    struct error err;
    struct id id;
    char *policy;

    (void)state;
    postgres_execute("INSERT INTO projects (id, tenant_id, name) SELECT id::uuid,"
                     " " DEFAULT_TENANT_TEXT ", id FROM unnest(ARRAY["
                     "'0a000000-0000-0000-0000-000000000000',"
                     " '0b000000-0000-0000-0000-000000000000']) id");
    SET_QUOTA("project_id, creates_per_minute", "'0b000000-0000-0000-0000-000000000000', 1");
    spec.has_project = true;
    spec.project = (struct id){{0xb}};
    assert_int_equal(id_new(&id, NULL), 0);
    assert_int_equal(id_new(&run.id, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            store_container_insert(pool, &bound, &id, &spec, "node-1", &test_origin, &record, &err),
            -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        assert_int_equal(
            store_once_begin(pool, &bound, &run, 64, &spec.project, &test_origin, &policy, &err),
            -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
    }
    assert_int_equal(postgres_number("SELECT window_creates FROM quotas"), 0);
}

static void test_creates_per_minute_begin_anew(void **state)
{
    const struct db_scope scope = {.tenant = default_tenant};
    const struct admission_need need = {.creates = 1};
    struct error err;

    (void)state;
    SET_QUOTA("creates_per_minute", "2");
    assert_int_equal(try_create(&scope, &need, &err), 0);
    assert_int_equal(try_create(&scope, &need, &err), 0);
    assert_int_equal(try_create(&scope, &need, &err), -1);
    assert_int_equal(err.limit, 2);
    assert_in_range(err.retry_after_s, 1, 60);
    postgres_execute("UPDATE quotas SET window_started_at = now() - interval '61 seconds'");
    assert_int_equal(try_create(&scope, &need, &err), 0);
}

struct race {
    struct id sandbox;
    atomic_int admitted;
    atomic_int refused;
};

static void *race(void *data)
{
    struct race *all = data;
    struct error err;

    if (try_run(&all->sandbox, &err) == 0)
        atomic_fetch_add(&all->admitted, 1);
    else if (err.code == ERR_QUOTA)
        atomic_fetch_add(&all->refused, 1);
    return NULL;
}

static void test_a_hundred_at_once_get_exactly_the_limit(void **state)
{
    struct race all = {.sandbox = make_sandbox(pool, &default_tenant)};
    pthread_t threads[RACERS];

    (void)state;
    SET_QUOTA("sandboxes", "10");
    for (size_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &all), 0);
    for (size_t i = 0; i < RACERS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(all.admitted, RACE_LIMIT);
    assert_int_equal(all.refused, RACERS - RACE_LIMIT);
    assert_int_equal(postgres_number("SELECT count(*) FROM processes WHERE ended_at IS NULL"),
                     RACE_LIMIT);
}

static void test_an_execution_touches_no_index_of_its_sandbox(void **state)
{
    (void)state;
    (void)make_sandbox(pool, &default_tenant);
    assert_int_equal(
        postgres_number("WITH run AS (UPDATE sandboxes SET state = 'running', active_runs = 1,"
                        " generation = 1 RETURNING 1) SELECT count(*) FROM run"),
        1);
    assert_int_equal(
        postgres_number("BEGIN; UPDATE sandboxes SET state = 'stopped', active_runs = 0;"
                        " SELECT pg_stat_get_xact_tuples_hot_updated('sandboxes'::regclass)"),
        1);
}

static void test_another_tenants_use_is_not_told(void **state)
{
    _cleanup_free_ char *sqlstate = NULL;

    (void)state;
    sqlstate = postgres_sqlstate("atoll_app",
                                 "SELECT set_config('atoll.tenant', " DEFAULT_TENANT_TEXT ", true);"
                                 "SELECT atoll_quota_use(gen_random_uuid(), NULL)");
    assert_string_equal(sqlstate, "42501");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_quota_everything_is_admitted),
        TEST(test_a_refusal_names_the_limit_and_is_an_event),
        TEST(test_the_end_of_a_run_frees_what_it_held),
        TEST(test_each_limit_is_held),
        TEST(test_containers_count_while_they_are_up_and_their_disks_until_they_are_gone),
        TEST(test_a_start_is_admitted_by_what_the_container_gets),
        TEST(test_a_project_has_its_own_limit_and_the_tenants),
        TEST(test_another_projects_quota_is_not_touched),
        TEST(test_creates_per_minute_begin_anew),
        TEST(test_a_hundred_at_once_get_exactly_the_limit),
        TEST(test_an_execution_touches_no_index_of_its_sandbox),
        TEST(test_another_tenants_use_is_not_told),
    };

    return cmocka_run_group_tests_name("db/admission", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
