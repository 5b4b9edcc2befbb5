/* The payloads about processes: what goes in comes out, and what breaks a rule does not. */
#include "lib/agentproto/message.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const char *argv_in[] = {"a", "b c"};
static const char *env_in[] = {"A=1"};
static const char *argv_out[AGENT_ARGS_MAX + 1];
static const char *env_out[AGENT_ARGS_MAX + 1];
static uint8_t data[4096];

static struct agent_start_message start_message(void)
{
    return (struct agent_start_message){
        .id = {"0123456789abcdef"},
        .flags = AGENT_START_TERMINAL,
        .timeout_ms = 1,
        .grace_ms = 2,
        .retries = 3,
        .backoff_ms = 4,
        .rows = 5,
        .columns = 6,
        .log_lines = 7,
        .log_bytes = AGENT_LOG_BYTES_MIN,
        .command = {.cwd = "/w", .user = "u", .argc = 2, .envc = 1, .argv = argv_in, .env = env_in},
    };
}

static bool start_round_trip(const struct agent_start_message *message,
                             struct agent_start_message *ret_message)
{
    size_t size = agent_start_encode(message, data, sizeof(data));

    assert_int_equal(size, agent_start_size(message));
    ret_message->command = (struct agent_command){.argv = argv_out, .env = env_out};
    return agent_start_decode(data, size, ret_message);
}

static void test_start_comes_back(void **state)
{
    const struct agent_start_message message = start_message();
    struct agent_start_message decoded;

    (void)state;
    assert_true(start_round_trip(&message, &decoded));
    assert_memory_equal(&decoded.id, &message.id, sizeof(decoded.id));
    assert_int_equal(decoded.flags, AGENT_START_TERMINAL);
    assert_int_equal(decoded.timeout_ms, 1);
    assert_int_equal(decoded.grace_ms, 2);
    assert_int_equal(decoded.retries, 3);
    assert_int_equal(decoded.backoff_ms, 4);
    assert_int_equal(decoded.rows, 5);
    assert_int_equal(decoded.columns, 6);
    assert_int_equal(decoded.log_lines, 7);
    assert_true(decoded.log_bytes == AGENT_LOG_BYTES_MIN);
    assert_string_equal(decoded.command.argv[1], "b c");
    assert_string_equal(decoded.command.env[0], "A=1");
    assert_string_equal(decoded.command.cwd, "/w");
}

static void test_start_is_checked(void **state)
{
    struct agent_start_message bad[8];
    struct agent_start_message decoded;

    (void)state;
    for (size_t i = 0; i < 8; i++)
        bad[i] = start_message();
    bad[0].flags = AGENT_START_FLAGS + 1;
    bad[1].retries = AGENT_RETRIES_MAX + 1;
    bad[2].rows = UINT16_MAX + 1;
    bad[3].columns = UINT16_MAX + 1;
    bad[4].log_lines = AGENT_LOG_LINES_MIN - 1;
    bad[5].log_bytes = AGENT_LOG_BYTES_MIN - 1;
    bad[6].log_bytes = AGENT_LOG_BYTES_MAX + 1;
    bad[7].command.cwd = "w";
    for (size_t i = 0; i < 8; i++)
        assert_false(start_round_trip(&bad[i], &decoded));
}

