/* What the schema itself guarantees, whoever asks: row-level security, grants, the state machine.
 */
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Every table with a tenant, partitions included, and the tenants themselves. */
#define TENANT_TABLES                                                                              \
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"                                \
    " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND (c.relname = 'tenants'"           \
    " OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id'))"

static void test_every_tenant_table_forces_row_level_security(void **state)
{
    (void)state;
    assert_true(postgres_number("SELECT count(*) " TENANT_TABLES) >= 8);
    assert_int_equal(postgres_number("SELECT count(*) " TENANT_TABLES
                                     " AND NOT (relrowsecurity AND relforcerowsecurity)"),
                     0);
}

static void test_the_roles_can_bypass_nothing(void **state)
{
    (void)state;
    assert_int_equal(postgres_number("SELECT count(*) FROM pg_roles WHERE rolname IN ('atoll_app',"
                                     " 'atoll_system') AND rolcanlogin AND NOT rolsuper"
                                     " AND NOT rolbypassrls AND NOT rolcreaterole"),
                     2);
    assert_int_equal(postgres_number("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner)"
                                     " IN ('atoll_app', 'atoll_system')"),
                     0);
}

static void test_what_the_roles_may_not_do(void **state)
{
    static const struct {
        const char *role;
        const char *sql;
    } refused[] = {
        {"atoll_app", "UPDATE events SET kind = 'x'"},
        {"atoll_app", "DELETE FROM events"},
        {"atoll_app", "DELETE FROM sandboxes"},
        {"atoll_app", "DELETE FROM processes"},
        {"atoll_app", "UPDATE sandboxes SET tenant_id = tenant_id"},
        {"atoll_app", "INSERT INTO samples (at) VALUES (now())"},
        {"atoll_app", "INSERT INTO tenants (name) VALUES ('x')"},
        {"atoll_app", "INSERT INTO schema_migrations VALUES (99, 'x', 'x')"},
        {"atoll_app", "SELECT events_prune(now(), 1)"},
        {"atoll_app", "ALTER TABLE sandboxes DISABLE ROW LEVEL SECURITY"},
        {"atoll_app", "SET ROLE atoll_system"},
        {"atoll_app", "CREATE TABLE public.mine (x integer)"},
        {"atoll_system", "SELECT api_key_find('0123456789ab')"},
        {"atoll_app", "UPDATE executor_key SET key = key"},
        {"atoll_app", "DELETE FROM executor_key"},
        {"atoll_system", "SELECT key FROM executor_key"},
        {"atoll_system", "SELECT executor_find(gen_random_uuid())"},
        {"atoll_system", "UPDATE events SET kind = 'x'"},
        {"atoll_system", "DELETE FROM events"},
        {"atoll_system", "INSERT INTO sandboxes (id) VALUES (gen_random_uuid())"},
        {"atoll_system", "DELETE FROM tenants"},
        {"atoll_system", "DROP TABLE samples"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        _cleanup_free_ char *sqlstate = postgres_sqlstate(refused[i].role, refused[i].sql);

        if (strcmp(sqlstate, "42501") != 0) /* insufficient_privilege */
            fail_msg("%s: %s: '%s'", refused[i].role, refused[i].sql, sqlstate);
    }
}

static void test_without_a_tenant_there_are_no_rows(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 1);
    _cleanup_free_ char *insert = NULL;
    _cleanup_free_ char *look = NULL;

    (void)state;
    (void)make_sandbox(pool, &default_tenant);
    look = postgres_sqlstate("atoll_app",
                             "DO $$ BEGIN IF EXISTS (SELECT FROM sandboxes) OR EXISTS (SELECT FROM"
                             " tenants) OR EXISTS (SELECT FROM projects) THEN"
                             " RAISE EXCEPTION 'rows'; END IF; END $$");
    assert_string_equal(look, "");
    insert = postgres_sqlstate("atoll_app", "INSERT INTO events (tenant_id, kind) VALUES"
                                            " ('00000000-0000-7000-8000-000000000001', 'x')");
    assert_string_equal(insert, "42501");
}

static void test_a_tenant_cannot_write_for_another(void **state)
{
    _cleanup_free_ char *sqlstate = NULL;

    (void)state;
    (void)make_tenant("other");
    sqlstate = postgres_sqlstate(
        "atoll_app",
        "SELECT set_config('atoll.tenant', '00000000-0000-7000-8000-000000000001',"
        " true); INSERT INTO events (tenant_id, kind) VALUES (gen_random_uuid(), 'x')");
    assert_string_equal(sqlstate, "42501");
}

static void test_a_new_tenant_has_a_default_project(void **state)
{
    struct id tenant;

    (void)state;
    tenant = make_tenant("other");
    assert_int_equal(
        number_of("SELECT count(*) FROM projects WHERE is_default AND tenant_id = '%s'", &tenant),
        1);
    assert_int_equal(postgres_number("SELECT count(*) FROM projects WHERE is_default AND"
                                     " id = '00000000-0000-7000-8000-000000000002'"
                                     " AND tenant_id = '00000000-0000-7000-8000-000000000001'"),
                     1);
}

static const char *const states[] = {"creating", "running",  "paused", "stopped",
                                     "failed",   "deleting", "deleted"};

static bool is_legal(const char *from, const char *to)
{
    static const char *const steps[] = {
        "creating>running", "creating>stopped", "creating>failed", "creating>deleting",
        "running>paused",   "running>stopped",  "running>failed",  "running>deleting",
        "paused>running",   "paused>failed",    "paused>deleting", "paused>stopped",
        "stopped>creating", "stopped>running",  "stopped>failed",  "stopped>deleting",
        "stopped>deleted",  "failed>creating",  "failed>deleting", "deleting>deleted",
    };
    char step[32];

    (void)snprintf(step, sizeof(step), "%s>%s", from, to);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (strcmp(steps[i], step) == 0)
            return true;
    return strcmp(from, to) == 0;
}

static void test_only_the_steps_of_the_state_machine_are_taken(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 1);

    (void)state;
    for (size_t from = 0; from < 7; from++) {
        for (size_t to = 0; to < 7; to++) {
            struct id id = make_sandbox(pool, &default_tenant);
            char text[ID_TEXT_SIZE];
            char sql[1024];
            _cleanup_free_ char *sqlstate = NULL;

            id_format(&id, text);
            (void)snprintf(sql, sizeof(sql),
                           "SET session_replication_role = replica;"
                           "UPDATE sandboxes SET state = '%s', deleted_at = CASE '%s'"
                           " WHEN 'deleted' THEN now() END WHERE id = '%s';"
                           "SET session_replication_role = origin;"
                           "UPDATE sandboxes SET state = '%s', deleted_at = CASE '%s'"
                           " WHEN 'deleted' THEN now() END WHERE id = '%s'",
                           states[from], states[from], text, states[to], states[to], text);
            sqlstate = postgres_sqlstate("postgres", sql);
            if ((strcmp(sqlstate, "") == 0) != is_legal(states[from], states[to]))
                fail_msg("%s > %s: '%s'", states[from], states[to], sqlstate);
            if (!is_legal(states[from], states[to]))
                assert_string_equal(sqlstate, "23514");
        }
    }
}

