/* Streams of what processes wrote, from the logs of containers that have ended. */
#include "lib/base/util.h"
#include "lib/runtime/launcher_client.h"
#include "server/services/attach.h"
#include "server/stream/stream.h"
#include "tests/unit/support/postgres.h"
#include "tests/unit/support/process_log.h"
#include "tests/unit/support/store.h"

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

enum { TEXT_MAX = 512 * 1024, PATIENCE_USEC = 120 * 1000 * 1000, PAUSE_USEC = 1000 };
enum { LARGE_PARTS = 40, LARGE_PART = 8000 }; /* more than a stream's queue takes */

static const struct caller caller = {
    .tenant = {{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}},
    .role = ROLE_MEMBER,
    .subject = "tester",
    .request_id = "request-1",
    .expires_at = INT64_MAX,
};

static char state_dir[64];
static struct config config;
static struct services services;
static struct log_writer written;
static struct id container;
static struct id process;
static char text[TEXT_MAX];

static int setup(void **state)
{
    static const struct streams_options options = {.guard_ms = 60000, .offer_ms = 60000};
    struct store_process_new begun;

    if (postgres_test_setup(state) < 0)
        return -1;
    (void)snprintf(state_dir, sizeof(state_dir), "/tmp/atoll-state.XXXXXX");
    config = (struct config){.state_dir = mkdtemp(state_dir)};
    memset(&services, 0, sizeof(services));
    atomic_store(&services.config, &config);
    services.db = postgres_pool("atoll_app", 2);
    if (launcher_client_open(state_dir, 1000, &services.launcher, NULL) < 0 ||
        streams_create(&options, &services.streams, NULL) < 0 ||
        attach_start(&services, &services.attach, NULL) < 0)
        return -1;
    container = make_running_container(services.db, &default_tenant);
    begun = simple_process(&container, STORE_PROCESS_DETACHED);
    process = begin_process(services.db, &begun);
    written.process = process;
    written.size = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    attach_stop(services.attach);
    streams_free(services.streams);
    launcher_client_free(services.launcher);
    db_pool_free(services.db);
    log_folder_remove(state_dir);
    return 0;
}

