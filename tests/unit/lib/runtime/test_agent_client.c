/* The client against an agent that lies: every answer is scripted beforehand. */
#include "lib/runtime/agent_client.h"

#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"
#include "lib/base/util.h"
#include "lib/runtime/agent_files.h"
#include "tests/unit/support/agent_calls.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { MAX_OUTPUT = 1000, FAR_USEC = 30 * 1000 * 1000, NEAR_USEC = 1000 * 1000 };

struct scene {
    int agent_fd;
    struct agent_client *client;
    struct agent_exec_result result;
    struct error err;
};

static struct scene begin(void)
{
    struct scene scene = {0};
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    scene.agent_fd = fds[0];
    assert_int_equal(agent_client_adopt(fds[1], &scene.client, &scene.err), 0);
    return scene;
}

static void end(struct scene *scene)
{
    if (scene->agent_fd >= 0)
        close(scene->agent_fd);
    agent_exec_result_free(&scene->result);
    agent_client_free(scene->client);
}

static void say(const struct scene *scene, const void *bytes, size_t size)
{
    assert_int_equal(send(scene->agent_fd, bytes, size, MSG_NOSIGNAL), size);
}

static void say_frame(const struct scene *scene, uint8_t type, const void *payload, size_t size)
{
    uint8_t header[AGENT_HEADER_SIZE];

    agent_frame_header(header, (enum agent_frame_type)type, (uint32_t)size);
    say(scene, header, sizeof(header));
    if (size > 0)
        say(scene, payload, size);
}

static void say_exit(const struct scene *scene, uint32_t status)
{
    const struct agent_exit_message message = {.status = status};
    uint8_t payload[64];

    say_frame(scene, AGENT_FRAME_EXIT, payload, agent_exit_encode(&message, payload, 64));
}

static void say_error(const struct scene *scene, enum agent_stage stage, uint32_t errnum)
{
    const struct agent_error_message message = {.stage = stage, .errnum = errnum};
    uint8_t payload[64];

    say_frame(scene, AGENT_FRAME_ERROR, payload, agent_error_encode(&message, payload, 64));
}

static void say_done(const struct scene *scene, uint64_t value)
{
    uint8_t payload[64];

    say_frame(scene, AGENT_FRAME_DONE, payload, agent_done_encode(value, payload, 64));
}

/* The agent says nothing more. */
static void hang_up(struct scene *scene)
{
    close(scene->agent_fd);
    scene->agent_fd = -1;
}

static int run_until(struct scene *scene, const struct sandbox_files *files, int64_t usec)
{
    static const char *const argv[] = {"true", NULL};
    static const char *const env[] = {NULL};
    const struct agent_owner owner = {.user = "user"};
    const struct agent_exec_request request = {
        .argv = argv, .env = env, .cwd = "/", .user = "user", .max_output = MAX_OUTPUT};

    return agent_client_run(scene->client, files, &owner, &request, monotonic_usec() + usec,
                            &scene->result, &scene->err);
}

static int run(struct scene *scene)
{
    return run_until(scene, NULL, FAR_USEC);
}

static int ping(struct scene *scene)
{
    return agent_call_ping(scene->client, monotonic_usec() + FAR_USEC, &scene->err);
}

static void assert_broken(struct scene *scene)
{
    assert_int_equal(run(scene), -1);
    assert_int_equal(scene->err.code, ERR_INTERNAL);
    assert_false(agent_client_lost(scene->client));
    /* Whatever it says now cannot be trusted to belong to the next call. */
    say_done(scene, AGENT_PROTO_VERSION);
    assert_int_equal(ping(scene), -1);
    assert_int_equal(scene->err.code, ERR_UNAVAILABLE);
    end(scene);
}

static void test_honest_answer(void **state)
{
    struct scene scene = begin();

    (void)state;
    say_frame(&scene, AGENT_FRAME_STDERR, "e", 1);
    say_frame(&scene, AGENT_FRAME_STDOUT, "a\0", 2);
    say_frame(&scene, AGENT_FRAME_STDOUT, "b", 1);
    say_exit(&scene, 5 << 8);
    assert_int_equal(run(&scene), 0);
    assert_int_equal(scene.result.exit_code, 5);
    assert_int_equal(scene.result.out_size, 3);
    assert_memory_equal(scene.result.out, "a\0b", 4);
    assert_string_equal(scene.result.err, "e");
    end(&scene);
}

