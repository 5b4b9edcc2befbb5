#include "lib/db/store_process_system.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct db_pool *app, *pool;

static int setup(void **state)
{
    return postgres_pools_setup(state, &app, &pool);
}

static int teardown(void **state)
{
    (void)state;
    return postgres_pools_teardown(&app, &pool);
}

static struct id begin(const struct id *container, enum store_process_kind kind)
{
    const struct store_process_new process = simple_process(container, kind);

    return begin_process(app, &process);
}

/* The open processes of "node-1", which must be so many; the caller's to free. */
static struct store_process_open *open_ones(size_t wanted)
{
    struct store_process_open *processes = NULL;
    size_t count = 0;

    assert_int_equal(store_processes_open(pool, "node-1", &processes, &count, NULL), 0);
    assert_int_equal(count, wanted);
    return processes;
}

static void test_none_is_open(void **state)
{
    struct id container = make_running_container(app, &default_tenant);

    (void)state;
    (void)begin(&container, STORE_PROCESS_EXEC);
    assert_null(open_ones(0));
}

static void test_what_is_open(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct id id = begin(&container, STORE_PROCESS_DETACHED);
    const struct process_end end = {.id = id, .state = PROCESS_COMPLETED};
    struct store_process_open *other = NULL;
    struct store_process_open *open;
    size_t count = 1;
    bool found = false;

    (void)state;
    open = open_ones(1);
    assert_memory_equal(&open->id, &id, sizeof(id));
    assert_memory_equal(&open->sandbox, &container, sizeof(container));
    assert_int_equal(open->generation, 1);
    assert_true(open->is_up);
    assert_false(open->is_settled);
    free(open);
    assert_int_equal(store_processes_open(pool, "node-2", &other, &count, NULL), 0);
    assert_int_equal(count, 0);
    /* As the worker records it, for whatever tenant it is. */
    assert_int_equal(store_process_end(pool, NULL, &end, &found, NULL), 0);
    assert_true(found);
    assert_null(open_ones(0));
}

static void test_a_start_of_long_ago_is_settled(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct store_process_open *open;

    (void)state;
    (void)begin(&container, STORE_PROCESS_DETACHED);
    postgres_execute("UPDATE processes SET started_at = now() - interval '1 minute'");
    open = open_ones(1);
    assert_true(open->is_settled);
    free(open);
}

static void test_a_container_that_stopped_or_is_gone_is_not_up(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct store_process_open *open;

    (void)state;
    (void)begin(&container, STORE_PROCESS_DETACHED);
    step_container(app, &default_tenant, &container, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    step_container(app, &default_tenant, &container, 1, SANDBOX_STOPPED, SANDBOX_CREATING);
    step_container(app, &default_tenant, &container, 2, SANDBOX_CREATING, SANDBOX_RUNNING);
    open = open_ones(1);
    assert_false(open->is_up);
    free(open);
    postgres_execute("DELETE FROM sandboxes");
    open = open_ones(1);
    assert_false(open->is_up);
    free(open);
}

static void test_execs_of_an_earlier_boot_are_lost(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct store_process_new process = simple_process(&container, STORE_PROCESS_EXEC);
    struct id boot, detached;
    uint64_t count = 9;

    (void)state;
    assert_int_equal(id_new(&boot, NULL), 0);
    assert_int_equal(store_node_register(app, "node-1", &boot, NULL), 0);
    process.boot_id = boot;
    (void)begin_process(app, &process);
    detached = begin(&container, STORE_PROCESS_DETACHED);
    assert_int_equal(store_process_lose_execs(pool, "node-1", &count, NULL), 0);
    assert_int_equal(count, 0);

    assert_int_equal(id_new(&boot, NULL), 0);
    assert_int_equal(store_node_register(app, "node-1", &boot, NULL), 0);
    assert_int_equal(store_process_lose_execs(pool, "node-2", &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_process_lose_execs(pool, "node-1", &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s' AND state = 'lost'"
                               " AND ended_at IS NOT NULL",
                               &process.id),
                     1);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s' AND ended_at IS"
                               " NULL",
                               &detached),
                     1);
}

/* Their server lives, but could not write their ends: it is not asked again. */
static void test_execs_past_their_deadline_are_lost(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct store_process_new begun = simple_process(&container, STORE_PROCESS_EXEC);
    struct store_process_new written = simple_process(&container, STORE_PROCESS_EXEC);
    const struct db_scope scope = {.tenant = default_tenant};
    const struct store_process_place place = {.generation = 1};
    struct id boot;
    uint64_t count = 9;

    (void)state;
    assert_int_equal(id_new(&boot, NULL), 0);
    assert_int_equal(store_node_register(app, "node-1", &boot, NULL), 0);
    begun.boot_id = written.boot_id = boot;
    begun.deadline_ms = written.deadline_ms = 30000;
    (void)begin_process(app, &begun);
    assert_int_equal(store_process_write(app, &scope, &written, &place, NULL, &test_origin, NULL),
                     0);
    (void)begin(&container, STORE_PROCESS_DETACHED);
    assert_int_equal(store_process_lose_execs(pool, "node-1", &count, NULL), 0);
    assert_int_equal(count, 0);
    postgres_execute("UPDATE processes SET deadline_at = deadline_at - interval '91 seconds'");
    assert_int_equal(store_process_lose_execs(pool, "node-1", &count, NULL), 0);
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_start_of_long_ago_is_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_container_that_stopped_or_is_gone_is_not_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_execs_of_an_earlier_boot_are_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_execs_past_their_deadline_are_lost, setup, teardown),
    };

    return cmocka_run_group_tests(tests, postgres_group_setup, postgres_group_teardown);
}