/* The process ended with 3 and its container has stopped; the log is what was written. */
static void end_all(void)
{
    const struct process_end end = {.id = process, .state = PROCESS_FAILED, .exit_code = 3};
    _cleanup_close_ int folder = log_folder_make(state_dir, &container, 1);
    bool found;

    log_put(&written, folder, "");
    assert_int_equal(store_process_end(services.db, &default_scope, &end, &found, NULL), 0);
    step_container(services.db, &default_tenant, &container, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
}

static void write_lines(void)
{
    log_add_head(&written, 0, 0);
    log_add_output(&written, AGENT_STREAM_STDOUT, 0, "one\n");
    log_add_output(&written, AGENT_STREAM_STDERR, 4, "two\n");
    log_add_output(&written, AGENT_STREAM_STDOUT, 8, "three\n");
    end_all();
}

static void write_much(void)
{
    char piece[LARGE_PART + 1];

    log_add_head(&written, 0, 0);
    for (unsigned i = 0; i < LARGE_PARTS; i++) {
        memset(piece, 'a' + (int)(i % 26), LARGE_PART);
        piece[LARGE_PART] = '\0';
        log_add_output(&written, AGENT_STREAM_STDOUT, (uint64_t)i * LARGE_PART, piece);
    }
    end_all();
}

/* Parts as text: "[status]", "[1@4]two\n" (stream, offset), "[gap 4]" before it, "[failed 3]". */
static char *show(const struct attach_part *part, size_t *ret_size)
{
    char gap[32] = "";
    char *shown = NULL;
    int size;

    if (part->gap)
        (void)snprintf(gap, sizeof(gap), "[gap %llu]", (unsigned long long)part->gap);
    if (part->kind == ATTACH_STATUS)
        size = asprintf(&shown, "[status]");
    else if (part->kind == ATTACH_EXIT)
        size =
            asprintf(&shown, "[%s %d]", process_state_name(part->row->state), part->row->exit_code);
    else
        size = asprintf(&shown, "%s[%d@%llu]%.*s", gap, part->stream == AGENT_STREAM_STDERR,
                        (unsigned long long)part->offset, (int)part->size, part->bytes);
    if (size < 0)
        return NULL;
    *ret_size = (size_t)size;
    return shown;
}

static char *show_bytes(const struct attach_part *part, size_t *ret_size)
{
    if (part->kind != ATTACH_OUTPUT)
        return NULL;
    *ret_size = part->size;
    return strndup(part->bytes, part->size);
}

static struct stream *follow(const struct attach_options *options)
{
    struct stream *stream = NULL;
    struct error err;

    if (attach_follow(&services, &caller, &container, &process, options, &stream, &err) < 0)
        fail_msg("%s", err.message);
    return stream;
}

/* Reads up to `piece` bytes at a time into `text` until the stream has ended; says how. */
static enum stream_state read_all(struct stream *stream, size_t piece)
{
    int64_t deadline = monotonic_usec() + PATIENCE_USEC;
    enum stream_state state = STREAM_OPEN;
    size_t size = 0;

    while (state == STREAM_OPEN) {
        size_t room = TEXT_MAX - 1 - size;
        size_t got = stream_read(stream, text + size, piece < room ? piece : room, &state);

        size += got;
        assert_true(monotonic_usec() < deadline);
        if (got == 0)
            (void)usleep(PAUSE_USEC);
    }
    text[size] = '\0';
    return state;
}

static void expect(const struct attach_options *options, const char *wanted)
{
    _cleanup_stream_ struct stream *stream = follow(options);

    assert_int_equal(read_all(stream, 4096), STREAM_DONE);
    assert_string_equal(text, wanted);
}

static void test_a_whole_log(void **state)
{
    (void)state;
    write_lines();
    expect(&(struct attach_options){.format = show, .has_status = true},
           "[status][0@0]one\n[1@4]two\n[0@8]three\n[failed 3]");
    expect(&(struct attach_options){.format = show, .follow = true},
           "[0@0]one\n[1@4]two\n[0@8]three\n[failed 3]");
}

static void test_a_part_of_a_log(void **state)
{
    (void)state;
    write_lines();
    expect(&(struct attach_options){.format = show, .since = 6}, "[1@6]o\n[0@8]three\n[failed 3]");
    expect(&(struct attach_options){.format = show, .since = 14}, "[failed 3]");
    expect(&(struct attach_options){.format = show, .tail = 1}, "[0@8]three\n[failed 3]");
    expect(&(struct attach_options){.format = show, .no_stderr = true},
           "[0@0]one\n[0@8]three\n[failed 3]");
    expect(&(struct attach_options){.format = show, .no_stdout = true}, "[1@4]two\n[failed 3]");
}

static void test_what_the_log_has_lost_is_told(void **state)
{
    (void)state;
    log_add_head(&written, 5, 100);
    log_add_output(&written, AGENT_STREAM_STDOUT, 100, "rest");
    end_all();
    expect(&(struct attach_options){.format = show, .since = 40}, "[gap 60][0@100]rest[failed 3]");
}

/* More than the queue holds, to a reader that takes little: all of it, in order. */
static void test_a_slow_reader_gets_it_all(void **state)
{
    const struct attach_options options = {.format = show_bytes};
    _cleanup_stream_ struct stream *stream = NULL;

    (void)state;
    write_much();
    stream = follow(&options);
    assert_int_equal(read_all(stream, 500), STREAM_DONE);
    assert_int_equal(strlen(text), LARGE_PARTS * LARGE_PART);
    for (size_t i = 0; i < LARGE_PARTS * LARGE_PART; i++)
        assert_int_equal(text[i], 'a' + (int)(i / LARGE_PART % 26));
}

static void test_one_that_stands_still_holds_back_nobody(void **state)
{
    const struct attach_options options = {.format = show_bytes};
    _cleanup_stream_ struct stream *still = NULL;
    _cleanup_stream_ struct stream *stream = NULL;

    (void)state;
    write_much();
    still = follow(&options);
    stream = follow(&options);
    assert_int_equal(read_all(stream, 4096), STREAM_DONE);
    assert_int_equal(strlen(text), LARGE_PARTS * LARGE_PART);
    assert_int_equal(stream_state(still), STREAM_OPEN);
}

static void test_a_broken_log_breaks_the_stream(void **state)
{
    const struct attach_options options = {.format = show};
    _cleanup_stream_ struct stream *stream = NULL;

    (void)state;
    log_add_head(&written, 0, 0);
    log_add_output(&written, AGENT_STREAM_STDOUT, 0, "one");
    (void)log_add_frame(&written, AGENT_FRAME_EXEC, 0);
    end_all();
    stream = follow(&options);
    assert_int_equal(read_all(stream, 4096), STREAM_BROKEN);
    assert_string_equal(text, "[0@0]one");
}

static void test_a_stop_breaks_what_is_under_way(void **state)
{
    const struct attach_options options = {.format = show_bytes};
    _cleanup_stream_ struct stream *stream = NULL;

    (void)state;
    write_much();
    stream = follow(&options);
    attach_stop(services.attach);
    services.attach = NULL;
    assert_int_equal(stream_state(stream), STREAM_BROKEN);
}

static void note_release(void *user)
{
    *(bool *)user = true;
}

static enum error_code refused(const struct id *id)
{
    bool is_released = false;
    const struct attach_options options = {
        .format = show, .user = &is_released, .release = note_release};
    struct stream *stream = NULL;
    struct error err;

    assert_int_equal(attach_follow(&services, &caller, &container, id, &options, &stream, &err),
                     -1);
    assert_null(stream);
    assert_true(is_released);
    return err.code;
}

static void test_what_cannot_be_followed(void **state)
{
    const struct store_process_new exec = simple_process(&container, STORE_PROCESS_EXEC);
    struct id none;

    (void)state;
    assert_int_equal(id_new(&none, NULL), 0);
    assert_int_equal(refused(&none), ERR_NOT_FOUND);
    (void)begin_process(services.db, &exec);
    assert_int_equal(refused(&exec.id), ERR_CONFLICT);
    /* Its container has ended, and nobody knows yet how the process did. */
    step_container(services.db, &default_tenant, &container, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    assert_int_equal(refused(&process), ERR_CONFLICT);
}

static void test_a_log_that_is_gone(void **state)
{
    const struct process_end end = {.id = process, .state = PROCESS_COMPLETED};
    bool found;

    (void)state;
    assert_int_equal(store_process_end(services.db, &default_scope, &end, &found, NULL), 0);
    step_container(services.db, &default_tenant, &container, 1, SANDBOX_RUNNING, SANDBOX_STOPPED);
    assert_int_equal(refused(&process), ERR_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_whole_log),
        TEST(test_a_part_of_a_log),
        TEST(test_what_the_log_has_lost_is_told),
        TEST(test_a_slow_reader_gets_it_all),
        TEST(test_one_that_stands_still_holds_back_nobody),
        TEST(test_a_broken_log_breaks_the_stream),
        TEST(test_a_stop_breaks_what_is_under_way),
        TEST(test_what_cannot_be_followed),
        TEST(test_a_log_that_is_gone),
    };

    return cmocka_run_group_tests(tests, postgres_group_setup, postgres_group_teardown);
}
