/* The bytes that all logs of an agent share. */
#include "agent/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    POOL = 256 * 1024,
    MUCH = 1024 * 1024,
    PART = 8 * 1024,
    LINES = 1000 * 1000,
};

static const uint64_t roomy = UINT64_C(16) << 20;

static char folder[] = "/tmp/atoll-log-file-XXXXXX";

static int set_up(void **state)
{
    int fd;

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || dup2(fd, AGENT_FD_LOGS) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(AGENT_FD_LOGS);
    return rmdir(folder);
}

static struct id id_of(uint8_t number)
{
    return (struct id){.bytes = {number}};
}

static void create(struct log_file *log, struct log_pool *pool, uint8_t number)
{
    const struct id id = id_of(number);

    assert_int_equal(log_file_create(log, pool, &id, roomy, LINES), 0);
}

static void write_much(struct log_file *log, size_t size)
{
    static const uint8_t bytes[PART];

    for (size_t left = size; left > 0; left -= PART)
        log_file_output(log, AGENT_STREAM_STDOUT, bytes, PART);
}

/* Bytes on disk. */
static uint64_t stored(const struct log_file *log)
{
    uint64_t sum = 0;

    for (uint32_t back = 0; back <= 1 && back <= log->segment; back++) {
        struct stat status;
        int fd = log_file_open(log, log->segment - back);

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &status), 0);
        close(fd);
        sum += (uint64_t)status.st_size;
    }
    return sum;
}

static void end(struct log_file *log)
{
    log_file_close(log);
    log_file_remove(log);
}

static void test_the_sum_is_bounded(void **state)
{
    enum { LOGS = 4 };
    struct log_pool pool = {.max = POOL};
    struct log_file logs[LOGS];
    uint64_t sum = 0;

    (void)state;
    for (uint8_t i = 0; i < LOGS; i++)
        create(&logs[i], &pool, i);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < LOGS; i++)
            write_much(&logs[i], MUCH);
    for (int i = 0; i < LOGS; i++) {
        assert_false(logs[i].lost);
        assert_int_equal(log_file_end(&logs[i]), 2 * MUCH);
        assert_true(logs[i].begin > 0); /* which is told: the oldest output is gone */
        assert_true(log_file_end(&logs[i]) - logs[i].begin >= LOG_FILE_SHARE / 2);
        sum += stored(&logs[i]);
    }
    assert_in_range(sum, POOL, POOL + LOGS * AGENT_LOG_BYTES_MIN);
    for (int i = 0; i < LOGS; i++)
        end(&logs[i]);
    assert_int_equal(pool.used, 0);
}

static void test_what_is_removed_is_free_for_others(void **state)
{
    struct log_pool pool = {.max = 2 * MUCH};
    struct log_file first, second;

    (void)state;
    create(&first, &pool, 1);
    create(&second, &pool, 2);
    write_much(&first, 2 * MUCH);
    end(&first);
    write_much(&second, 2 * MUCH);
    assert_int_equal(second.begin, 0);
    end(&second);
    assert_int_equal(pool.used, 0);
}

/* They stay on disk, and no later log may come on top of them. */
static void test_logs_left_behind_count(void **state)
{
    struct log_pool pool = {.max = POOL};
    struct log_file left, another;
    const struct id id = id_of(2);

    (void)state;
    create(&left, &pool, 1);
    write_much(&left, MUCH);
    log_file_close(&left);
    log_file_leave(&left);
    assert_int_equal(log_file_create(&another, &pool, &id, roomy, LINES), ENOSPC);
    log_file_remove(&left);
}

static void limit_descriptors(rlim_t most)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* As when the host's disk is full for a while: what comes then is lost, what comes later is not. */
static void test_a_file_that_could_not_be_made_is_made_later(void **state)
{
    struct log_pool pool = {.max = POOL};
    struct rlimit limit;
    struct log_file log;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    create(&log, &pool, 1);
    limit_descriptors(0);
    write_much(&log, MUCH);
    limit_descriptors(limit.rlim_cur);
    assert_true(log.lost);
    assert_int_equal(log.segment, 0);
    assert_in_range(stored(&log), POOL / 2, POOL + AGENT_LOG_BYTES_MIN);
    write_much(&log, PART);
    assert_int_equal(log.segment, 1);
    assert_int_equal(log.newest, MUCH);
    assert_int_equal(log_file_end(&log), MUCH + PART);
    assert_true(log.size > PART);
    end(&log);
    assert_int_equal(pool.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sum_is_bounded),
        cmocka_unit_test(test_what_is_removed_is_free_for_others),
        cmocka_unit_test(test_logs_left_behind_count),
        cmocka_unit_test(test_a_file_that_could_not_be_made_is_made_later),
    };

    return cmocka_run_group_tests_name("agent: the bytes of all logs", tests, set_up, tear_down);
}
