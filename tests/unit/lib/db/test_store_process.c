#include "lib/db/store_process.h"
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

/* An exit with 0 that used some of everything. */
static struct process_end exited(const struct id *id)
{
    return (struct process_end){.id = *id,
                                .state = PROCESS_COMPLETED,
                                .ended_usec = INT64_C(1600000000000000),
                                .cpu_usec = 7,
                                .memory_peak_bytes = 4096,
                                .wall_usec = 9};
}

static void end(const struct process_end *how)
{
    struct error err;
    bool found = false;

    if (store_process_end(pool, &default_scope, how, &found, &err) < 0)
        fail_msg("%s", err.message);
    assert_true(found);
}

static struct store_process get(const struct id *container, const struct id *id)
{
    struct store_process process;

    assert_int_equal(store_process_get(pool, &default_scope, container, id, &process, NULL), 0);
    return process;
}

static enum error_code begin_fails(const struct db_scope *scope, const struct id *container)
{
    const struct store_process_new process = simple_process(container, STORE_PROCESS_EXEC);
    struct store_process_place place;
    struct error err;

    assert_int_equal(store_process_begin(pool, scope, &process, &test_origin, &place, &err), -1);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s'", &process.id), 0);
    return err.code;
}

/* Makes the last use of the container an hour old. */
static void let_idle(const struct id *container)
{
    free(value_of("UPDATE sandboxes SET last_active_at = now() - interval '1 hour'"
                  " WHERE id = '%s' RETURNING id",
                  container));
}

static bool is_used(const struct id *container)
{
    return number_of("SELECT count(*) FROM sandboxes WHERE id = '%s'"
                     " AND last_active_at > now() - interval '10 seconds'",
                     container) == 1;
}

/* --- begin */

static void test_begin_returns_the_place(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct store_process_new process = simple_process(&container, STORE_PROCESS_DETACHED);
    struct store_process_place place;

    (void)state;
    process.tag = "web";
    process.has_input = true;
    assert_int_equal(
        store_process_begin(pool, &default_scope, &process, &test_origin, &place, NULL), 0);
    assert_int_equal(place.generation, 1);
    assert_string_equal(place.env_json, "{\"NAME\": \"value\"}");
    assert_int_equal(place.command_timeout_ms, 0);
    assert_true(place.started_usec > 0);

    struct store_process shown = get(&container, &process.id);
    assert_int_equal(shown.kind, STORE_PROCESS_DETACHED);
    assert_int_equal(shown.state, PROCESS_RUNNING);
    assert_string_equal(shown.command_json, "[\"true\"]");
    assert_string_equal(shown.tag, "web");
    assert_true(shown.has_input && !shown.has_terminal && shown.is_reachable);
    assert_int_equal(shown.exit_code, -1);
    assert_int_equal(shown.signal, 0);
    assert_int_equal(shown.cpu_usec, -1);
    assert_int_equal(shown.ended_usec, 0);
    assert_int_equal(shown.started_usec, place.started_usec);
    store_process_free(&shown);
    store_process_place_free(&place);
}

static void test_begin_needs_a_running_container(void **state)
{
    struct id container = make_container(pool, &default_tenant);
    struct id definition = make_sandbox(pool, &default_tenant);
    struct id none;

    (void)state;
    assert_int_equal(id_new(&none, NULL), 0);
    assert_int_equal(begin_fails(&default_scope, &container), ERR_CONFLICT);
    step_container(pool, &default_tenant, &container, 1, SANDBOX_CREATING, SANDBOX_RUNNING);
    step_container(pool, &default_tenant, &container, 1, SANDBOX_RUNNING, SANDBOX_PAUSED);
    assert_int_equal(begin_fails(&default_scope, &container), ERR_CONFLICT);
    assert_int_equal(begin_fails(&default_scope, &definition), ERR_NOT_FOUND);
    assert_int_equal(begin_fails(&default_scope, &none), ERR_NOT_FOUND);
}

static void test_another_tenant_sees_nothing(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_EXEC);
    struct id id = begin_process(pool, &process);
    const struct db_scope other = {.tenant = make_tenant("other")};
    const struct process_end how = exited(&id);
    struct store_process shown;
    struct error err;
    bool found = true;

    (void)state;
    assert_int_equal(begin_fails(&other, &container), ERR_NOT_FOUND);
    assert_int_equal(store_process_get(pool, &other, &container, &id, &shown, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(store_process_end(pool, &other, &how, &found, NULL), 0);
    assert_false(found);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s' AND state ="
                               " 'running'",
                               &id),
                     1);
}