/* Its disk is removed in between. */
static void test_a_container_is_deleted_in_two_steps(void **state)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 1);
    _cleanup_free_ char *sqlstate = NULL;

    (void)state;
    (void)make_sandbox(pool, &default_tenant);
    postgres_execute("UPDATE sandboxes SET kind = 'container'");
    sqlstate =
        postgres_sqlstate("postgres", "UPDATE sandboxes SET state = 'deleted', deleted_at = now()");
    assert_string_equal(sqlstate, "23514");
    postgres_execute("UPDATE sandboxes SET state = 'deleting'");
    postgres_execute("UPDATE sandboxes SET state = 'deleted', deleted_at = now()");
}

static void test_a_generation_never_decreases(void **state)
{
    _cleanup_free_ char *sqlstate = NULL;
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 1);

    (void)state;
    (void)make_sandbox(pool, &default_tenant);
    postgres_execute("UPDATE sandboxes SET generation = 7");
    sqlstate = postgres_sqlstate("postgres", "UPDATE sandboxes SET generation = 6");
    assert_string_equal(sqlstate, "23514");
}

static void test_what_is_not_complete_is_refused(void **state)
{
    static const char *const broken[] = {
        "UPDATE sandboxes SET state = 'deleted'",
        "UPDATE sandboxes SET deleted_at = now()",
        "UPDATE sandboxes SET code = NULL",
        "UPDATE sandboxes SET timeout_ms = NULL",
#define INSERT_DEFINITION(code, runtime, timeout_ms, deleted_at)                                   \
    "INSERT INTO sandboxes (id, tenant_id, project_id, state, env, memory_limit_mb,"               \
    " idle_timeout_s, expires_at, code, runtime, timeout_ms, deleted_at)"                          \
    " SELECT gen_random_uuid(), tenant_id, project_id, 'stopped', '{}', 64, 60, now(), " code      \
    ", " runtime ", " timeout_ms ", " deleted_at " FROM sandboxes"
        INSERT_DEFINITION("NULL", "'shell'", "1000", "NULL"),
        INSERT_DEFINITION("'x'", "NULL", "1000", "NULL"),
        INSERT_DEFINITION("'x'", "'shell'", "NULL", "NULL"),
        INSERT_DEFINITION("'x'", "'shell'", "1000", "now()"),
    };
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 1);

    (void)state;
    (void)make_sandbox(pool, &default_tenant);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        _cleanup_free_ char *sqlstate = postgres_sqlstate("postgres", broken[i]);

        if (strcmp(sqlstate, "23514") != 0)
            fail_msg("%s: '%s'", broken[i], sqlstate);
    }
    postgres_execute(INSERT_DEFINITION("'x'", "'shell'", "1000", "NULL"));