static void test_huge_frame(void **state)
{
    struct scene scene = begin();

    (void)state;
    say(&scene, "\xff\xff\xff\xff\x11\x01\0\0", 8);
    assert_broken(&scene);
}

static void test_unknown_and_misplaced_frames(void **state)
{
    static const uint8_t types[] = {0, 1, 6, 16, AGENT_FRAME_DONE, 99, 255};

    (void)state;
    for (size_t i = 0; i < sizeof(types); i++) {
        struct scene scene = begin();

        say_frame(&scene, types[i], "12345678", 8);
        assert_broken(&scene);
    }
}

static void test_more_output_than_agreed(void **state)
{
    char output[MAX_OUTPUT + 1] = {0};
    struct scene scene = begin();

    (void)state;
    say_frame(&scene, AGENT_FRAME_STDOUT, output, MAX_OUTPUT);
    say_frame(&scene, AGENT_FRAME_STDOUT, output, 1);
    assert_broken(&scene);
    scene = begin();
    say_frame(&scene, AGENT_FRAME_STDERR, output, MAX_OUTPUT + 1);
    assert_broken(&scene);
    scene = begin();
    say_frame(&scene, AGENT_FRAME_STDOUT, output, MAX_OUTPUT);
    say_frame(&scene, AGENT_FRAME_STDERR, output, MAX_OUTPUT);
    say_exit(&scene, 0);
    assert_int_equal(run(&scene), 0);
    end(&scene);
}

static void test_empty_output_frames_are_refused(void **state)
{
    struct scene scene = begin();

    (void)state;
    say_frame(&scene, AGENT_FRAME_STDOUT, NULL, 0);
    assert_broken(&scene);
}

static void test_exit_that_wait_never_gives(void **state)
{
    struct scene scene = begin();

    (void)state;
    say_exit(&scene, 0x1000000);
    assert_broken(&scene);
    scene = begin();
    say_frame(&scene, AGENT_FRAME_EXIT, "short", 5);
    assert_broken(&scene);
}

static void test_exit_twice(void **state)
{
    struct scene scene = begin();

    (void)state;
    say_exit(&scene, 0);
    say_exit(&scene, 1 << 8);
    assert_int_equal(run(&scene), 0);
    assert_int_equal(scene.result.exit_code, 0);
    assert_int_equal(ping(&scene), -1);
    assert_int_equal(scene.err.code, ERR_INTERNAL);
    end(&scene);
}

static void test_what_a_call_leaves_behind(void **state)
{
    struct scene scene = begin();

    (void)state;
    assert_true(agent_client_idle(scene.client));
    say_exit(&scene, 0);
    assert_int_equal(run(&scene), 0);
    assert_true(agent_client_idle(scene.client));
    say_error(&scene, AGENT_STAGE_EXEC, ENOENT);
    assert_int_equal(run(&scene), -1);
    assert_true(agent_client_idle(scene.client));
    say_exit(&scene, 0);
    assert_false(agent_client_idle(scene.client)); /* it has not been asked */
    end(&scene);
    scene = begin();
    say_exit(&scene, 0);
    say(&scene, "x", 1);
    assert_int_equal(run(&scene), 0);
    assert_false(agent_client_idle(scene.client));
    end(&scene);
    scene = begin();
    assert_int_equal(run_until(&scene, NULL, NEAR_USEC), 0);
    assert_true(scene.result.overdue);
    assert_false(agent_client_idle(scene.client));
    end(&scene);
    scene = begin();
    hang_up(&scene);
    assert_false(agent_client_idle(scene.client));
    end(&scene);
}

static int want_three(void *context, const struct agent_file_entry *entry, uint64_t *ret_wanted,
                      struct error *err)
{
    (void)context;
    (void)entry;
    (void)err;
    *ret_wanted = 3;
    return 0;
}

static int take_piece(void *context, const void *data, size_t size, struct error *err)
{
    (void)context;
    (void)data;
    (void)size;
    (void)err;
    return 0;
}

