/* The end of all that runs, through the real agent. */
#include "lib/base/util.h"
#include "tests/unit/agent/process_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FOLLOWERS = 100 };

struct listed {
    struct agent_process *processes;
    size_t count;
};

/* A stop is over when the agent has heard of its client's end, perhaps behind the next one's
 * request. */
static void await_no_stop(struct bench *bench)
{
    static const char *const argv[] = {"true", NULL};

    while (bench_try(bench, argv) < 0)
        assert_int_equal(bench->err.code, ERR_CONFLICT);
    bench_wait(bench);
    assert_int_equal(bench->process.exit_code, 0);
}

static struct bench begin(void **state)
{
    struct bench bench = bench_begin(state);

    await_no_stop(&bench);
    return bench;
}

static struct listed stop(struct agent_client *client, uint32_t grace_ms)
{
    struct listed listed = {.processes = NULL};
    struct error err;

    assert_int_equal(agent_process_stop(client, grace_ms, agent_fixture_deadline(),
                                        &listed.processes, &listed.count, &err),
                     0);
    return listed;
}

static const struct agent_process *find(const struct listed *listed, const struct id *id)
{
    for (size_t i = 0; i < listed->count; i++)
        if (id_equal(&listed->processes[i].id, id))
            return &listed->processes[i];
    fail_msg("the process is not listed");
    return NULL;
}

static void assert_ended_by(const struct listed *listed, const struct id *id, int signum)
{
    const struct agent_process *process = find(listed, id);

    assert_int_equal(process->state, AGENT_PROCESS_ENDED);
    assert_int_equal(process->signal, signum);
}

static void await_output(struct agent_attach *attach)
{
    struct agent_attach_event event = {.kind = AGENT_ATTACH_STATE};
    struct error err;

    while (event.kind != AGENT_ATTACH_OUTPUT)
        assert_int_equal(bench_event(attach, &event, &err), 0);
}

/* Waits for a line of output. */
static void await_ready(const struct bench *bench)
{
    const struct agent_attach_options options = {.follow = true};
    struct agent_attach *attach = bench_attach(bench, &options);

    await_output(attach);
    agent_attach_free(attach);
}

struct three {
    struct id mild, polite, stubborn;
};

