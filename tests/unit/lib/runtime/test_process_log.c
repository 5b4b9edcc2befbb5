/* Log files that an agent would not write. */
#include "lib/runtime/process_log.h"
#include "tests/unit/support/process_log.h"

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
    struct log_writer log;
    struct error err;
};

static struct log_test log_test_begin(void)
{
    struct log_test test = {.path = "/tmp/atoll-log.XXXXXX", .log.process = process_id};

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
    log_add_head(&test.log, 3, 100);
    log_add_output(&test.log, AGENT_STREAM_STDOUT, 100, "abc");
    log_put(&test.log, test.folder, ".1");
    log_add_head(&test.log, 4, 103);
    log_add_output(&test.log, AGENT_STREAM_STDOUT, 103, "def");
    log_put(&test.log, test.folder, "");
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
    log_add_head(&test.log, 0, 0);
    log_add_output(&test.log, AGENT_STREAM_STDOUT, 0, "abc");
    log_add_output(&test.log, AGENT_STREAM_STDOUT, 3, "def");
    test.log.size -= 2;
    log_put(&test.log, test.folder, "");
    assert_reads(&test, 0, "abc", 0);
    log_test_end(&test);
}

static void test_what_breaks_the_format_is_an_error(void **state)
{
    struct log_test test = log_test_begin();

    (void)state;
    log_add_head(&test.log, 0, 0);
    log_add_output(&test.log, AGENT_STREAM_STDOUT, 0, "abc");
    (void)log_add_frame(&test.log, AGENT_FRAME_EXEC, 0);
    log_put(&test.log, test.folder, "");
    assert_reads(&test, 0, "abc", -1);
    assert_int_equal(test.err.code, ERR_INTERNAL);
    log_add_head(&test.log, 0, 0);
    log_add_head(&test.log, 0, 0);
    log_put(&test.log, test.folder, "");
    assert_reads(&test, 0, "", -1);
    log_add_head(&test.log, 0, 0);
    memset(test.log.bytes + test.log.size, 0xff, 64);
    test.log.size += 64;
    log_put(&test.log, test.folder, "");
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
    log_add_head(&test.log, 0, 0);
    test.log.bytes[AGENT_HEADER_SIZE + 8] ^= 1; /* another id */
    log_put(&test.log, test.folder, "");
    assert_int_equal(process_log_open(test.folder, &process_id, 0, &log, &test.err), -1);
    assert_int_equal(test.err.code, ERR_NOT_FOUND);
    log_test_end(&test);
}

/* Nobody reads on for ever what somebody in a sandbox may have written. */
static void test_a_file_is_read_as_far_as_an_agent_writes(void **state)
{
    struct log_test test = log_test_begin();
    uint8_t head[AGENT_HEADER_SIZE + AGENT_OUTPUT_HEAD];
    const size_t record = sizeof(head) + AGENT_OUTPUT_MAX;
    struct agent_process process;
    off_t at = AGENT_HEADER_SIZE + AGENT_LOG_SIZE;
    int fd;

    (void)state;
    log_add_head(&test.log, 0, 0);
    log_put(&test.log, test.folder, "");
    fd = openat(test.folder, newest, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    agent_frame_header(head, AGENT_FRAME_OUTPUT, (uint32_t)(record - AGENT_HEADER_SIZE));
    for (uint64_t i = 0; at <= (off_t)AGENT_LOG_BYTES_MAX; i++, at += (off_t)record) {
        const struct agent_output_message message = {
            .stream = AGENT_STREAM_STDOUT,
            .offset = i * AGENT_OUTPUT_MAX,
            .stream_offset = i * AGENT_OUTPUT_MAX,
        };

        (void)agent_output_encode(&message, head + AGENT_HEADER_SIZE, AGENT_OUTPUT_HEAD);
        assert_int_equal(pwrite(fd, head, sizeof(head), at), sizeof(head));
    }
    assert_int_equal(ftruncate(fd, at), 0);
    close(fd);
    assert_int_equal(process_log_outcome(test.folder, &process_id, &process, &test.err), -1);
    assert_int_equal(test.err.code, ERR_INTERNAL);
    log_test_end(&test);
}

static void test_the_outcome_is_what_was_said_last(void **state)
{
    struct log_test test = log_test_begin();
    struct agent_process process;

    (void)state;
    log_add_head(&test.log, 0, 0);
    log_add_state(&test.log, AGENT_PROCESS_RUNNING);
    log_add_output(&test.log, AGENT_STREAM_STDOUT, 0, "abc");
    log_put(&test.log, test.folder, "");
    assert_int_equal(process_log_outcome(test.folder, &process_id, &process, &test.err), 0);
    assert_int_equal(process.state, AGENT_PROCESS_RUNNING);
    log_add_head(&test.log, 0, 0);
    log_add_state(&test.log, AGENT_PROCESS_RUNNING);
    log_add_state(&test.log, AGENT_PROCESS_ENDED);
    log_put(&test.log, test.folder, "");
    assert_int_equal(process_log_outcome(test.folder, &process_id, &process, &test.err), 0);
    assert_int_equal(process.state, AGENT_PROCESS_ENDED);
    log_add_head(&test.log, 0, 0);
    log_put(&test.log, test.folder, "");
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
        cmocka_unit_test(test_a_file_is_read_as_far_as_an_agent_writes),
        cmocka_unit_test(test_the_outcome_is_what_was_said_last),
    };

    return cmocka_run_group_tests_name("runtime: log files", tests, NULL, NULL);
}
