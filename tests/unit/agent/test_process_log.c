/* Logs: read while they are written, and from their files. */
#include "lib/base/util.h"
#include "lib/runtime/process_log.h"
#include "tests/unit/agent/process_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_any_offset_can_be_read_again(void **state)
{
    struct bench bench = bench_begin(state);

    bench_start(&bench, "i=0; while [ $i -lt 50 ]; do printf 0123456789; i=$((i+1)); done");
    bench_wait(&bench);
    for (uint64_t offset = 0; offset <= 500; offset += 7) {
        struct transcript transcript = bench_read(&bench, offset);

        assert_int_equal(transcript.size, 500 - offset);
        assert_int_equal(transcript.gap, 0);
        if (transcript.size > 0) {
            assert_int_equal(transcript.first, offset);
            assert_int_equal(transcript.bytes[0], '0' + (int)(offset % 10));
        }
        transcript_free(&transcript);
    }
    bench_end(&bench);
}

static void test_a_reader_sees_what_is_written_live(void **state)
{
    const struct agent_attach_options options = {.offset = AGENT_ATTACH_END, .follow = true};
    struct bench bench = bench_begin(state);
    struct agent_attach *attach;
    struct agent_attach_event event;

    bench.request.input = true;
    bench_start(&bench, "echo before; exec cat");
    do /* what is written before the reader comes is not for it */
        assert_int_equal(agent_process_wait(bench.client, &bench.request.id, 1,
                                            agent_fixture_deadline(), &bench.process, &bench.err),
                         0);
    while (bench.process.log_end < 7);
    attach = bench_attach(&bench, &options);
    assert_int_equal(bench_event(attach, &event, &bench.err), 0);
    assert_int_equal(event.kind, AGENT_ATTACH_STATE);
    assert_int_equal(event.process.state, AGENT_PROCESS_RUNNING);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(agent_process_input(bench.client, &bench.request.id, "x\n", 2, i == 2,
                                             agent_fixture_deadline(), &bench.err),
                         0);
        assert_int_equal(bench_event(attach, &event, &bench.err), 0);
        assert_int_equal(event.kind, AGENT_ATTACH_OUTPUT);
        assert_int_equal(event.offset, 7 + 2 * i);
        assert_int_equal(event.size, 2);
    }
    assert_int_equal(bench_event(attach, &event, &bench.err), 0);
    assert_int_equal(event.kind, AGENT_ATTACH_DONE);
    assert_int_equal(event.process.state, AGENT_PROCESS_ENDED);
    agent_attach_free(attach);
    bench_end(&bench);
}

static void test_one_stream_alone(void **state)
{
    const struct agent_attach_options options = {.no_stdout = true, .follow = true};
    struct bench bench = bench_begin(state);
    struct agent_attach *attach;
    struct agent_attach_event event;
    uint64_t size = 0;

    bench_start(&bench, "for i in 1 2 3; do echo out; echo err >&2; done");
    attach = bench_attach(&bench, &options);
    for (;;) {
        assert_int_equal(bench_event(attach, &event, &bench.err), 0);
        if (event.kind == AGENT_ATTACH_DONE)
            break;
        if (event.kind == AGENT_ATTACH_STATE)
            continue;
        assert_int_equal(event.stream, AGENT_STREAM_STDERR);
        assert_int_equal(event.stream_offset, size);
        assert_int_equal(event.gap, 0);
        size += event.size;
    }
    assert_int_equal(size, 12);
    agent_attach_free(attach);
    bench_end(&bench);
}

/* A reader that does not read holds up neither the process nor another reader. */
static void test_a_slow_reader_slows_nobody(void **state)
{
    const struct agent_attach_options options = {.follow = true};
    struct bench bench = bench_begin(state);
    struct agent_attach *slow;
    struct agent_attach_event event;
    struct transcript transcript;
    uint64_t seen = 0;

    bench.request.log_bytes = AGENT_LOG_BYTES_MIN;
    bench.request.input = true;
    bench_start(&bench, "read go; head -c 8000000 /dev/zero");
    slow = bench_attach(&bench, &options);
    assert_int_equal(agent_process_input(bench.client, &bench.request.id, "\n", 1, false,
                                         agent_fixture_deadline(), &bench.err),
                     0);
    bench_wait(&bench);
    assert_true(bench.process.truncated);
    assert_int_equal(bench.process.log_end, 8000000);
    transcript = bench_read(&bench, 0);
    assert_int_equal(transcript.size + transcript.gap, 8000000);
    assert_true(transcript.size >= AGENT_OUTPUT_MAX);
    transcript_free(&transcript);
    for (;;) {
        assert_int_equal(bench_event(slow, &event, &bench.err), 0);
        if (event.kind == AGENT_ATTACH_DONE)
            break;
        seen += event.kind == AGENT_ATTACH_OUTPUT ? event.gap + event.size : 0;
    }
    assert_int_equal(seen, 8000000);
    agent_attach_free(slow);
    bench_end(&bench);
}