/* --- end */

static void test_an_end_is_told_once(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_EXEC);
    struct id id = begin_process(pool, &process);
    struct process_end first = exited(&id);
    struct process_end second = exited(&id);

    (void)state;
    first.state = PROCESS_FAILED;
    first.exit_code = 3;
    first.truncated = true;
    second.state = PROCESS_KILLED;
    second.exit_code = -1;
    second.signal = 9;
    end(&first);
    end(&second);

    struct store_process shown = get(&container, &id);
    assert_int_equal(shown.state, PROCESS_FAILED);
    assert_int_equal(shown.exit_code, 3);
    assert_int_equal(shown.signal, 0);
    assert_true(shown.truncated && !shown.timed_out);
    assert_int_equal(shown.ended_usec, INT64_C(1600000000000000));
    assert_int_equal(shown.cpu_usec, 7);
    assert_int_equal(shown.memory_peak_bytes, 4096);
    assert_int_equal(shown.wall_usec, 9);
    store_process_free(&shown);
}

static void test_a_wait_status_replaces_lost_and_nothing_else(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_DETACHED);
    struct id id = begin_process(pool, &process);
    const struct process_end lost = {.id = id,
                                     .state = PROCESS_LOST,
                                     .exit_code = -1,
                                     .cpu_usec = -1,
                                     .memory_peak_bytes = -1,
                                     .wall_usec = -1};
    const struct process_end how = exited(&id);
    struct store_process shown;

    (void)state;
    end(&lost);
    shown = get(&container, &id);
    assert_int_equal(shown.state, PROCESS_LOST);
    assert_int_equal(shown.exit_code, -1);
    assert_true(shown.ended_usec > 0);
    store_process_free(&shown);
    end(&how);
    end(&lost);
    shown = get(&container, &id);
    assert_int_equal(shown.state, PROCESS_COMPLETED);
    assert_int_equal(shown.exit_code, 0);
    store_process_free(&shown);
}

/* An agent may claim any id: it is heard about processes of its own sandbox alone. */
static void test_a_sandbox_ends_only_its_own(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct id liar = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_DETACHED);
    struct id id = begin_process(pool, &process);
    struct process_end how = exited(&id);

    (void)state;
    how.sandbox = &liar;
    end(&how);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s' AND ended_at IS"
                               " NULL",
                               &id),
                     1);
    how.sandbox = &container;
    end(&how);
    assert_int_equal(number_of("SELECT count(*) FROM processes WHERE id = '%s' AND ended_at IS"
                               " NULL",
                               &id),
                     0);
}

/* --- look, write */

static struct store_process_place look(const struct id *container)
{
    struct store_process_place place;
    struct error err;

    if (store_process_look(pool, &default_scope, container, &place, &err) < 0)
        fail_msg("%s", err.message);
    return place;
}

static void write_row(const struct store_process_new *process,
                      const struct store_process_place *place, const struct process_end *how)
{
    struct error err;

    if (store_process_write(pool, &default_scope, process, place, how, &test_origin, &err) < 0)
        fail_msg("%s", err.message);
}

static enum error_code look_fails(const struct id *container)
{
    struct store_process_place place;
    struct error err;

    assert_int_equal(store_process_look(pool, &default_scope, container, &place, &err), -1);
    return err.code;
}

static void test_a_look_finds_what_a_begin_finds(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct id stopped = make_container(pool, &default_tenant);
    struct id none;
    struct store_process_place place = look(&container);

    (void)state;
    assert_int_equal(place.generation, 1);
    assert_string_equal(place.env_json, "{\"NAME\": \"value\"}");
    assert_true(place.started_usec > 0);
    assert_null(place.policy_json);
    store_process_place_free(&place);
    assert_int_equal(
        number_of("SELECT count(*) FROM processes WHERE sandbox_id = '%s'", &container), 0);
    assert_int_equal(id_new(&none, NULL), 0);
    assert_int_equal(look_fails(&stopped), ERR_CONFLICT);
    assert_int_equal(look_fails(&none), ERR_NOT_FOUND);
}