static void test_a_download_leaves_nothing_to_be_used(void **state)
{
    const struct agent_sink sink = {.begin = want_three, .piece = take_piece};
    const struct agent_entry_message entry = {
        .type = AGENT_FILE_REGULAR, .size = 10, .path = "", .link = "", .owner = "", .group = ""};
    struct scene scene = begin();
    uint8_t payload[AGENT_ENTRY_MAX];

    (void)state;
    say_frame(&scene, AGENT_FRAME_ENTRY, payload,
              agent_entry_encode(&entry, payload, sizeof(payload)));
    say_frame(&scene, AGENT_FRAME_DATA, "0123", 4);
    assert_int_equal(
        agent_files_download(scene.client, "user", "/f", 0, &sink, FAR_USEC, &scene.err), 0);
    assert_false(agent_client_idle(scene.client));
    end(&scene);
}

struct listing {
    const struct scene *scene;
    unsigned entries;
};

/* Entries with the longest names and links that there are. */
static void *say_entries(void *argument)
{
    const struct listing *listing = argument;
    char longest[AGENT_PATH_MAX];
    const struct agent_entry_message message = {
        .type = AGENT_FILE_LINK, .owner = "", .group = "", .path = longest, .link = longest};
    uint8_t frame[AGENT_HEADER_SIZE + AGENT_ENTRY_MAX];
    size_t size;

    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    size = agent_entry_encode(&message, frame + AGENT_HEADER_SIZE, AGENT_ENTRY_MAX);
    agent_frame_header(frame, AGENT_FRAME_ENTRY, (uint32_t)size);
    for (unsigned i = 0; i < listing->entries; i++)
        if (send(listing->scene->agent_fd, frame, AGENT_HEADER_SIZE + size,
                 MSG_NOSIGNAL | MSG_WAITALL) < 0)
            break; /* the client has had enough */
    (void)shutdown(listing->scene->agent_fd, SHUT_WR);
    return NULL;
}

static void test_a_list_is_bounded_in_bytes(void **state)
{
    const struct agent_file_request request = {.type = AGENT_FRAME_FOLDER,
                                               .number = 1,
                                               .limit = AGENT_LIST_MAX,
                                               .user = "user",
                                               .path = "/"};
    struct scene scene = begin();
    struct listing listing = {.scene = &scene, .entries = AGENT_LIST_MAX};
    struct agent_file_list list = {.count = 0};
    pthread_t agent;

    (void)state;
    assert_int_equal(pthread_create(&agent, NULL, say_entries, &listing), 0);
    assert_int_equal(
        agent_files_list(scene.client, &request, monotonic_usec() + FAR_USEC, &list, &scene.err),
        -1);
    assert_int_equal(scene.err.code, ERR_NOT_POSSIBLE);
    assert_string_equal(scene.err.field, "limit");
    agent_client_free(scene.client);
    assert_int_equal(pthread_join(agent, NULL), 0);
    close(scene.agent_fd);
}

static void test_early_close_is_no_exit_code(void **state)
{
    struct scene scene = begin();

    (void)state;
    say_frame(&scene, AGENT_FRAME_STDOUT, "partial", 7);
    hang_up(&scene);
    assert_int_equal(run(&scene), -1);
    assert_int_equal(scene.err.code, ERR_UNAVAILABLE);
    assert_string_equal(scene.err.message, "the sandbox ended before its agent had answered");
    assert_true(agent_client_lost(scene.client));
    end(&scene);
}

static void test_silence_ends_at_the_deadline(void **state)
{
    struct scene scene = begin();

    (void)state;
    say_frame(&scene, AGENT_FRAME_STDOUT, "x", 1);
    say(&scene, "\1\0\0", 3);
    assert_int_equal(run_until(&scene, NULL, NEAR_USEC), 0);
    assert_true(scene.result.overdue);
    assert_int_equal(scene.result.exit_code, -1);
    assert_int_equal(scene.result.signal, 0);
    assert_string_equal(scene.result.out, "x");
    assert_true(scene.result.out_truncated);
    assert_true(scene.result.err_truncated);
    assert_false(agent_client_lost(scene.client));
    agent_exec_result_free(&scene.result);
    /* What comes late is not the answer to another call. */
    say_exit(&scene, 0);
    assert_int_equal(run(&scene), -1);
    assert_int_equal(scene.err.code, ERR_UNAVAILABLE);
    end(&scene);
}

