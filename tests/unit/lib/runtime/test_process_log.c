/* Log files that an agent would not write. */
#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"
#include "lib/runtime/process_log.h"

#include <atoll/cleanup.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct id process_id = {"0123456789abcdef"};

static const char newest[] = "30313233343536373839616263646566.log";
static const char older[] = "30313233343536373839616263646566.log.1";

struct log_test {
    char path[64];
    int folder;
    uint8_t bytes[4096]; /* of the file that is being made */
    size_t size;
    struct error err;
};

static struct log_test log_test_begin(void)
{
    struct log_test test = {.path = "/tmp/atoll-log.XXXXXX"};

    assert_non_null(mkdtemp(test.path));
    test.folder = open(test.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(test.folder >= 0);
    return test;
}

static void log_test_end(struct log_test *test)
{
    (void)unlinkat(test->folder, newest, 0);
    (void)unlinkat(test->folder, older, 0);
    close(test->folder);
    (void)rmdir(test->path);
}

static uint8_t *add_frame(struct log_test *test, enum agent_frame_type type, size_t size)
{
    uint8_t *frame = test->bytes + test->size;

    agent_frame_header(frame, type, (uint32_t)size);
    test->size += AGENT_HEADER_SIZE + size;
    return frame + AGENT_HEADER_SIZE;
}

static void add_head(struct log_test *test, uint32_t segment, uint64_t offset)
{
    const struct agent_log_message message = {
        .version = AGENT_LOG_VERSION,
        .segment = segment,
        .id = process_id,
        .offset = offset,
        .stdout_offset = offset,
    };

    (void)agent_log_encode(&message, add_frame(test, AGENT_FRAME_LOG, AGENT_LOG_SIZE),
                           AGENT_LOG_SIZE);
}

static void add_output(struct log_test *test, uint64_t offset, const char *text)
{
    const struct agent_output_message message = {
        .stream = AGENT_STREAM_STDOUT,
        .offset = offset,
        .stream_offset = offset,
    };
    uint8_t *payload = add_frame(test, AGENT_FRAME_OUTPUT, AGENT_OUTPUT_HEAD + strlen(text));

    (void)agent_output_encode(&message, payload, AGENT_OUTPUT_HEAD);
    memcpy(payload + AGENT_OUTPUT_HEAD, text, strlen(text));
}

static void add_state(struct log_test *test, enum agent_process_state state)
{
    const struct agent_process_message message = {.id = process_id, .state = state, .attempts = 1};

    (void)agent_process_encode(&message, add_frame(test, AGENT_FRAME_PROCESS, AGENT_PROCESS_SIZE),
                               AGENT_PROCESS_SIZE);
}

static void put_file(struct log_test *test, const char *name)
{
    _cleanup_close_ int fd =
        openat(test->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, test->bytes, test->size), test->size);
    test->size = 0;
}

/* The output from `offset` on; fails the test unless the log ends with `result`. */
static void assert_reads(struct log_test *test, uint64_t offset, const char *expected, int result)
{
    struct process_log *log;
    struct process_log_entry entry;
    char text[1024] = "";
    size_t size = 0;
    int got;

    assert_int_equal(process_log_open(test->folder, &process_id, offset, &log, &test->err), 0);
    while ((got = process_log_next(log, &entry, &test->err)) > 0) {
        if (entry.kind != PROCESS_LOG_OUTPUT)
            continue;
        memcpy(text + size, entry.bytes, entry.size);
        size += entry.size;
    }
    assert_int_equal(got, result);
    text[size] = '\0';
    assert_string_equal(text, expected);
    process_log_free(log);
}

static void test_two_files_are_one_log(void **state)
{
    struct log_test test = log_test_begin();

    (void)state;
    add_head(&test, 3, 100);
    add_output(&test, 100, "abc");
    put_file(&test, older);
    add_head(&test, 4, 103);
    add_output(&test, 103, "def");
    put_file(&test, newest);
    assert_reads(&test, 0, "abcdef", 0);
    assert_reads(&test, 101, "bcdef", 0);
    assert_reads(&test, 104, "ef", 0);
    assert_reads(&test, 1000, "", 0);
    log_test_end(&test);
}

