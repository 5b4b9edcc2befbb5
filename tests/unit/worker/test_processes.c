/* Ends of processes that nobody asked about: containers that have ended, and their logs. */
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/process_log.h"
#include "tests/unit/support/store.h"
#include "worker/worker.h"

#include <atoll/cleanup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char state_dir[64];
static struct config config;
static struct db_pool *app;
static struct worker worker;
static struct log_writer written;

static int setup(void **state)
{
    worker = (struct worker){.config = &config, .node = "node-1"};
    (void)snprintf(state_dir, sizeof(state_dir), "/tmp/atoll-state.XXXXXX");
    config.state_dir = mkdtemp(state_dir);
    written.size = 0;
    /* No launcher is there: only the paths of agents are asked of its client. */
    return postgres_pools_setup(state, &app, &worker.pool) < 0
               ? -1
               : launcher_client_open(state_dir, 1000, &worker.launcher, NULL);
}

static int teardown(void **state)
{
    (void)state;
    launcher_client_free(worker.launcher);
    log_folder_remove(state_dir);
    return postgres_pools_teardown(&app, &worker.pool);
}

static struct id begin(const struct id *container)
{
    const struct store_process_new process = simple_process(container, STORE_PROCESS_DETACHED);
    struct id id = begin_process(app, &process);

    written.process = id;
    return id;
}

static void stop(const struct id *container)
{
    step_container(app, &default_tenant, container, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
}

static uint64_t round_of_worker(void)
{
    struct worker_round round;
    struct error err;

    if (worker_watch_processes(&worker, &round, &err) < 0)
        fail_msg("%s", err.message);
    return round.done;
}

/* The row as a caller sees it; strings are not read. */
static struct store_process get(const struct id *container, const struct id *id)
{
    struct store_process process;

    assert_int_equal(store_process_get(app, &default_scope, container, id, &process, NULL), 0);
    store_process_free(&(struct store_process){.owner = process.owner});
    return process;
}

static void put_log(const struct id *container)
{
    _cleanup_close_ int folder = log_folder_make(state_dir, container, 1);

    log_put(&written, folder, "");
}

static void test_a_log_tells_the_real_end(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct id id = begin(&container);
    struct store_process process;

    (void)state;
    stop(&container);
    log_add_head(&written, 0, 0);
    log_add_state(&written, AGENT_PROCESS_RUNNING);
    log_add_output(&written, AGENT_STREAM_STDOUT, 0, "bye");
    log_add_end(&written, 7 << 8);
    put_log(&container);
    assert_int_equal(round_of_worker(), 1);
    process = get(&container, &id);
    assert_int_equal(process.state, PROCESS_FAILED);
    assert_int_equal(process.exit_code, 7);
    assert_int_equal(process.cpu_usec, 1000000);
    assert_int_equal(process.wall_usec, 3000000);
    assert_int_equal(round_of_worker(), 0);
}

static void test_a_log_that_saw_no_end_is_lost(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct id id = begin(&container);

    (void)state;
    stop(&container);
    log_add_head(&written, 0, 0);
    log_add_state(&written, AGENT_PROCESS_RUNNING);
    put_log(&container);
    assert_int_equal(round_of_worker(), 1);
    assert_int_equal(get(&container, &id).state, PROCESS_LOST);
}

/* The files were written from inside: one that lies about its format is no end either. */
static void test_a_broken_log_is_lost(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct id id = begin(&container);

    (void)state;
    stop(&container);
    log_add_head(&written, 0, 0);
    (void)log_add_frame(&written, AGENT_FRAME_EXEC, 0);
    log_add_end(&written, 0);
    put_log(&container);
    assert_int_equal(round_of_worker(), 1);
    assert_int_equal(get(&container, &id).state, PROCESS_LOST);
}

static void test_no_log_is_lost(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct id id = begin(&container);
    struct store_process process;

    (void)state;
    stop(&container);
    assert_int_equal(round_of_worker(), 1);
    process = get(&container, &id);
    assert_int_equal(process.state, PROCESS_LOST);
    assert_int_equal(process.exit_code, -1);
    assert_int_equal(process.cpu_usec, -1);
}

static void put_end(const struct id *container, uint64_t ended_usec)
{
    log_add_head(&written, 0, 0);
    log_add_end_at(&written, 0, ended_usec);
    put_log(container);
}

static bool has_ended_by_now(const struct id *container, const struct id *id)
{
    return get(container, id).state == PROCESS_COMPLETED &&
           number_of("SELECT count(*) FROM processes WHERE id = '%s' AND ended_at <= now()", id) ==
               1;
}

/* What its sandbox says of the time may be anything: the end is recorded, and nobody waits. */
static void test_an_end_that_no_clock_can_have_holds_nobody_up(void **state)
{
    static const uint64_t times[] = {INT64_MAX, INT64_MAX / 2, 0};
    struct id containers[3];
    struct id ids[3];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        containers[i] = make_running_container(app, &default_tenant);
        ids[i] = begin(&containers[i]);
        put_end(&containers[i], times[i]);
        stop(&containers[i]);
    }
    assert_int_equal(round_of_worker(), 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(has_ended_by_now(&containers[i], &ids[i]));
}

/* A container that is up may be paused: whose agent does not answer says nothing. */
static void test_an_agent_that_does_not_answer_is_waited_for(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct id id = begin(&container);

    (void)state;
    log_add_head(&written, 0, 0);
    log_add_end(&written, 0);
    put_log(&container);
    postgres_execute("UPDATE processes SET started_at = now() - interval '1 hour'");
    assert_int_equal(round_of_worker(), 0);
    assert_int_equal(get(&container, &id).state, PROCESS_RUNNING);
}

static void test_processes_of_all_that_ended(void **state)
{
    struct id containers[3];
    struct id ids[6];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        containers[i] = make_running_container(app, &default_tenant);
        for (size_t j = 0; j < 2; j++)
            ids[2 * i + j] = begin(&containers[i]);
        if (i != 1)
            stop(&containers[i]);
    }
    assert_int_equal(round_of_worker(), 4);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(get(&containers[i / 2], &ids[i]).state,
                         i / 2 == 1 ? PROCESS_RUNNING : PROCESS_LOST);
}

/* A stop of what has no agent any more ends without one. */
static void test_nothing_is_ended_where_nothing_is(void **state)
{
    struct id container = make_running_container(app, &default_tenant);
    struct id id = begin(&container);

    (void)state;
    worker_end_processes(&worker, &container, 1);
    assert_int_equal(get(&container, &id).state, PROCESS_RUNNING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_log_tells_the_real_end),
        TEST(test_a_log_that_saw_no_end_is_lost),
        TEST(test_a_broken_log_is_lost),
        TEST(test_no_log_is_lost),
        TEST(test_an_end_that_no_clock_can_have_holds_nobody_up),
        TEST(test_an_agent_that_does_not_answer_is_waited_for),
        TEST(test_processes_of_all_that_ended),
        TEST(test_nothing_is_ended_where_nothing_is),
    };

    return cmocka_run_group_tests(tests, postgres_group_setup, postgres_group_teardown);
}
