#include "lib/db/store_container.h"
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

static int step(const struct id *id, uint32_t generation, enum sandbox_state from,
                enum sandbox_state to, struct error *err)
{
    const struct store_container_step taken = {
        .id = *id, .generation = generation, .from = from, .to = to};
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    return store_container_step(pool, &default_scope, &taken, &test_origin, &record, err);
}

static void test_insert_returns_what_was_stored(void **state)
{
    struct id id = make_container(pool, &default_tenant);
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    (void)state;
    assert_int_equal(store_container_get_environment(pool, &default_scope, &id, &record, NULL), 0);
    assert_int_equal(record.state, SANDBOX_CREATING);
    assert_int_equal(record.generation, 1);
    assert_int_equal(record.version, 1);
    assert_string_equal(record.image, "base");
    assert_null(record.runtime);
    assert_null(record.command_json);
    assert_string_equal(record.env_json, "{\"NAME\": \"value\"}");
    assert_string_equal(record.labels_json, "{\"team\": \"a\"}");
    assert_string_equal(record.node, "node-1");
    assert_int_equal(record.cpu_milli, 500);
    assert_int_equal(record.exit_code, -1);
    assert_int_equal(record.started_usec, 0);
    assert_int_equal(record.expires_usec - record.created_usec, INT64_C(86400000000));
}

