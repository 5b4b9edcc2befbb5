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

static struct sandbox_file file(const char *path, const char *content, size_t size, bool executable)
{
    return (struct sandbox_file){
        .path = (char *)path, .content = (char *)content, .size = size, .executable = executable};
}

static int insert(const struct id *tenant, const struct id *id,
                  const struct sandbox_definition *definition, struct error *err)
{
    const struct db_scope scope = {.tenant = *tenant};
    struct sandbox_record record = {.runtime = NULL};
    int status = store_sandbox_insert(pool, &scope, id, definition, &long_lifetime, &test_origin,
                                      &record, err);

    sandbox_record_free(&record);
    return status;
}

static void test_insert_returns_what_was_stored(void **state)
{
    struct sandbox_definition definition = simple_definition();
    struct sandbox_record record, read;
    struct id id;

    (void)state;
    definition.entry_point = (char *)"main.sh";
    assert_int_equal(id_new(&id, NULL), 0);
    assert_int_equal(store_sandbox_insert(pool, &default_scope, &id, &definition, &long_lifetime,
                                          &test_origin, &record, NULL),
                     0);
    assert_true(id_equal(&record.id, &id));
    assert_int_equal(record.state, SANDBOX_STOPPED);
    assert_string_equal(record.runtime, "shell");
    assert_string_equal(record.entry_point, "main.sh");
    assert_int_equal(record.timeout_ms, 30000);
    assert_int_equal(record.memory_limit_mb, 64);
    assert_int_equal(record.expires_usec - record.created_usec, INT64_C(86400000000));
    assert_false(record.has_last_run);
    /* RFC 9562: an id of version 7 holds its time; clocks of one machine agree. */
    assert_in_range(record.created_usec, INT64_C(1600000000000000), INT64_C(4000000000000000));
    assert_int_equal(store_sandbox_get(pool, &default_scope, &id, &read, NULL), 0);
    assert_int_equal(read.created_usec, record.created_usec);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND kind ="
                               " 'sandbox.created' AND to_state = 'stopped' AND actor = 'tester'"
                               " AND request_id = 'request-1'",
                               &id),
                     1);
    sandbox_record_free(&record);
    sandbox_record_free(&read);
}

static void test_an_unknown_tenant_stores_nothing(void **state)
{
    struct sandbox_definition definition = simple_definition();
    struct sandbox_file files[] = {file("/a", "x", 1, false)};
    struct error err;
    struct id tenant, id;

    (void)state;
    definition.files = (struct sandbox_files){files, 1};
    assert_int_equal(id_new(&tenant, NULL), 0);
    assert_int_equal(id_new(&id, NULL), 0);
    assert_int_equal(insert(&tenant, &id, &definition, &err), -1);
    assert_int_equal(err.code, ERR_FORBIDDEN);
    assert_int_equal(postgres_number("SELECT count(*) FROM sandboxes"), 0);
    assert_int_equal(postgres_number("SELECT count(*) FROM events"), 0);
}