static void test_small_requests_are_checked(void **state)
{
    struct agent_signal_message signal = {.signal = SIGTERM, .target = AGENT_SIGNAL_TREE};
    struct agent_resize_message resize = {.rows = UINT16_MAX};
    struct agent_attach_message attach = {.flags = AGENT_ATTACH_FOLLOW, .offset = UINT64_MAX};
    size_t size = agent_signal_encode(&signal, data, sizeof(data));

    (void)state;
    assert_true(agent_signal_decode(data, size, &signal));
    assert_int_equal(signal.signal, SIGTERM);
    assert_false(agent_signal_decode(data, size - 1, &signal));
    signal.signal = 0;
    size = agent_signal_encode(&signal, data, sizeof(data));
    assert_false(agent_signal_decode(data, size, &signal));
    signal = (struct agent_signal_message){.signal = AGENT_SIGNAL_MAX + 1};
    size = agent_signal_encode(&signal, data, sizeof(data));
    assert_false(agent_signal_decode(data, size, &signal));
    signal = (struct agent_signal_message){.signal = 1, .target = AGENT_SIGNAL_TARGETS};
    size = agent_signal_encode(&signal, data, sizeof(data));
    assert_false(agent_signal_decode(data, size, &signal));
    size = agent_resize_encode(&resize, data, sizeof(data));
    assert_true(agent_resize_decode(data, size, &resize));
    resize.columns = UINT16_MAX + 1;
    size = agent_resize_encode(&resize, data, sizeof(data));
    assert_false(agent_resize_decode(data, size, &resize));
    size = agent_attach_encode(&attach, data, sizeof(data));
    assert_true(agent_attach_decode(data, size, &attach));
    assert_true(attach.offset == AGENT_ATTACH_END);
    attach.flags = AGENT_ATTACH_FLAGS + 1;
    size = agent_attach_encode(&attach, data, sizeof(data));
    assert_false(agent_attach_decode(data, size, &attach));
}

static struct agent_process_message process_message(void)
{
    return (struct agent_process_message){
        .id = {"0123456789abcdef"},
        .state = AGENT_PROCESS_ENDED,
        .attempts = 1,
        .status = 256,
        .log_begin = 1,
        .log_end = 10,
        .stdout_end = 4,
        .stderr_end = 6,
    };
}

static bool process_decodes(const struct agent_process_message *message)
{
    struct agent_process_message decoded;
    size_t size = agent_process_encode(message, data, sizeof(data));

    assert_int_equal(size, AGENT_PROCESS_SIZE);
    return agent_process_decode(data, size, &decoded) && decoded.log_end == message->log_end;
}

static void test_a_process_is_consistent(void **state)
{
    struct agent_process_message bad[8];

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        bad[i] = process_message();
        assert_true(process_decodes(&bad[i]));
    }
    bad[0].state = 0;
    bad[1].state = AGENT_PROCESS_ENDED + 1;
    bad[2].flags = AGENT_PROCESS_FLAGS + 1;
    bad[3].status = 0x137f; /* stopped */
    bad[4].log_begin = 11;
    bad[5].stdout_end = 11;
    bad[6].stderr_end = 5;
    bad[7].attempts = 0;
    for (size_t i = 0; i < 8; i++)
        assert_false(process_decodes(&bad[i]));
}

static bool output_decodes(struct agent_output_message message, size_t bytes)
{
    struct agent_output_message decoded;
    size_t size = agent_output_encode(&message, data, sizeof(data));

    assert_int_equal(size, AGENT_OUTPUT_HEAD);
    return agent_output_decode(data, size + bytes, &decoded) && decoded.size == bytes;
}

static void test_output_is_checked(void **state)
{
    const struct agent_output_message good = {
        .stream = AGENT_STREAM_STDERR,
        .offset = 9,
        .stream_offset = 9,
    };
    struct agent_output_message bad = good;

    (void)state;
    assert_true(output_decodes(good, 1));
    assert_false(output_decodes(good, 0));
    bad.stream = 3;
    assert_false(output_decodes(bad, 1));
    bad = good;
    bad.stream_offset = 10;
    assert_false(output_decodes(bad, 1));
    bad = good;
    bad.offset = INT64_MAX;
    assert_false(output_decodes(bad, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_comes_back),
        cmocka_unit_test(test_start_is_checked),
        cmocka_unit_test(test_small_requests_are_checked),
        cmocka_unit_test(test_a_process_is_consistent),
        cmocka_unit_test(test_output_is_checked),
    };

    return cmocka_run_group_tests_name("agentproto: processes", tests, NULL, NULL);
}