static void test_a_cut_entry_is_the_end(void **state)
{
    struct log_test test = log_test_begin();

    (void)state;
    add_head(&test, 0, 0);
    add_output(&test, 0, "abc");
    add_output(&test, 3, "def");
    test.size -= 2;
    put_file(&test, newest);
    assert_reads(&test, 0, "abc", 0);
    log_test_end(&test);
}

static void test_what_breaks_the_format_is_an_error(void **state)
{
    struct log_test test = log_test_begin();

    (void)state;
    add_head(&test, 0, 0);
    add_output(&test, 0, "abc");
    (void)add_frame(&test, AGENT_FRAME_EXEC, 0);
    put_file(&test, newest);
    assert_reads(&test, 0, "abc", -1);
    assert_int_equal(test.err.code, ERR_INTERNAL);
    add_head(&test, 0, 0);
    add_head(&test, 0, 0);
    put_file(&test, newest);
    assert_reads(&test, 0, "", -1);
    add_head(&test, 0, 0);
    memset(test.bytes + test.size, 0xff, 64);
    test.size += 64;
    put_file(&test, newest);
    assert_reads(&test, 0, "", -1);
    log_test_end(&test);
}

static void test_only_real_files_of_this_process(void **state)
{
    struct log_test test = log_test_begin();
    struct process_log *log;

    (void)state;
    assert_int_equal(process_log_open(test.folder, &process_id, 0, &log, &test.err), -1);
    assert_int_equal(test.err.code, ERR_NOT_FOUND);
    assert_int_equal(mkfifoat(test.folder, newest, 0600), 0);
    assert_int_equal(symlinkat("/etc/passwd", test.folder, older), 0);
    assert_int_equal(process_log_open(test.folder, &process_id, 0, &log, &test.err), -1);
    assert_int_equal(test.err.code, ERR_NOT_FOUND);
    assert_int_equal(unlinkat(test.folder, newest, 0), 0);
    add_head(&test, 0, 0);
    test.bytes[AGENT_HEADER_SIZE + 8] ^= 1; /* another id */
    put_file(&test, newest);
    assert_int_equal(process_log_open(test.folder, &process_id, 0, &log, &test.err), -1);
    assert_int_equal(test.err.code, ERR_NOT_FOUND);
    log_test_end(&test);
}

static void test_the_outcome_is_what_was_said_last(void **state)
{
    struct log_test test = log_test_begin();
    struct agent_process process;

    (void)state;
    add_head(&test, 0, 0);
    add_state(&test, AGENT_PROCESS_RUNNING);
    add_output(&test, 0, "abc");
    put_file(&test, newest);
    assert_int_equal(process_log_outcome(test.folder, &process_id, &process, &test.err), 0);
    assert_int_equal(process.state, AGENT_PROCESS_RUNNING);
    add_head(&test, 0, 0);
    add_state(&test, AGENT_PROCESS_RUNNING);
    add_state(&test, AGENT_PROCESS_ENDED);
    put_file(&test, newest);
    assert_int_equal(process_log_outcome(test.folder, &process_id, &process, &test.err), 0);
    assert_int_equal(process.state, AGENT_PROCESS_ENDED);
    add_head(&test, 0, 0);
    put_file(&test, newest);
    assert_int_equal(process_log_outcome(test.folder, &process_id, &process, &test.err), -1);
    assert_int_equal(test.err.code, ERR_NOT_FOUND);
    log_test_end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_files_are_one_log),
        cmocka_unit_test(test_a_cut_entry_is_the_end),
        cmocka_unit_test(test_what_breaks_the_format_is_an_error),
        cmocka_unit_test(test_only_real_files_of_this_process),
        cmocka_unit_test(test_the_outcome_is_what_was_said_last),
    };

    return cmocka_run_group_tests_name("runtime: log files", tests, NULL, NULL);
}
