#include "lib/db/migrate.h"
#include "tests/unit/support/postgres.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct db_migration two[] = {
    {1, "first", "CREATE TABLE first (x integer)"},
    {2, "second", "CREATE TABLE second (x integer); INSERT INTO second VALUES (1), (2)"},
};

struct progress {
    unsigned applied;
    unsigned known;
};

static void count_progress(const struct db_migration *migration, bool applied, void *context)
{
    struct progress *progress = context;

    (void)migration;
    if (applied)
        progress->applied++;
    else
        progress->known++;
}

static int migrate(const struct db_migration *list, size_t count, struct progress *progress,
                   struct error *err)
{
    char url[POSTGRES_URL_SIZE];

    return db_migrate(postgres_url("atoll_owner", url), list, count, count_progress, progress, err);
}

static void test_applies_each_once_and_records_it(void **state)
{
    struct progress first = {0};
    struct progress again = {0};

    (void)state;
    assert_int_equal(migrate(two, 2, &first, NULL), 0);
    assert_int_equal(first.applied, 2);
    assert_int_equal(migrate(two, 2, &again, NULL), 0);
    assert_int_equal(again.applied, 0);
    assert_int_equal(again.known, 2);
    assert_int_equal(postgres_number("SELECT count(*) FROM second"), 2);
    assert_int_equal(postgres_number("SELECT count(*) FROM schema_migrations"
                                     " WHERE (version, name) IN ((1, 'first'), (2, 'second'))"
                                     " AND length(sha256) = 64"),
                     2);
}

static void test_refuses_a_changed_migration(void **state)
{
    const struct db_migration changed[] = {
        two[0], {2, "second", "CREATE TABLE second (y integer)"}, {3, "third", "SELECT 1"}};
    struct progress progress = {0};
    struct error err;

    (void)state;
    assert_int_equal(migrate(two, 2, &progress, NULL), 0);
    assert_int_equal(migrate(changed, 3, &progress, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.message, "0002_second"));
    assert_int_equal(postgres_number("SELECT max(version) FROM schema_migrations"), 2);
}

static void test_refuses_a_newer_database(void **state)
{
    struct progress progress = {0};
    struct error err;

    (void)state;
    assert_int_equal(migrate(two, 2, &progress, NULL), 0);
    assert_int_equal(migrate(two, 1, &progress, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_non_null(strstr(err.message, "newer"));
}

static void test_a_failed_migration_leaves_nothing(void **state)
{
    const struct db_migration broken[] = {
        two[0], {2, "broken", "CREATE TABLE half (x integer); SELECT 1/0"}};
    struct progress progress = {0};
    struct error err;

    (void)state;
    assert_int_equal(migrate(broken, 2, &progress, &err), -1);
    assert_non_null(strstr(err.message, "0002_broken"));
    assert_int_equal(progress.applied, 1);
    assert_int_equal(postgres_number("SELECT count(*) FROM pg_class WHERE relname = 'half'"), 0);
    assert_int_equal(postgres_number("SELECT max(version) FROM schema_migrations"), 1);
    assert_int_equal(migrate(two, 2, &progress, NULL), 0);
}

static void test_refuses_a_script_that_commits(void **state)
{
    const struct db_migration sly[] = {{1, "sly", "COMMIT; SELECT 1"}};
    struct progress progress = {0};
    struct error err;

    (void)state;
    assert_int_equal(migrate(sly, 1, &progress, &err), -1);
    assert_int_equal(postgres_number("SELECT count(*) FROM schema_migrations"), 0);
}

static void *migrate_all(void *context)
{
    char url[POSTGRES_URL_SIZE];

    return db_migrate(postgres_url("atoll_owner", url), db_migrations, db_migrations_count,
                      count_progress, context, NULL) == 0
               ? context
               : NULL;
}

static void test_two_at_once_apply_it_once(void **state)
{
    struct progress progress[4] = {{0}};
    pthread_t threads[4];
    unsigned applied = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, migrate_all, &progress[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        void *result;

        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
        applied += progress[i].applied;
    }
    assert_int_equal(applied, db_migrations_count);
}

static void test_no_server_is_unavailable(void **state)
{
    struct error err;

    (void)state;
    assert_int_equal(db_migrate("host=/nonexistent user=x", two, 2, NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void check_schema(const char *role, const struct db_migration *list, size_t count,
                         const char *part_of_refusal)
{
    _cleanup_db_pool_ struct db_pool *pool = postgres_pool(role, 1);
    struct error err = {.message = ""};
    int status = db_check_schema(pool, list, count, &err);

    if (part_of_refusal) {
        assert_int_equal(status, -1);
        assert_int_equal(err.code, ERR_CONFLICT);
        if (!strstr(err.message, part_of_refusal))
            fail_msg("%s", err.message);
    } else if (status < 0) {
        fail_msg("%s", err.message);
    }
}

static void test_a_daemon_needs_its_own_schema(void **state)
{
    struct db_migration more[2];
    const struct db_migration other[] = {{(int)db_migrations_count, "last", "SELECT 2"}};

    (void)state;
    check_schema("atoll_app", db_migrations, db_migrations_count, "no schema");
    assert_int_equal(postgres_test_setup(state), 0);
    check_schema("atoll_app", db_migrations, db_migrations_count, NULL);
    check_schema("atoll_system", db_migrations, db_migrations_count, NULL);
    check_schema("atoll_owner", db_migrations, db_migrations_count, "row-level security");
    check_schema("postgres", db_migrations, db_migrations_count, "row-level security");
    check_schema("atoll_app", other, 1, "SHA-256");
    more[0] = db_migrations[0];
    more[1] = (struct db_migration){(int)db_migrations_count + 1, "next", "SELECT 1"};
    check_schema("atoll_app", more, 2, "older");
    postgres_execute("INSERT INTO schema_migrations VALUES (1000, 'future', 'x')");
    check_schema("atoll_app", db_migrations, db_migrations_count, "newer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_applies_each_once_and_records_it, postgres_empty_setup),
        cmocka_unit_test_setup(test_refuses_a_changed_migration, postgres_empty_setup),
        cmocka_unit_test_setup(test_refuses_a_newer_database, postgres_empty_setup),
        cmocka_unit_test_setup(test_a_failed_migration_leaves_nothing, postgres_empty_setup),
        cmocka_unit_test_setup(test_refuses_a_script_that_commits, postgres_empty_setup),
        cmocka_unit_test_setup(test_two_at_once_apply_it_once, postgres_empty_setup),
        cmocka_unit_test(test_no_server_is_unavailable),
        cmocka_unit_test_setup(test_a_daemon_needs_its_own_schema, postgres_empty_setup),
    };

    return cmocka_run_group_tests_name("db/migrate", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