/* A command that is slow for an observer who listens at the third call. */
struct slow {
    const struct scene *scene;
    unsigned calls;
};

static bool on_slow(void *user)
{
    struct slow *slow = user;

    if (++slow->calls < 3)
        return false;
    say_exit(slow->scene, 0);
    return true;
}

static int run_slow(struct scene *scene, struct slow *slow, uint32_t slow_ms)
{
    static const char *const argv[] = {"true", NULL};
    static const char *const env[] = {NULL};
    const struct agent_exec_request request = {
        .argv = argv,
        .env = env,
        .cwd = "/",
        .user = "user",
        .max_output = MAX_OUTPUT,
        .on_slow = on_slow,
        .slow_user = slow,
        .slow_ms = slow_ms,
    };

    return agent_client_exec(scene->client, &request, monotonic_usec() + FAR_USEC, &scene->result,
                             &scene->err);
}

static void test_a_slow_command_is_told_of(void **state)
{
    struct scene scene = begin();
    struct slow slow = {.scene = &scene};

    (void)state;
    assert_int_equal(run_slow(&scene, &slow, 1), 0);
    assert_int_equal(slow.calls, 3);
    assert_false(scene.result.overdue);
    assert_int_equal(scene.result.exit_code, 0);
    end(&scene);
}

static void test_a_fast_command_is_not_told_of(void **state)
{
    struct scene scene = begin();
    struct slow slow = {.scene = &scene};

    (void)state;
    say_exit(&scene, 0);
    assert_int_equal(run_slow(&scene, &slow, FAR_USEC / 1000), 0);
    assert_int_equal(slow.calls, 0);
    end(&scene);
}

static void test_silence_before_the_command_is_no_result(void **state)
{
    struct sandbox_file items[] = {{.path = "/a", .content = "a", .size = 1},
                                   {.path = "/b", .content = "b", .size = 1}};
    const struct sandbox_files files = {.items = items, .count = 2};
    struct scene scene = begin();

    (void)state;
    say_done(&scene, 1);
    assert_int_equal(run_until(&scene, &files, NEAR_USEC), -1);
    assert_int_equal(scene.err.code, ERR_UNAVAILABLE);
    end(&scene);
}

static void test_errors_keep_their_cause(void **state)
{
    static const struct {
        enum agent_stage stage;
        uint32_t errnum;
        enum error_code code;
    } cases[] = {
        {AGENT_STAGE_EXEC, ENOENT, ERR_NOT_POSSIBLE},
        {AGENT_STAGE_PROCESS, EAGAIN, ERR_UNAVAILABLE},
        {AGENT_STAGE_IDENTITY, EPERM, ERR_INTERNAL},
        {AGENT_STAGE_FILE, ENOSPC, ERR_INSUFFICIENT_STORAGE},
        {AGENT_STAGE_FILE, 4000, ERR_INVALID_FIELD},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct scene scene = begin();

        say_error(&scene, cases[i].stage, cases[i].errnum);
        assert_int_equal(run(&scene), -1);
        assert_int_equal(scene.err.code, cases[i].code);
        say_done(&scene, AGENT_PROTO_VERSION);
        assert_int_equal(ping(&scene), 0);
        end(&scene);
    }
}

static void test_files_are_answered_one_by_one(void **state)
{
    struct sandbox_file items[] = {
        {.path = "/one", .content = "1", .size = 1},
        {.path = "/two", .content = "22", .size = 2},
    };
    const struct sandbox_files files = {.items = items, .count = 2};
    struct scene scene = begin();

    (void)state;
    say_done(&scene, 1);
    say_error(&scene, AGENT_STAGE_FILE, EISDIR);
    say_error(&scene, AGENT_STAGE_REQUEST, ECANCELED);
    assert_int_equal(run_until(&scene, &files, FAR_USEC), -1);
    assert_string_equal(scene.err.message,
                        "cannot write /two: the file cannot be used: Is a directory");
    end(&scene);
    /* A size that was not sent, and an exit before all files were answered. */
    scene = begin();
    say_done(&scene, 2);
    assert_int_equal(run_until(&scene, &files, FAR_USEC), -1);
    assert_int_equal(scene.err.code, ERR_INTERNAL);
    end(&scene);
    scene = begin();
    say_done(&scene, 1);
    say_exit(&scene, 0);
    assert_int_equal(run_until(&scene, &files, FAR_USEC), -1);
    assert_int_equal(scene.err.code, ERR_INTERNAL);
    end(&scene);
}

