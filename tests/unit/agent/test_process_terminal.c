/* Processes on a terminal. */
#include "tests/unit/agent/process_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void type(struct bench *bench, const char *text)
{
    if (agent_process_input(bench->client, &bench->request.id, text, strlen(text), false,
                            agent_fixture_deadline(), &bench->err) < 0)
        fail_msg("%s", bench->err.message);
}

static void test_it_is_a_terminal_of_the_size_asked_for(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench.request.terminal = true;
    bench.request.rows = 30;
    bench.request.columns = 90;
    bench_start(&bench, "tty -s && echo yes; stty size; : > /dev/tty && echo own; echo err >&2");
    transcript = bench_read(&bench, 0);
    assert_string_equal(transcript.bytes, "yes\r\n30 90\r\nown\r\nerr\r\n");
    assert_true(transcript.process.terminal);
    assert_int_equal(transcript.process.stderr_size, 0);
    transcript_free(&transcript);
    bench_end(&bench);
}

static void test_what_is_typed_arrives(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench.request.terminal = true;
    bench_start(&bench, "stty -echo; echo ready; read line; echo \"<$line>\"; cat");
    type(&bench, "word\n");
    type(&bench, "\x04"); /* the end of cat's input */
    transcript = bench_read(&bench, 0);
    assert_non_null(strstr(transcript.bytes, "<word>\r\n"));
    assert_int_equal(transcript.process.exit_code, 0);
    transcript_free(&transcript);
    bench_end(&bench);
}

/* Waits for output that holds `text`. */
static void await_text(const struct bench *bench, const char *text)
{
    const struct agent_attach_options options = {.follow = true};
    struct agent_attach *attach = bench_attach(bench, &options);
    struct agent_attach_event event;
    struct error err;
    char bytes[4096] = "";
    size_t size = 0;

    while (!strstr(bytes, text)) {
        assert_int_equal(bench_event(attach, &event, &err), 0);
        assert_int_not_equal(event.kind, AGENT_ATTACH_DONE);
        if (event.kind != AGENT_ATTACH_OUTPUT)
            continue;
        assert_true(size + event.size < sizeof(bytes));
        memcpy(bytes + size, event.bytes, event.size);
        size += event.size;
        bytes[size] = '\0';
    }
    agent_attach_free(attach);
}

static void test_a_resize_is_told(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench.request.terminal = true;
    bench.request.rows = 24;
    bench.request.columns = 80;
    bench_start(&bench, "trap 'stty size; exit' WINCH; echo up; while :; do sleep 0.01; done");
    await_text(&bench, "up");
    assert_int_equal(agent_process_resize(bench.client, &bench.request.id, 50, 132,
                                          agent_fixture_deadline(), &bench.err),
                     0);
    transcript = bench_read(&bench, 0);
    assert_non_null(strstr(transcript.bytes, "50 132\r\n"));
    transcript_free(&transcript);
    bench_end(&bench);
}

static void test_control_c_interrupts(void **state)
{
    struct bench bench = bench_begin(state);
    struct transcript transcript;

    bench.request.terminal = true;
    bench_start(&bench, "trap 'echo caught; exit 4' INT; echo up; while :; do sleep 0.01; done");
    await_text(&bench, "up");
    type(&bench, "\x03");
    transcript = bench_read(&bench, 0);
    assert_non_null(strstr(transcript.bytes, "caught\r\n"));
    assert_int_equal(transcript.process.exit_code, 4);
    transcript_free(&transcript);
    bench_end(&bench);
}

/* What was written right before the end is not lost in the terminal's buffers. */
static void test_the_last_output_is_kept(void **state)
{
    struct bench bench = bench_begin(state);

    bench.request.terminal = true;
    for (int i = 0; i < 20; i++) {
        struct transcript transcript;

        bench_start(&bench, "stty -onlcr; head -c 20000 /dev/zero; printf end");
        transcript = bench_read(&bench, 0);
        assert_int_equal(transcript.size, 20003);
        assert_string_equal(transcript.bytes + 20000, "end");
        transcript_free(&transcript);
    }
    bench_end(&bench);
}

static void test_without_a_terminal(void **state)
{
    struct bench bench = bench_begin(state);

    bench.request.input = true;
    bench_start(&bench, "cat");
    assert_int_equal(agent_process_resize(bench.client, &bench.request.id, 1, 1,
                                          agent_fixture_deadline(), &bench.err),
                     -1);
    assert_int_equal(bench.err.code, ERR_CONFLICT);
    assert_int_equal(agent_process_input(bench.client, &bench.request.id, NULL, 0, true,
                                         agent_fixture_deadline(), &bench.err),
                     0);
    bench_wait(&bench);
    bench_end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_a_terminal_of_the_size_asked_for),
        cmocka_unit_test(test_what_is_typed_arrives),
        cmocka_unit_test(test_a_resize_is_told),
        cmocka_unit_test(test_control_c_interrupts),
        cmocka_unit_test(test_the_last_output_is_kept),
        cmocka_unit_test(test_without_a_terminal),
    };

    return cmocka_run_group_tests_name("agent: terminals", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