#undef INSERT_DEFINITION
}

static void test_a_container_is_up_as_its_state_says(void **state)
{
    static const char *const steps[] = {"running",  "paused", "running", "stopped",
                                        "creating", "failed", "deleting"};
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool("atoll_app", 1);

    (void)state;
    (void)make_sandbox(pool, &default_tenant);
    postgres_execute("INSERT INTO sandboxes (id, tenant_id, project_id, kind, state, env,"
                     " memory_limit_mb, idle_timeout_s, expires_at)"
                     " SELECT gen_random_uuid(), tenant_id, project_id, 'container', 'creating',"
                     " '{}', 64, 60, now() FROM sandboxes");
    assert_int_equal(postgres_number("SELECT count(*) FROM sandboxes WHERE is_up"), 1);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        char sql[128];

        (void)snprintf(sql, sizeof(sql),
                       "UPDATE sandboxes SET state = '%s' WHERE kind = 'container'", steps[i]);
        postgres_execute(sql);
        assert_int_equal(
            postgres_number("SELECT count(*) FROM sandboxes WHERE is_up <>"
                            " (kind = 'container' AND state IN ('creating', 'running', 'paused'))"),
            0);
    }
    postgres_execute("UPDATE sandboxes SET state = 'running' WHERE kind = 'definition'");
    assert_int_equal(postgres_number("SELECT count(*) FROM sandboxes WHERE is_up"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_every_tenant_table_forces_row_level_security,
                               postgres_test_setup),
        cmocka_unit_test(test_the_roles_can_bypass_nothing),
        cmocka_unit_test(test_what_the_roles_may_not_do),
        cmocka_unit_test(test_without_a_tenant_there_are_no_rows),
        cmocka_unit_test(test_a_tenant_cannot_write_for_another),
        cmocka_unit_test_setup(test_a_new_tenant_has_a_default_project, postgres_test_setup),
        cmocka_unit_test(test_only_the_steps_of_the_state_machine_are_taken),
        cmocka_unit_test_setup(test_a_container_is_deleted_in_two_steps, postgres_test_setup),
        cmocka_unit_test_setup(test_a_generation_never_decreases, postgres_test_setup),
        cmocka_unit_test_setup(test_what_is_not_complete_is_refused, postgres_test_setup),
        cmocka_unit_test_setup(test_a_container_is_up_as_its_state_says, postgres_test_setup),
    };

    return cmocka_run_group_tests_name("db/schema", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