static void test_a_foreign_sandbox_is_a_missing_one(void **state)
{
    const struct db_scope other = {.tenant = make_tenant("other")};
    struct id id = make_sandbox(pool, &default_tenant);
    struct sandbox_file files[] = {file("/a", "x", 1, false)};
    struct sandbox_files list = {files, 1};
    struct store_deletion deletion;
    struct sandbox_record record, *records;
    struct error foreign, missing;
    struct id nobody;
    size_t count;

    (void)state;
    assert_int_equal(id_new(&nobody, NULL), 0);
    assert_int_equal(store_sandbox_get(pool, &other, &id, &record, &foreign), -1);
    assert_int_equal(store_sandbox_get(pool, &other, &nobody, &record, &missing), -1);
    assert_int_equal(foreign.code, ERR_NOT_FOUND);
    assert_string_equal(foreign.message, missing.message);
    assert_int_equal(store_sandbox_put_files(pool, &other, &id, &list, &test_origin, &foreign), -1);
    assert_int_equal(foreign.code, ERR_NOT_FOUND);
    assert_int_equal(
        store_sandbox_delete_begin(pool, &other, &id, &test_origin, &deletion, &foreign), -1);
    assert_int_equal(foreign.code, ERR_NOT_FOUND);
    assert_int_equal(store_sandbox_delete_finish(pool, &other, &id, &test_origin, NULL), 0);
    assert_int_equal(store_sandbox_list(pool, &other, 10, NULL, &records, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_sandbox_get(pool, &default_scope, &id, &record, NULL), 0);
    sandbox_record_free(&record);
}

static void test_a_tenant_that_does_not_exist_lists_nothing(void **state)
{
    const struct db_scope nobody = {.tenant = {{0xff}}};
    struct sandbox_record *records = NULL;
    struct error err = {0};
    size_t count;

    (void)state;
    (void)make_sandbox(pool, &default_tenant);
    assert_int_equal(store_sandbox_list(pool, &nobody, 10, NULL, &records, &count, &err), -1);
    assert_int_equal(err.code, ERR_FORBIDDEN);
    assert_null(records);
}

static void test_list_pages_from_the_newest(void **state)
{
    struct id ids[5];
    struct sandbox_record *records;
    size_t count;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        ids[i] = make_sandbox(pool, &default_tenant);
    assert_int_equal(store_sandbox_list(pool, &default_scope, 2, NULL, &records, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_true(memcmp(records[0].id.bytes, records[1].id.bytes, ID_BYTES) > 0);
    for (size_t i = 0; i < count; i++)
        sandbox_record_free(&records[i]);
    free(records);
    /* The ids of one millisecond are not in the order of their making: the smallest has none
     * before it, whichever it is. */
    for (size_t i = 1; i < 5; i++)
        if (memcmp(ids[i].bytes, ids[0].bytes, ID_BYTES) < 0)
            ids[0] = ids[i];
    assert_int_equal(store_sandbox_list(pool, &default_scope, 2, &ids[0], &records, &count, NULL),
                     0);
    assert_int_equal(count, 0);
    assert_null(records);
}

static const char hostile[] = "'; DROP TABLE sandboxes; -- $1 \\ \" \n $(id) %s {\"a\":1}";

static void test_hostile_text_is_only_text(void **state)
{
    struct sandbox_definition definition = simple_definition();
    const struct store_origin origin = {.actor = hostile, .request_id = hostile};
    struct sandbox_file files[] = {file(hostile, "a\0b", 3, true)};
    struct sandbox_record record;
    struct id id;

    (void)state;
    definition.runtime = (char *)hostile;
    definition.entry_point = (char *)hostile;
    definition.code = (char *)hostile;
    definition.code_size = sizeof(hostile); /* its NUL too */
    definition.files = (struct sandbox_files){files, 1};
    assert_int_equal(id_new(&id, NULL), 0);
    assert_int_equal(store_sandbox_insert(pool, &default_scope, &id, &definition, &long_lifetime,
                                          &origin, &record, NULL),
                     0);
    assert_string_equal(record.runtime, hostile);
    assert_string_equal(record.entry_point, hostile);
    sandbox_record_free(&record);
    assert_int_equal(number_of("SELECT length(code) FROM sandboxes WHERE id = '%s'", &id),
                     sizeof(hostile));
    assert_int_equal(number_of("SELECT count(*) FROM sandbox_files WHERE sandbox_id = '%s' AND"
                               " content = '\\x610062' AND executable",
                               &id),
                     1);
}

static void test_put_files_adds_and_replaces(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct sandbox_file first[] = {file("/a", "old", 3, false), file("/b", "", 0, false)};
    struct sandbox_file second[] = {file("/a", "newer", 5, true), file("/c", "c", 1, false)};
    struct sandbox_record record;

    (void)state;
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                             &(struct sandbox_files){first, 2}, &test_origin, NULL),
                     0);
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                             &(struct sandbox_files){second, 2}, &test_origin,
                                             NULL),
                     0);
    assert_int_equal(store_sandbox_get(pool, &default_scope, &id, &record, NULL), 0);
    assert_int_equal(record.file_count, 3);
    sandbox_record_free(&record);
    assert_int_equal(number_of("SELECT file_bytes FROM sandboxes WHERE id = '%s'", &id), 6);
    assert_int_equal(number_of("SELECT count(*) FROM sandbox_files WHERE sandbox_id = '%s'"
                               " AND path = '/a' AND content = 'newer' AND executable",
                               &id),
                     1);
}

static void test_a_path_twice_in_one_call_stores_nothing(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct sandbox_definition definition = simple_definition();
    struct sandbox_file twice[] = {file("/a", "1", 1, false), file("/a", "2", 1, false)};
    struct sandbox_files files = {twice, 2};
    struct error err;
    struct id fresh;

    (void)state;
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id, &files, &test_origin, &err),
                     -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    definition.files = files;
    assert_int_equal(id_new(&fresh, NULL), 0);
    assert_int_equal(insert(&default_tenant, &fresh, &definition, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_null(strstr(err.message, "/a"));
    assert_int_equal(postgres_number("SELECT count(*) FROM sandbox_files"), 0);
    assert_int_equal(postgres_number("SELECT count(*) FROM sandboxes"), 1);
}

static void fill_files(struct sandbox_file *files, char (*paths)[4096], size_t count,
                       const char *prefix)
{
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "/%s/%zu", prefix, i);
        files[i] = file(paths[i], "x", 1, false);
    }
}