/* What could be found idle while the command runs is not. */
static void test_what_is_fresh(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct store_process_place place;

    (void)state;
    free(value_of("UPDATE sandboxes SET last_active_at = now() + interval '1 hour',"
                  " idle_timeout_s = 5 WHERE id = '%s' RETURNING id",
                  &container));
    place = look(&container);
    assert_true(place.is_fresh);
    store_process_place_free(&place);
    free(value_of("UPDATE sandboxes SET idle_timeout_s = 4 WHERE id = '%s' RETURNING id",
                  &container));
    place = look(&container);
    assert_false(place.is_fresh);
    store_process_place_free(&place);
    free(value_of("UPDATE sandboxes SET idle_timeout_s = 3600 WHERE id = '%s' RETURNING id",
                  &container));
    let_idle(&container);
    place = look(&container);
    assert_false(place.is_fresh);
    store_process_place_free(&place);
}

static void test_a_look_finds_the_policy(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct store_process_place place;

    (void)state;
    free(value_of("UPDATE projects SET command_policy = '{\"mode\": \"enforce\"}' WHERE id ="
                  " (SELECT project_id FROM sandboxes WHERE id = '%s') RETURNING id",
                  &container));
    place = look(&container);
    assert_non_null(place.policy_json);
    store_process_place_free(&place);
}

/* Also when the container was stopped or deleted meanwhile: the command has run. */
static void test_a_row_is_written_with_its_end(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct store_process_new process = simple_process(&container, STORE_PROCESS_EXEC);
    struct process_end how = exited(&process.id);
    struct store_process_place place = look(&container);
    struct store_process shown;

    (void)state;
    process.tag = "quick";
    how.state = PROCESS_FAILED;
    how.exit_code = 3;
    step_container(pool, &default_tenant, &container, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    write_row(&process, &place, &how);
    shown = get(&container, &process.id);
    assert_int_equal(shown.kind, STORE_PROCESS_EXEC);
    assert_int_equal(shown.state, PROCESS_FAILED);
    assert_int_equal(shown.exit_code, 3);
    assert_int_equal(shown.signal, 0);
    assert_int_equal(shown.generation, 1);
    assert_string_equal(shown.command_json, "[\"true\"]");
    assert_string_equal(shown.tag, "quick");
    assert_int_equal(shown.started_usec, place.started_usec);
    assert_true(shown.ended_usec >= shown.started_usec);
    assert_int_equal(shown.cpu_usec, 7);
    assert_int_equal(shown.wall_usec, 9);
    store_process_free(&shown);
    store_process_place_free(&place);
}

static void test_a_row_is_written_while_it_runs(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_EXEC);
    const struct process_end how = exited(&process.id);
    struct store_process_place place = look(&container);
    struct store_process shown;

    (void)state;
    let_idle(&container);
    write_row(&process, &place, NULL);
    assert_true(is_used(&container));
    shown = get(&container, &process.id);
    assert_int_equal(shown.state, PROCESS_RUNNING);
    assert_int_equal(shown.ended_usec, 0);
    assert_int_equal(shown.exit_code, -1);
    assert_int_equal(shown.started_usec, place.started_usec);
    store_process_free(&shown);
    end(&how);
    write_row(&process, &place, NULL); /* as after an answer that was lost */
    shown = get(&container, &process.id);
    assert_int_equal(shown.state, PROCESS_COMPLETED);
    store_process_free(&shown);
    store_process_place_free(&place);
}

