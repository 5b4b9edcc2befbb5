/* Processes that live on their own, through the real agent. */
#include "lib/base/util.h"
#include "tests/unit/agent/process_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

static void test_output_and_status_are_kept(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench_start(&bench, "echo out; echo err >&2; exit 7");
    assert_true(bench.process.pid > 1);
    assert_int_equal(bench.process.attempts, 1);
    bench_wait(&bench);
    assert_int_equal(bench.process.exit_code, 7);
    assert_int_equal(bench.process.signal, 0);
    assert_int_equal(bench.process.stdout_size, 4);
    assert_int_equal(bench.process.stderr_size, 4);
    assert_true(bench.process.ended_usec >= bench.process.started_usec);
    assert_true(bench.process.max_rss_bytes > 0);
    transcript = bench_read(&bench, 0);
    assert_int_equal(transcript.size, 8);
    assert_string_equal(transcript.out, "out\n");
    assert_int_equal(transcript.process.exit_code, 7);
    transcript_free(&transcript);
    bench_end(&bench);
}

static void test_it_outlives_the_connection(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench.request.input = true;
    bench_start(&bench, "read line; echo got $line");
    agent_client_free(bench.client);
    bench.client = agent_fixture_connect(bench.fixture);
    assert_int_equal(agent_process_input(bench.client, &bench.request.id, "one\n", 4, false,
                                         agent_fixture_deadline(), &bench.err),
                     0);
    transcript = bench_read(&bench, 0);
    assert_string_equal(transcript.bytes, "got one\n");
    assert_int_equal(transcript.process.exit_code, 0);
    transcript_free(&transcript);
    bench_end(&bench);
}

static void test_a_failed_start_leaves_nothing(void **state)
{
    static const char *const missing[] = {"/no/such/program", NULL};
    struct bench bench = bench_begin(state);
    struct agent_process process;

    assert_int_equal(bench_try(&bench, missing), -1);
    assert_int_equal(bench.err.code, ERR_NOT_POSSIBLE);
    assert_non_null(strstr(bench.err.message, "No such file"));
    assert_int_equal(agent_process_wait(bench.client, &bench.request.id, 0,
                                        agent_fixture_deadline(), &process, &bench.err),
                     -1);
    assert_int_equal(bench.err.code, ERR_NOT_FOUND);
    bench.request.cwd = "/no/such/folder";
    assert_int_equal(bench_try(&bench, (const char *const[]){"true", NULL}), -1);
    assert_non_null(strstr(bench.err.message, "working directory"));
    bench_end(&bench);
}

/* Also when other processes live in the sandbox, and the agent cannot wait for the exec. */
static void test_a_failed_start_beside_others(void **state)
{
    static const char *const missing[] = {"/no/such/program", NULL};
    struct bench other = bench_begin(state);
    struct bench bench = bench_begin(state);

    bench_start(&other, "sleep 1000");
    assert_int_equal(bench_try(&bench, missing), -1);
    assert_non_null(strstr(bench.err.message, "No such file"));
    assert_int_equal(agent_process_signal(other.client, &other.request.id, SIGKILL,
                                          AGENT_SIGNAL_TREE, true, agent_fixture_deadline(),
                                          &other.err),
                     0);
    bench_wait(&other);
    assert_int_equal(other.process.signal, SIGKILL);
    bench_end(&bench);
    bench_end(&other);
}

static void test_an_id_is_started_once(void **state)
{
    static const char *const argv[] = {"true", NULL};
    struct bench bench = bench_begin(state);

    bench_start(&bench, "exit 0");
    bench.request.argv = argv;
    assert_int_equal(agent_process_start(bench.client, &bench.request, agent_fixture_deadline(),
                                         &bench.process, &bench.err),
                     -1);
    assert_int_equal(bench.err.code, ERR_CONFLICT);
    bench_wait(&bench);
    bench_end(&bench);
}

static void test_wait_has_a_timeout(void **state)
{
    struct bench bench = bench_begin(state);

    bench_start(&bench, "exec sleep 1000");
    assert_int_equal(agent_process_wait(bench.client, &bench.request.id, 20,
                                        agent_fixture_deadline(), &bench.process, &bench.err),
                     0);
    assert_int_equal(bench.process.state, AGENT_PROCESS_RUNNING);
    assert_int_equal(agent_process_signal(bench.client, &bench.request.id, SIGTERM,
                                          AGENT_SIGNAL_PROCESS, false, agent_fixture_deadline(),
                                          &bench.err),
                     0);
    bench_wait(&bench);
    assert_int_equal(bench.process.signal, SIGTERM);
    assert_int_equal(bench.process.exit_code, -1);
    bench_end(&bench);
}