static void test_lines_are_bounded(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;
    int lines = 0;

    bench.request.log_lines = 100;
    bench_start(&bench, "i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); done");
    bench_wait(&bench);
    assert_true(bench.process.truncated);
    transcript = bench_read(&bench, 0);
    for (size_t i = 0; i < transcript.size; i++)
        lines += transcript.bytes[i] == '\n';
    assert_in_range(lines, 50, 100);
    assert_int_equal(transcript.first, bench.process.log_begin);
    assert_non_null(strstr(transcript.bytes, "\n999\n"));
    transcript_free(&transcript);
    bench_end(&bench);
}

static void test_the_files_say_the_same(void **state)
{
    struct bench bench = bench_begin(state);
    struct process_log *log;
    struct process_log_entry entry = {0};
    struct agent_process process;
    uint64_t size = 0, gap = 0;
    int folder = agent_fixture_logs(bench.fixture);

    bench.request.log_lines = 100;
    bench_start(&bench, "i=0; while [ $i -lt 333 ]; do echo $i; i=$((i+1)); done; exit 5");
    bench_wait(&bench);
    assert_int_equal(agent_process_forget(bench.client, &bench.request.id, false,
                                          agent_fixture_deadline(), &bench.err),
                     0);
    assert_int_equal(process_log_open(folder, &bench.request.id, 0, &log, &bench.err), 0);
    while (process_log_next(log, &entry, &bench.err) == 1) {
        size += entry.kind == PROCESS_LOG_OUTPUT ? entry.size : 0;
        gap += entry.kind == PROCESS_LOG_OUTPUT ? entry.gap : 0;
    }
    process_log_free(log);
    assert_int_equal(gap, bench.process.log_begin);
    assert_int_equal(size + gap, bench.process.log_end);
    assert_int_equal(process_log_outcome(folder, &bench.request.id, &process, &bench.err), 0);
    assert_int_equal(process.state, AGENT_PROCESS_ENDED);
    assert_int_equal(process.exit_code, 5);
    assert_int_equal(process.log_end, bench.process.log_end);
    close(folder);
    bench_end(&bench);
}

static void test_a_killed_agent_leaves_no_end(void **state)
{
    struct agent_fixture fixture;
    struct bench bench = bench_begin(state);
    struct agent_process process;
    int folder;

    assert_true(agent_fixture_start(&fixture, "strict"));
    bench_end(&bench);
    bench.fixture = &fixture;
    bench.client = agent_fixture_connect(&fixture);
    folder = agent_fixture_logs(&fixture);
    bench_start(&bench, "echo up; exec sleep 1000");
    assert_int_equal(kill(fixture.agent, SIGKILL), 0);
    assert_int_equal(agent_process_wait(bench.client, &bench.request.id, UINT32_MAX,
                                        agent_fixture_deadline(), &process, &bench.err),
                     -1);
    assert_int_equal(process_log_outcome(folder, &bench.request.id, &process, &bench.err), 0);
    assert_int_equal(process.state, AGENT_PROCESS_RUNNING);
    close(folder);
    bench_end(&bench);
    agent_fixture_stop(&fixture);
}

static void test_two_hundred_readers(void **state)
{
    enum { READERS = 200 };
    const struct agent_attach_options options = {.follow = true};
    struct bench bench = bench_begin(state);
    struct agent_attach *readers[READERS];
    struct agent_attach_event event;

    bench.request.input = true;
    bench_start(&bench, "read go; seq 1000");
    for (int i = 0; i < READERS; i++)
        readers[i] = bench_attach(&bench, &options);
    assert_int_equal(agent_process_input(bench.client, &bench.request.id, "\n", 1, false,
                                         agent_fixture_deadline(), &bench.err),
                     0);
    for (int i = 0; i < READERS; i++) {
        uint64_t size = 0;

        do {
            assert_int_equal(bench_event(readers[i], &event, &bench.err), 0);
            size += event.kind == AGENT_ATTACH_OUTPUT ? event.size : 0;
        } while (event.kind != AGENT_ATTACH_DONE);
        assert_int_equal(size, 3893); /* of `seq 1000` */
        agent_attach_free(readers[i]);
    }
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_offset_can_be_read_again),
        cmocka_unit_test(test_a_reader_sees_what_is_written_live),
        cmocka_unit_test(test_one_stream_alone),
        cmocka_unit_test(test_a_slow_reader_slows_nobody),
        cmocka_unit_test(test_lines_are_bounded),
        cmocka_unit_test(test_the_files_say_the_same),
        cmocka_unit_test(test_a_killed_agent_leaves_no_end),
        cmocka_unit_test(test_two_hundred_readers),
    };

    return cmocka_run_group_tests_name("agent: logs of processes", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