static void test_files_are_limited_in_number_over_all_calls(void **state)
{
    struct sandbox_file *files = calloc(STORE_FILES_MAX, sizeof(*files));
    char(*paths)[4096] = calloc(STORE_FILES_MAX, sizeof(*paths));
    struct sandbox_file one[] = {file("/one/more", "x", 1, false)};
    struct sandbox_definition definition = simple_definition();
    struct sandbox_record record;
    struct error err;
    struct id id;

    (void)state;
    assert_true(files && paths);
    fill_files(files, paths, STORE_FILES_MAX, "d");
    definition.files = (struct sandbox_files){files, STORE_FILES_MAX};
    assert_int_equal(id_new(&id, NULL), 0);
    assert_int_equal(insert(&default_tenant, &id, &definition, &err), 0);
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                             &(struct sandbox_files){one, 1}, &test_origin, &err),
                     -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_string_equal(err.field, "files");
    assert_int_equal(store_sandbox_get(pool, &default_scope, &id, &record, NULL), 0);
    assert_int_equal(record.file_count, STORE_FILES_MAX);
    sandbox_record_free(&record);
    assert_int_equal(postgres_number("SELECT count(*) FROM sandbox_files"), STORE_FILES_MAX);
    free(files);
    free(paths);
}

static void test_a_path_may_have_4095_bytes(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    char path[4096];
    struct sandbox_file files[] = {file(path, "x", 1, false)};

    (void)state;
    /* Not compressible, as an index entry would be. */
    for (size_t i = 0; i < 4095; i++)
        path[i] = (char)('!' + (i * i * 31 + i * 7 + i / 89) % 90);
    path[0] = '/';
    path[4095] = '\0';
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                             &(struct sandbox_files){files, 1}, &test_origin, NULL),
                     0);
}

static void test_delete_of_an_idle_sandbox_is_one_step(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    const struct db_scope other = {.tenant = make_tenant("other")};
    struct store_deletion deletion;
    struct error err;

    (void)state;
    assert_int_equal(store_sandbox_delete_begin(pool, &other, &id, &test_origin, &deletion, &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(
        store_sandbox_delete_begin(pool, &default_scope, &id, &test_origin, &deletion, NULL), 0);
    assert_true(deletion.done);
    assert_int_equal(deletion.count, 0);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'deleted' AND code IS NULL AND env = '{}'",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND"
                               " (kind, from_state, to_state, actor, request_id) ="
                               " ('sandbox.deleted', 'stopped', 'deleted', 'tester', 'request-1')",
                               &id),
                     1);
    assert_int_equal(
        number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND kind LIKE '%delet%'",
                  &id),
        1);
}

/* Whoever comes first: the files are erased with the sandbox, or they were refused. */
static void test_files_that_race_a_delete_do_not_outlive_it(void **state)
{
    struct sandbox_file files[] = {file("/a", "x", 1, false)};

    (void)state;
    for (int i = 0; i < 50; i++) {
        struct delete_race race = {.pool = pool, .id = make_sandbox(pool, &default_tenant)};
        pthread_t thread;
        void *result;

        assert_int_equal(pthread_create(&thread, NULL, run_delete_race, &race), 0);
        (void)store_sandbox_put_files(pool, &default_scope, &race.id,
                                      &(struct sandbox_files){files, 1}, &test_origin, NULL);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_non_null(result);
        assert_true(race.deletion.done);
    }
    assert_int_equal(postgres_number("SELECT count(*) FROM sandbox_files"), 0);
}

static void test_delete_without_runs_is_done_at_once(void **state)
{
    struct id id = make_sandbox(pool, &default_tenant);
    struct sandbox_file files[] = {file("/a", "x", 1, false)};
    struct store_deletion deletion;
    struct sandbox_record record;
    struct error err;

    (void)state;
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                             &(struct sandbox_files){files, 1}, &test_origin, NULL),
                     0);
    assert_int_equal(
        store_sandbox_delete_begin(pool, &default_scope, &id, &test_origin, &deletion, NULL), 0);
    assert_true(deletion.done);
    assert_int_equal(deletion.count, 0);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND state ="
                               " 'deleted' AND code IS NULL AND env = '{}' AND file_count = 0",
                               &id),
                     1);
    assert_int_equal(postgres_number("SELECT count(*) FROM sandbox_files"), 0);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND kind IN"
                               " ('sandbox.deleting', 'sandbox.deleted')",
                               &id),
                     2);
    assert_int_equal(store_sandbox_get(pool, &default_scope, &id, &record, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(
        store_sandbox_delete_begin(pool, &default_scope, &id, &test_origin, &deletion, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_sandbox_put_files(pool, &default_scope, &id,
                                             &(struct sandbox_files){files, 1}, &test_origin, &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_insert_returns_what_was_stored),
        TEST(test_an_unknown_tenant_stores_nothing),
        TEST(test_a_foreign_sandbox_is_a_missing_one),
        TEST(test_a_tenant_that_does_not_exist_lists_nothing),
        TEST(test_list_pages_from_the_newest),
        TEST(test_hostile_text_is_only_text),
        TEST(test_put_files_adds_and_replaces),
        TEST(test_a_path_twice_in_one_call_stores_nothing),
        TEST(test_files_are_limited_in_number_over_all_calls),
        TEST(test_a_path_may_have_4095_bytes),
        TEST(test_delete_of_an_idle_sandbox_is_one_step),
        TEST(test_files_that_race_a_delete_do_not_outlive_it),
        TEST(test_delete_without_runs_is_done_at_once),
    };

    return cmocka_run_group_tests_name("db/store_sandbox", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