static void test_a_step_needs_state_and_generation(void **state)
{
    struct id id = make_container(pool, &default_tenant);
    struct error err;

    (void)state;
    assert_int_equal(step(&id, 1, SANDBOX_RUNNING, SANDBOX_STOPPED, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(step(&id, 2, SANDBOX_CREATING, SANDBOX_RUNNING, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s'", &id), 1);
    assert_int_equal(step(&id, 1, SANDBOX_CREATING, SANDBOX_RUNNING, &err), 0);
    assert_int_equal(step(&id, 1, SANDBOX_RUNNING, SANDBOX_STOPPED, &err), 0);
    assert_int_equal(step(&id, 1, SANDBOX_STOPPED, SANDBOX_CREATING, &err), 0);
    assert_int_equal(step(&id, 1, SANDBOX_CREATING, SANDBOX_RUNNING, &err), -1);
    assert_int_equal(step(&id, 2, SANDBOX_CREATING, SANDBOX_RUNNING, &err), 0);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s' AND project_id"
                               " IS NOT NULL AND actor = 'tester' AND request_id = 'request-1'",
                               &id),
                     5);
}

static void test_an_exit_lasts_until_the_next_start(void **state)
{
    struct id id = make_container(pool, &default_tenant);
    struct store_container_step end = {.id = id,
                                       .generation = 1,
                                       .from = SANDBOX_RUNNING,
                                       .to = SANDBOX_STOPPED,
                                       .reason = CONTAINER_COMMAND_EXITED,
                                       .has_exit = true,
                                       .exit_code = 7};
    _cleanup_(container_record_free) struct container_record stopped = {.owner = NULL};
    _cleanup_(container_record_free) struct container_record started = {.owner = NULL};

    (void)state;
    step_container(pool, &default_tenant, &id, 1, SANDBOX_CREATING, SANDBOX_RUNNING);
    assert_int_equal(store_container_step(pool, &default_scope, &end, &test_origin, &stopped, NULL),
                     0);
    assert_int_equal(stopped.exit_code, 7);
    assert_string_equal(stopped.state_reason, "command_exited");
    step_container(pool, &default_tenant, &id, 1, SANDBOX_STOPPED, SANDBOX_CREATING);
    assert_int_equal(store_container_get(pool, &default_scope, &id, &started, NULL), 0);
    assert_int_equal(started.exit_code, -1);
}

static void test_a_stop_that_was_asked_for_is_told_as_that(void **state)
{
    struct id id = make_container(pool, &default_tenant);
    struct store_container_step end = {.id = id,
                                       .generation = 1,
                                       .from = SANDBOX_RUNNING,
                                       .to = SANDBOX_STOPPED,
                                       .reason = CONTAINER_COMMAND_EXITED};
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    (void)state;
    step_container(pool, &default_tenant, &id, 1, SANDBOX_CREATING, SANDBOX_RUNNING);
    assert_int_equal(store_container_stopping(pool, &default_scope, &end, NULL), 0);
    assert_int_equal(store_container_step(pool, &default_scope, &end, &test_origin, &record, NULL),
                     0);
    assert_string_equal(record.state_reason, "requested");
}

static void test_a_foreign_container_is_a_missing_one(void **state)
{
    uint32_t generation = 0;
    struct id id = make_container(pool, &default_tenant);
    const struct db_scope other = {.tenant = make_tenant("other")};
    const struct store_container_patch patch = {.idle_timeout_s = 5};
    const struct store_container_filter filter = {.limit = 10};
    _cleanup_(container_list_free) struct container_list list = {.items = NULL};
    struct container_record record;
    struct error err;

    (void)state;
    assert_int_equal(store_container_get(pool, &other, &id, &record, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_container_patch(pool, &other, &id, &patch, STORE_ANY_VERSION,
                                           &test_origin, &record, &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_container_delete_begin(pool, &other, &id, CONTAINER_REQUESTED,
                                                  STORE_ANY_VERSION, &test_origin, &generation,
                                                  &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_container_list(pool, &other, &filter, &list, NULL), 0);
    assert_int_equal(list.count, 0);
}

static void test_another_project_is_another_world(void **state)
{
    struct id id = make_container(pool, &default_tenant);
    struct db_scope scope = {.tenant = default_tenant, .has_project = true};
    struct container_record record;
    struct error err;

    (void)state;
    postgres_execute("INSERT INTO projects (id, tenant_id, name) SELECT"
                     " '00000000-0000-7000-8000-0000000000aa', id, 'extra' FROM tenants");
    assert_true(id_parse("000000000000700080000000000000aa", &scope.project));
    assert_int_equal(store_container_get(pool, &scope, &id, &record, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int insert_named(const struct db_scope *scope, const char *name, struct id *ret_id,
                        struct error *err)
{
    struct container_spec spec = simple_container();
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};

    spec.client_name = (char *)name;
    assert_int_equal(id_new(ret_id, NULL), 0);
    return store_container_insert(pool, scope, ret_id, &spec, "node-1", &test_origin, &record, err);
}

static void test_a_name_of_the_clients_is_there_once_in_a_project(void **state)
{
    uint32_t generation = 0;
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct db_scope bound = {.tenant = default_tenant, .has_project = true};
    const struct db_scope other = {.tenant = make_tenant("other")};
    struct container_record missing;
    struct error err;
    struct id id;
    struct id second;

    (void)state;
    postgres_execute("INSERT INTO projects (id, tenant_id, name) SELECT"
                     " '00000000-0000-7000-8000-0000000000aa', id, 'extra' FROM tenants"
                     " WHERE name = 'default'");
    assert_true(id_parse("000000000000700080000000000000aa", &bound.project));
    assert_int_equal(insert_named(&default_scope, "abc", &id, NULL), 0);
    assert_int_equal(insert_named(&default_scope, "abc", &second, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(store_container_find(pool, &bound, "abc", &missing, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(insert_named(&bound, "abc", &second, NULL), 0);
    assert_int_equal(insert_named(&other, "abc", &second, NULL), 0);
    assert_int_equal(store_container_find(pool, &default_scope, "abc", &record, NULL), 0);
    assert_true(id_equal(&record.id, &id));
    assert_int_equal(store_container_delete_begin(pool, &default_scope, &id, CONTAINER_REQUESTED,
                                                  STORE_ANY_VERSION, &test_origin, &generation,
                                                  NULL),
                     0);
    assert_int_equal(store_container_delete_finish(pool, &default_scope, &id, &test_origin, NULL),
                     0);
    assert_int_equal(insert_named(&default_scope, "abc", &second, NULL), 0);
}

static void test_a_merge_removes_what_is_null_and_keeps_its_bound(void **state)
{
    struct id id = make_container(pool, &default_tenant);
    _cleanup_(container_record_free) struct container_record record = {.owner = NULL};
    struct container_record refused;
    struct error err;

    (void)state;
    assert_int_equal(store_container_environment(pool, &default_scope, &id,
                                                 "{\"NAME\": null, \"B\": \"2\"}", true, 1,
                                                 &test_origin, &record, NULL),
                     0);
    assert_string_equal(record.env_json, "{\"B\": \"2\"}");
    assert_int_equal(record.version, 2);
    assert_int_equal(store_container_environment(pool, &default_scope, &id, "{}", false, 1,
                                                 &test_origin, &refused, &err),
                     -1);
    assert_int_equal(err.code, ERR_PRECONDITION);
    postgres_execute("UPDATE sandboxes SET env = (SELECT jsonb_object_agg('V' || i, '') FROM"
                     " generate_series(1, 256) i)");
    assert_int_equal(store_container_environment(pool, &default_scope, &id, "{\"X\": \"\"}", true,
                                                 STORE_ANY_VERSION, &test_origin, &refused, &err),
                     -1);
    assert_int_equal(err.code, ERR_INVALID_FIELD);
}

static void test_a_delete_ends_every_other_step(void **state)
{
    uint32_t generation = 0;
    struct id id = make_container(pool, &default_tenant);
    struct container_record record;
    struct error err;

    (void)state;
    assert_int_equal(store_container_delete_begin(pool, &default_scope, &id, CONTAINER_REQUESTED,
                                                  STORE_ANY_VERSION, &test_origin, &generation,
                                                  NULL),
                     0);
    assert_int_equal(store_container_delete_begin(pool, &default_scope, &id, CONTAINER_REQUESTED,
                                                  STORE_ANY_VERSION, &test_origin, &generation,
                                                  NULL),
                     0);
    assert_int_equal(step(&id, 1, SANDBOX_CREATING, SANDBOX_RUNNING, &err), -1);
    assert_int_equal(err.code, ERR_CONFLICT);
    assert_int_equal(store_container_delete_finish(pool, &default_scope, &id, &test_origin, NULL),
                     0);
    assert_int_equal(store_container_get(pool, &default_scope, &id, &record, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(number_of("SELECT count(*) FROM sandboxes WHERE id = '%s' AND env = '{}' AND"
                               " labels = '{}' AND state = 'deleted'",
                               &id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM events WHERE sandbox_id = '%s'", &id), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_insert_returns_what_was_stored),
        TEST(test_a_step_needs_state_and_generation),
        TEST(test_an_exit_lasts_until_the_next_start),
        TEST(test_a_stop_that_was_asked_for_is_told_as_that),
        TEST(test_a_foreign_container_is_a_missing_one),
        TEST(test_another_project_is_another_world),
        TEST(test_a_name_of_the_clients_is_there_once_in_a_project),
        TEST(test_a_merge_removes_what_is_null_and_keeps_its_bound),
        TEST(test_a_delete_ends_every_other_step),
    };

    return cmocka_run_group_tests_name("db/store_container", tests, postgres_group_setup,
                                       postgres_group_teardown);
}