static void test_a_look_at_another_tenant(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_EXEC);
    const struct db_scope other = {.tenant = make_tenant("other")};
    struct store_process_place place;
    struct error err;

    (void)state;
    assert_int_equal(store_process_look(pool, &other, &process.sandbox, &place, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* --- get, list */

static void test_a_process_is_reachable_in_its_generation(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_DETACHED);
    struct id id = begin_process(pool, &process);
    struct store_process shown;

    (void)state;
    step_container(pool, &default_tenant, &container, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    shown = get(&container, &id);
    assert_false(shown.is_reachable);
    store_process_free(&shown);
    step_container(pool, &default_tenant, &container, 1, SANDBOX_STOPPED, SANDBOX_CREATING);
    step_container(pool, &default_tenant, &container, 2, SANDBOX_CREATING, SANDBOX_RUNNING);
    shown = get(&container, &id);
    assert_false(shown.is_reachable);
    assert_int_equal(shown.generation, 1);
    store_process_free(&shown);
}

static void test_a_process_is_found_in_its_container_alone(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct id other = make_running_container(pool, &default_tenant);
    const struct store_process_new process = simple_process(&container, STORE_PROCESS_DETACHED);
    struct id id = begin_process(pool, &process);
    struct store_process shown;
    struct error err;

    (void)state;
    assert_int_equal(store_process_get(pool, &default_scope, &other, &id, &shown, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void expect_list(const struct id *container, const struct store_process_filter *filter,
                        const struct id *const *ids, size_t count)
{
    struct store_process_list list;

    assert_int_equal(store_process_list(pool, &default_scope, container, filter, &list, NULL), 0);
    assert_int_equal(list.count, count);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(&list.items[i].id, ids[i], sizeof(*ids[i]));
    store_process_list_free(&list);
}

static void test_a_list_is_newest_first(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    struct id ids[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct store_process_new process = simple_process(&container, STORE_PROCESS_DETACHED);

        /* Ids of one millisecond are in no order of their own. */
        if (i > 0)
            process.id = ids[0];
        process.id.bytes[ID_BYTES - 1] = (uint8_t)i;
        process.tag = i == 1 ? "one" : NULL;
        ids[i] = begin_process(pool, &process);
    }
    expect_list(&container, &(struct store_process_filter){.limit = 10},
                (const struct id *const[]){&ids[2], &ids[1], &ids[0]}, 3);
    expect_list(&container, &(struct store_process_filter){.limit = 1},
                (const struct id *const[]){&ids[2]}, 1);
    expect_list(&container, &(struct store_process_filter){.limit = 10, .before = &ids[1]},
                (const struct id *const[]){&ids[0]}, 1);
    expect_list(&container, &(struct store_process_filter){.limit = 10, .tag = "one"},
                (const struct id *const[]){&ids[1]}, 1);
    expect_list(&container, &(struct store_process_filter){.limit = 10, .tag = "two"}, NULL, 0);
}

static void test_a_list_of_no_container(void **state)
{
    const struct store_process_filter filter = {.limit = 10};
    struct id definition = make_sandbox(pool, &default_tenant);
    struct store_process_list list;
    struct error err;

    (void)state;
    assert_int_equal(store_process_list(pool, &default_scope, &definition, &filter, &list, &err),
                     -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* --- use */

static void test_what_is_a_use(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const struct store_process_new exec = simple_process(&container, STORE_PROCESS_EXEC);
    const struct store_process_new detached = simple_process(&container, STORE_PROCESS_DETACHED);
    const struct process_end exec_end = exited(&exec.id);
    const struct process_end detached_end = exited(&detached.id);

    (void)state;
    let_idle(&container);
    (void)begin_process(pool, &exec);
    assert_true(is_used(&container));
    let_idle(&container);
    end(&exec_end);
    assert_true(is_used(&container));
    let_idle(&container);
    (void)begin_process(pool, &detached);
    assert_true(is_used(&container));
    let_idle(&container);
    end(&detached_end);
    assert_false(is_used(&container));
    assert_int_equal(store_process_touch(pool, &default_scope, &container, 1, NULL), 0);
    assert_true(is_used(&container));
}

static void test_a_use_is_written_once_a_second(void **state)
{
    struct id container = make_running_container(pool, &default_tenant);
    const char version[] = "SELECT xmin FROM sandboxes WHERE id = '%s'";
    long before;

    (void)state;
    let_idle(&container);
    assert_int_equal(store_process_touch(pool, &default_scope, &container, 1, NULL), 0);
    /* As if the second never passed, however slow this machine is. */
    free(value_of("UPDATE sandboxes SET last_active_at = now() + interval '1 hour'"
                  " WHERE id = '%s' RETURNING id",
                  &container));
    before = number_of(version, &container);
    assert_int_equal(store_process_touch(pool, &default_scope, &container, 1, NULL), 0);
    assert_int_equal(number_of(version, &container), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_begin_returns_the_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_begin_needs_a_running_container, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_tenant_sees_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_end_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wait_status_replaces_lost_and_nothing_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_sandbox_ends_only_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_look_finds_what_a_begin_finds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_fresh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_look_finds_the_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_row_is_written_with_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_row_is_written_while_it_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_look_at_another_tenant, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_process_is_reachable_in_its_generation, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_process_is_found_in_its_container_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_list_is_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_list_of_no_container, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_a_use, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_use_is_written_once_a_second, setup, teardown),
    };

    return cmocka_run_group_tests(tests, postgres_group_setup, postgres_group_teardown);
}