static void test_read_is_bounded(void **state)
{
    struct scene scene = begin();
    char *data = NULL;
    size_t size;

    (void)state;
    say_frame(&scene, AGENT_FRAME_DATA, "123456", 6);
    assert_int_equal(agent_call_read(scene.client, "/f", "user", 4, monotonic_usec() + FAR_USEC,
                                     &data, &size, &scene.err),
                     -1);
    assert_int_equal(scene.err.code, ERR_INTERNAL);
    end(&scene);
    scene = begin();
    say_frame(&scene, AGENT_FRAME_DATA, "12345", 5);
    say_done(&scene, 5);
    assert_int_equal(agent_call_read(scene.client, "/f", "user", 4, monotonic_usec() + FAR_USEC,
                                     &data, &size, &scene.err),
                     -1);
    assert_int_equal(scene.err.code, ERR_TOO_LARGE);
    assert_null(data);
    end(&scene);
}

static void test_requests_are_checked_before_they_are_sent(void **state)
{
    static const char *const none[] = {NULL};
    static const char *const argv[] = {"true", NULL};
    static const char *const bad_env[] = {"NAME", NULL};
    const struct agent_exec_request good = {
        .argv = argv, .env = none, .cwd = "/", .user = "user", .max_output = 1};
    struct agent_exec_request bad[] = {good, good, good, good};
    static const char *const fields[] = {"argv", "env", "cwd", "user"};
    struct scene scene = begin();
    char byte;

    (void)state;
    bad[0].argv = none;
    bad[1].env = bad_env;
    bad[2].cwd = "relative";
    bad[3].user = "";
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(agent_client_exec(scene.client, &bad[i], monotonic_usec() + FAR_USEC,
                                           &scene.result, &scene.err),
                         -1);
        assert_int_equal(scene.err.code, ERR_INVALID_FIELD);
        assert_string_equal(scene.err.field, fields[i]);
    }
    assert_int_equal(recv(scene.agent_fd, &byte, 1, MSG_DONTWAIT), -1);
    end(&scene);
}

static void test_nobody_listens(void **state)
{
    struct agent_client *client = NULL;
    struct error err = {0};
    char path[300];

    (void)state;
    assert_int_equal(
        agent_client_connect("/nonexistent/agent.sock", monotonic_usec() + FAR_USEC, &client, &err),
        -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    memset(path, '/', sizeof(path));
    strcpy(path + 200, "tmp/no-such.sock");
    assert_int_equal(agent_client_connect(path, monotonic_usec() + FAR_USEC, &client, &err), -1);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_null(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest_answer),
        cmocka_unit_test(test_huge_frame),
        cmocka_unit_test(test_unknown_and_misplaced_frames),
        cmocka_unit_test(test_more_output_than_agreed),
        cmocka_unit_test(test_empty_output_frames_are_refused),
        cmocka_unit_test(test_exit_that_wait_never_gives),
        cmocka_unit_test(test_exit_twice),
        cmocka_unit_test(test_what_a_call_leaves_behind),
        cmocka_unit_test(test_a_download_leaves_nothing_to_be_used),
        cmocka_unit_test(test_a_list_is_bounded_in_bytes),
        cmocka_unit_test(test_early_close_is_no_exit_code),
        cmocka_unit_test(test_silence_ends_at_the_deadline),
        cmocka_unit_test(test_a_slow_command_is_told_of),
        cmocka_unit_test(test_a_fast_command_is_not_told_of),
        cmocka_unit_test(test_silence_before_the_command_is_no_result),
        cmocka_unit_test(test_errors_keep_their_cause),
        cmocka_unit_test(test_files_are_answered_one_by_one),
        cmocka_unit_test(test_read_is_bounded),
        cmocka_unit_test(test_requests_are_checked_before_they_are_sent),
        cmocka_unit_test(test_nobody_listens),
    };

    return cmocka_run_group_tests_name("runtime: agent client", tests, NULL, NULL);
}