static void start_three(struct bench *bench, struct three *ret_three)
{
    bench_start(bench, "exec sleep 1000");
    ret_three->mild = bench->request.id;
    bench_start(bench, "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
    await_ready(bench);
    ret_three->polite = bench->request.id;
    bench_start(bench, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    await_ready(bench);
    ret_three->stubborn = bench->request.id;
}

/* Stops three, with so much time that who is polite can use it, however busy the machine is. */
static struct listed stop_three(struct bench *bench, struct three *ret_three)
{
    for (uint32_t grace_ms = 500;; grace_ms *= 4) {
        struct agent_client *stopper = agent_fixture_connect(bench->fixture);
        struct listed listed;

        start_three(bench, ret_three);
        listed = stop(stopper, grace_ms);
        agent_client_free(stopper);
        if (find(&listed, &ret_three->polite)->signal == 0 || grace_ms > 30 * 1000)
            return listed;
        free(listed.processes);
        await_no_stop(bench);
    }
}

static void test_term_first_and_kill_at_the_end(void **state)
{
    struct bench bench = begin(state);
    struct three three;
    struct listed listed = stop_three(&bench, &three);

    assert_ended_by(&listed, &three.mild, SIGTERM);
    assert_ended_by(&listed, &three.stubborn, SIGKILL);
    assert_ended_by(&listed, &three.polite, 0);
    assert_int_equal(find(&listed, &three.polite)->exit_code, 3);
    assert_int_equal(find(&listed, &three.polite)->stdout_size, strlen("ready\nbye\n"));
    free(listed.processes);
    bench_end(&bench);
}

static void test_no_grace_kills_at_once(void **state)
{
    struct bench bench = begin(state);
    struct listed listed;

    bench_start(&bench, "trap 'exit 0' TERM; echo ready; setsid sleep 1000 & wait");
    await_ready(&bench);
    listed = stop(bench.client, 0);
    assert_ended_by(&listed, &bench.request.id, SIGKILL);
    free(listed.processes);
    bench_end(&bench);
}

static void test_a_shell_at_a_terminal_ends(void **state)
{
    struct bench bench = begin(state);
    struct listed listed;

    bench.request.terminal = true;
    bench.request.rows = 24;
    bench.request.columns = 80;
    bench_start(&bench, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    await_ready(&bench);
    listed = stop(bench.client, 60 * 1000);
    assert_ended_by(&listed, &bench.request.id, SIGHUP);
    free(listed.processes);
    bench_end(&bench);
}

static void test_what_would_be_tried_again_is_not(void **state)
{
    struct bench bench = begin(state);
    struct listed listed;
    const struct agent_process *process;

    bench.request.retries = 1000;
    bench.request.backoff_ms = 60 * 1000;
    bench_start(&bench, "exit 9");
    do {
        assert_int_equal(agent_process_wait(bench.client, &bench.request.id, 10,
                                            agent_fixture_deadline(), &bench.process, &bench.err),
                         0);
    } while (bench.process.state != AGENT_PROCESS_RESTARTING);
    listed = stop(bench.client, 1000);
    process = find(&listed, &bench.request.id);
    assert_int_equal(process->state, AGENT_PROCESS_ENDED);
    assert_int_equal(process->exit_code, 9);
    free(listed.processes);
    bench_end(&bench);
}

static void test_nothing_starts_until_the_client_is_gone(void **state)
{
    static const char *const argv[] = {"true", NULL};
    struct bench bench = begin(state);
    struct agent_client *stopper = agent_fixture_connect(bench.fixture);
    struct listed listed = stop(stopper, 1000);

    free(listed.processes);
    assert_int_equal(bench_try(&bench, argv), -1);
    assert_int_equal(bench.err.code, ERR_CONFLICT);
    agent_client_free(stopper);
    await_no_stop(&bench);
    bench_end(&bench);
}

/* True when what has arrived already tells the reader the end: one frame. */
static bool is_told(struct agent_attach *attach)
{
    struct agent_attach_event event = {.kind = AGENT_ATTACH_STATE};
    struct error err;

    return agent_attach_receive(attach, &err) == 0 && agent_attach_next(attach, &event, &err) > 0 &&
           event.kind == AGENT_ATTACH_DONE && event.process.state == AGENT_PROCESS_ENDED;
}

/* The answer may be followed by the end of the agent. In one of its own nothing else takes time. */
static void test_who_follows_is_told_before_who_stops(void **state)
{
    const struct agent_attach_options options = {.follow = true};
    struct bench bench = bench_begin(state);
    struct agent_attach *followers[FOLLOWERS];
    struct agent_fixture fixture;
    struct listed listed;
    size_t told = 0;

    assert_true(agent_fixture_start(&fixture, "strict"));
    agent_client_free(bench.client);
    bench.fixture = &fixture;
    bench.client = agent_fixture_connect(&fixture);

    bench_start(&bench, "echo ready; exec sleep 1000");
    for (size_t i = 0; i < FOLLOWERS; i++) {
        followers[i] = bench_attach(&bench, &options);
        await_output(followers[i]);
    }
    listed = stop(bench.client, 0);
    for (size_t i = FOLLOWERS; i-- > 0;) {
        told += is_told(followers[i]);
        agent_attach_free(followers[i]);
    }
    free(listed.processes);
    bench_end(&bench);
    agent_fixture_stop(&fixture);
    assert_int_equal(told, FOLLOWERS);
}

static void test_a_second_stop_may_be_shorter(void **state)
{
    struct bench bench = begin(state);
    struct agent_client *other = agent_fixture_connect(bench.fixture);
    struct listed listed;
    struct error err;

    bench_start(&bench, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
    await_ready(&bench);
    /* Its time is over before the answer: the client gives up, and the stop with it. */
    assert_int_equal(agent_process_stop(other, 60 * 1000, monotonic_usec() + 20000,
                                        &listed.processes, &listed.count, &err),
                     -1);
    listed = stop(bench.client, 0);
    assert_ended_by(&listed, &bench.request.id, SIGKILL);
    free(listed.processes);
    agent_client_free(other);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_term_first_and_kill_at_the_end),
        cmocka_unit_test(test_no_grace_kills_at_once),
        cmocka_unit_test(test_a_shell_at_a_terminal_ends),
        cmocka_unit_test(test_what_would_be_tried_again_is_not),
        cmocka_unit_test(test_nothing_starts_until_the_client_is_gone),
        cmocka_unit_test(test_who_follows_is_told_before_who_stops),
        cmocka_unit_test(test_a_second_stop_may_be_shorter),
    };

    return cmocka_run_group_tests(tests, agent_group_set_up, agent_group_tear_down);
}