static void test_signals_reach_group_and_tree(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench_start(&bench, "trap 'echo parent' USR1; (trap 'echo child; exit' USR1; echo up; while :; "
                        "do sleep 0.01; done) & wait; wait");
    {
        const struct agent_attach_options options = {.follow = true};
        struct agent_attach *attach = bench_attach(&bench, &options);
        struct agent_attach_event event;

        do
            assert_int_equal(bench_event(attach, &event, &bench.err), 0);
        while (event.kind != AGENT_ATTACH_OUTPUT);
        agent_attach_free(attach);
    }
    assert_int_equal(agent_process_signal(bench.client, &bench.request.id, SIGUSR1,
                                          AGENT_SIGNAL_GROUP, false, agent_fixture_deadline(),
                                          &bench.err),
                     0);
    transcript = bench_read(&bench, 0);
    assert_non_null(strstr(transcript.bytes, "child\n"));
    assert_non_null(strstr(transcript.bytes, "parent\n"));
    transcript_free(&transcript);
    bench_end(&bench);
}

static void test_leftovers_die_when_asked(void **state)
{
    struct bench bench = bench_begin(state);

    bench_start(&bench, "setsid sleep 1000 > /dev/null 2>&1 & exit 0");
    bench_wait(&bench);
    assert_int_equal(agent_process_signal(bench.client, &bench.request.id, SIGKILL,
                                          AGENT_SIGNAL_TREE, true, agent_fixture_deadline(),
                                          &bench.err),
                     0);
    bench.request.kill_leftovers = true;
    bench_start(&bench, "setsid sleep 1000 > /dev/null 2>&1 & exit 0");
    bench_wait(&bench);
    assert_int_equal(agent_process_signal(bench.client, &bench.request.id, SIGKILL,
                                          AGENT_SIGNAL_TREE, true, agent_fixture_deadline(),
                                          &bench.err),
                     -1);
    assert_int_equal(bench.err.code, ERR_CONFLICT);
    bench_end(&bench);
}

static void test_timeout(void **state)
{
    struct bench bench = bench_begin(state);

    bench.request.timeout_ms = 50;
    bench.request.grace_ms = 50;
    bench.request.retries = 3;
    do { /* until it is ready before its time is over, which a busy machine may need longer for */
        bench.request.timeout_ms *= 2;
        bench_start(&bench, "trap '' TERM; echo up; while :; do sleep 1; done");
        bench_wait(&bench);
    } while (bench.process.stdout_size == 0 && bench.request.timeout_ms < 60 * 1000);
    assert_true(bench.process.timed_out);
    assert_int_equal(bench.process.signal, SIGKILL);
    assert_int_equal(bench.process.attempts, 1);
    bench_end(&bench);
}

static void test_a_failing_process_is_started_again(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench.request.retries = 2;
    bench.request.backoff_ms = 1;
    bench_start(&bench, "echo try; exit 3");
    bench_wait(&bench);
    assert_int_equal(bench.process.attempts, 3);
    assert_int_equal(bench.process.exit_code, 3);
    transcript = bench_read(&bench, 0);
    assert_string_equal(transcript.bytes, "try\ntry\ntry\n");
    transcript_free(&transcript);
    bench_start(&bench, "exit 0");
    bench_wait(&bench);
    assert_int_equal(bench.process.attempts, 1);
    bench_end(&bench);
}

static void test_a_final_signal_ends_the_retries(void **state)
{
    struct bench bench = bench_begin(state);

    bench.request.retries = 1000;
    bench.request.backoff_ms = 60000;
    bench_start(&bench, "exit 3");
    do
        assert_int_equal(agent_process_wait(bench.client, &bench.request.id, 1,
                                            agent_fixture_deadline(), &bench.process, &bench.err),
                         0);
    while (bench.process.state != AGENT_PROCESS_RESTARTING);
    assert_int_equal(agent_process_signal(bench.client, &bench.request.id, SIGTERM,
                                          AGENT_SIGNAL_PROCESS, true, agent_fixture_deadline(),
                                          &bench.err),
                     0);
    bench_wait(&bench);
    assert_int_equal(bench.process.exit_code, 3);
    assert_int_equal(bench.process.attempts, 1);
    bench_end(&bench);
}

static void test_stdin_is_fed_and_closed(void **state)
{
    enum { SIZE = 1 << 20 };
    struct bench bench = bench_begin(state);
    char *bytes = malloc(SIZE);
    struct transcript transcript;

    memset(bytes, 'x', SIZE);
    bench.request.input = true;
    bench_start(&bench, "wc -c");
    assert_true(bench.process.input);
    assert_int_equal(agent_process_input(bench.client, &bench.request.id, bytes, SIZE, false,
                                         agent_fixture_deadline(), &bench.err),
                     0);
    assert_int_equal(agent_process_input(bench.client, &bench.request.id, bytes, 5, true,
                                         agent_fixture_deadline(), &bench.err),
                     0);
    transcript = bench_read(&bench, 0);
    assert_int_equal(strtol(transcript.bytes, NULL, 10), SIZE + 5);
    assert_int_equal(agent_process_input(bench.client, &bench.request.id, bytes, 1, false,
                                         agent_fixture_deadline(), &bench.err),
                     -1);
    assert_int_equal(bench.err.code, ERR_CONFLICT);
    transcript_free(&transcript);
    free(bytes);
    bench_end(&bench);
}

static void test_list_and_forget(void **state)
{
    struct bench bench = bench_begin(state);
    struct agent_process *before, *after;
    size_t before_count, after_count;

    bench_start(&bench, "sleep 1000");
    assert_int_equal(agent_process_list(bench.client, agent_fixture_deadline(), &before,
                                        &before_count, &bench.err),
                     0);
    assert_int_equal(agent_process_forget(bench.client, &bench.request.id, true,
                                          agent_fixture_deadline(), &bench.err),
                     -1);
    assert_int_equal(bench.err.code, ERR_CONFLICT);
    assert_int_equal(agent_process_signal(bench.client, &bench.request.id, SIGKILL,
                                          AGENT_SIGNAL_TREE, true, agent_fixture_deadline(),
                                          &bench.err),
                     0);
    bench_wait(&bench);
    assert_int_equal(agent_process_forget(bench.client, &bench.request.id, true,
                                          agent_fixture_deadline(), &bench.err),
                     0);
    assert_int_equal(agent_process_list(bench.client, agent_fixture_deadline(), &after,
                                        &after_count, &bench.err),
                     0);
    assert_int_equal(before_count, after_count + 1);
    free(before);
    free(after);
    bench_end(&bench);
}

static void forget_all(struct bench *bench)
{
    struct agent_process *processes;
    size_t count;

    assert_int_equal(agent_process_list(bench->client, agent_fixture_deadline(), &processes, &count,
                                        &bench->err),
                     0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(agent_process_wait(bench->client, &processes[i].id, UINT32_MAX,
                                            agent_fixture_deadline(), &processes[i], &bench->err),
                         0);
        assert_int_equal(agent_process_forget(bench->client, &processes[i].id, true,
                                              agent_fixture_deadline(), &bench->err),
                         0);
    }
    free(processes);
}

static void test_the_table_is_bounded(void **state)
{
    static const char *const argv[] = {"true", NULL};
    struct bench bench = bench_begin(state);

    forget_all(&bench);
    for (int i = 0; i < AGENT_PROCESSES_MAX; i++)
        assert_int_equal(bench_try(&bench, argv), 0);
    assert_int_equal(bench_try(&bench, argv), -1);
    assert_int_equal(bench.err.code, ERR_TOO_MANY);
    forget_all(&bench);
    assert_int_equal(bench_try(&bench, argv), 0);
    bench_end(&bench);
}

static void test_an_exec_kills_only_its_own(void **state)
{
    const char *const argv[] = {"sh", "-c", "sleep 1000 & exit 0", NULL};
    struct bench bench = bench_begin(state);
    struct agent_exec_request request = {
        .argv = argv,
        .env = bench.request.env,
        .cwd = "/",
        .user = bench.request.user,
        .kill_leftovers = true,
    };
    struct agent_exec_result result;

    bench_start(&bench, "exec sleep 1000");
    assert_int_equal(
        agent_client_exec(bench.client, &request, agent_fixture_deadline(), &result, &bench.err),
        0);
    agent_exec_result_free(&result);
    assert_int_equal(agent_process_wait(bench.client, &bench.request.id, 0,
                                        agent_fixture_deadline(), &bench.process, &bench.err),
                     0);
    assert_int_equal(bench.process.state, AGENT_PROCESS_RUNNING);
    assert_int_equal(agent_process_signal(bench.client, &bench.request.id, SIGKILL,
                                          AGENT_SIGNAL_PROCESS, true, agent_fixture_deadline(),
                                          &bench.err),
                     0);
    bench_wait(&bench);
    bench_end(&bench);
}

static void test_commands_have_the_usual_limits(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;
    struct rlimit limit;
    char expected[64];

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    (void)snprintf(expected, sizeof(expected), "%llu\n4\n", (unsigned long long)limit.rlim_cur);
    bench_start(&bench, "ulimit -Sn; ls /proc/self/fd | wc -l");
    transcript = bench_read(&bench, 0);
    assert_string_equal(transcript.bytes, expected);
    transcript_free(&transcript);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_status_are_kept),
        cmocka_unit_test(test_it_outlives_the_connection),
        cmocka_unit_test(test_a_failed_start_leaves_nothing),
        cmocka_unit_test(test_a_failed_start_beside_others),
        cmocka_unit_test(test_an_id_is_started_once),
        cmocka_unit_test(test_wait_has_a_timeout),
        cmocka_unit_test(test_signals_reach_group_and_tree),
        cmocka_unit_test(test_leftovers_die_when_asked),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_a_failing_process_is_started_again),
        cmocka_unit_test(test_a_final_signal_ends_the_retries),
        cmocka_unit_test(test_stdin_is_fed_and_closed),
        cmocka_unit_test(test_list_and_forget),
        cmocka_unit_test(test_the_table_is_bounded),
        cmocka_unit_test(test_an_exec_kills_only_its_own),
        cmocka_unit_test(test_commands_have_the_usual_limits),
    };

    return cmocka_run_group_tests_name("agent: processes", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
