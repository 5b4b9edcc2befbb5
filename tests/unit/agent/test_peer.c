/* What no proper client says, to the real agent: every connection but the guilty one lives on. */
#include "lib/agentproto/frame.h"
#include "lib/agentproto/message.h"
#include "tests/unit/agent/agent_fixture.h"
#include "tests/unit/support/agent_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void send_frame(int fd, enum agent_frame_type type, const void *payload, size_t size)
{
    uint8_t header[AGENT_HEADER_SIZE];

    agent_frame_header(header, type, (uint32_t)size);
    assert_int_equal(send(fd, header, sizeof(header), MSG_NOSIGNAL), sizeof(header));
    if (size > 0)
        assert_int_equal(send(fd, payload, size, MSG_NOSIGNAL), size);
}

static size_t receive_some(int fd, void *data, size_t size)
{
    ssize_t got = recv(fd, data, size, 0);

    assert_true(got >= 0 || got == -1);
    return got > 0 ? (size_t)got : 0;
}

/* Takes one frame of the type; returns its size. */
static size_t expect_frame(int fd, enum agent_frame_type type, uint8_t *payload, size_t capacity)
{
    uint8_t header[AGENT_HEADER_SIZE];
    uint32_t size;

    assert_int_equal(recv(fd, header, sizeof(header), MSG_WAITALL), sizeof(header));
    assert_int_equal(header[4], type);
    memcpy(&size, header, sizeof(size));
    assert_true(size <= capacity);
    if (size > 0)
        assert_int_equal(recv(fd, payload, size, MSG_WAITALL), size);
    return size;
}

static void assert_alive(const struct agent_fixture *fixture)
{
    struct agent_client *client = agent_fixture_connect(fixture);
    struct error err = {0};

    if (agent_call_ping(client, agent_fixture_deadline(), &err) < 0)
        fail_msg("%s", err.message);
    agent_client_free(client);
}

static size_t encode_exec(uint8_t *payload, size_t capacity, const char *script, uint32_t flags)
{
    const char *argv[] = {"sh", "-c", script};
    const char *env[] = {"PATH=/usr/bin:/bin"};
    const struct agent_exec_message message = {
        .flags = flags,
        .max_output = UINT64_MAX,
        .command.cwd = "/",
        .command.user = "65534:65534",
        .command.argc = 3,
        .command.envc = 1,
        .command.argv = argv,
        .command.env = env,
    };

    return agent_exec_encode(&message, payload, capacity);
}

static void assert_ends_connection(const struct agent_fixture *fixture, const void *bytes,
                                   size_t size)
{
    int fd = agent_fixture_socket(fixture);
    uint8_t byte;

    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
    assert_int_equal(receive_some(fd, &byte, 1), 0);
    close(fd);
    assert_alive(fixture);
}

static void test_broken_frames_end_only_their_connection(void **state)
{
    const struct agent_fixture *fixture = agent_group(state);
    static const uint8_t frames[][16] = {
        {0xff, 0xff, 0xff, 0xff, AGENT_FRAME_PING, 1}, /* 4 GiB */
        {1, 0, 1, 0, AGENT_FRAME_PING, 1},             /* one byte over the largest */
        {0, 0, 0, 0, AGENT_FRAME_PING, 2},             /* another version */
        {0, 0, 0, 0, AGENT_FRAME_PING, 1, 1},          /* reserved bytes */
        {0, 0, 0, 0, 0, 1},                            /* no type */
        {0, 0, 0, 0, 99, 1},                           /* unknown type */
        {0, 0, 0, 0, AGENT_FRAME_EXIT, 1},             /* a reply */
        {0, 0, 0, 0, AGENT_FRAME_DATA, 1},             /* no operation */
        {0, 0, 0, 0, AGENT_FRAME_MORE, 1},             /* nothing to continue */
        {4, 0, 0, 0, AGENT_FRAME_PING, 1, 0, 0, 1},    /* a payload */
        {4, 0, 0, 0, AGENT_FRAME_EXEC, 1, 0, 0, 0xff, 0xff, 0xff, 0xff},
        {4, 0, 0, 0, AGENT_FRAME_EXEC, 1, 0, 0, 4},
        {4, 0, 0, 0, AGENT_FRAME_WRITE, 1, 0, 0, 4},
        {4, 0, 0, 0, AGENT_FRAME_READ, 1, 0, 0, 4},
    };

    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
        assert_ends_connection(fixture, frames[i], sizeof(frames[i]));
}

static void test_noise(void **state)
{
    const struct agent_fixture *fixture = agent_group(state);
    uint8_t noise[4096];
    uint32_t seed = 12345;

    for (int round = 0; round < 50; round++) {
        int fd = agent_fixture_socket(fixture);

        for (size_t i = 0; i < sizeof(noise); i++) {
            seed = seed * 1664525u + 1013904223u;
            noise[i] = (uint8_t)(seed >> 24);
        }
        (void)!send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
        close(fd);
    }
    assert_alive(fixture);
}

static void test_pieces_of_any_size(void **state)
{
    const struct agent_fixture *fixture = agent_group(state);
    uint8_t message[512];
    uint8_t reply[64];
    size_t size;
    int fd;

    fd = agent_fixture_socket(fixture);
    size = encode_exec(message + AGENT_HEADER_SIZE, sizeof(message) - AGENT_HEADER_SIZE,
                       "printf hi", 0);
    agent_frame_header(message, AGENT_FRAME_EXEC, (uint32_t)size);
    for (size_t i = 0; i < size + AGENT_HEADER_SIZE; i++)
        assert_int_equal(send(fd, message + i, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(expect_frame(fd, AGENT_FRAME_STDOUT, reply, sizeof(reply)), 2);
    (void)expect_frame(fd, AGENT_FRAME_EXIT, reply, sizeof(reply));
    close(fd);
}

static void test_operations_are_answered_in_order(void **state)
{
    const struct agent_fixture *fixture = agent_group(state);
    uint8_t exec[512];
    uint8_t reply[64];
    size_t size;
    int fd;

    fd = agent_fixture_socket(fixture);
    size = encode_exec(exec, sizeof(exec), "cat; exit 3", AGENT_EXEC_STDIN);
    send_frame(fd, AGENT_FRAME_PING, NULL, 0);
    send_frame(fd, AGENT_FRAME_EXEC, exec, size);
    send_frame(fd, AGENT_FRAME_DATA, "abc", 3);
    send_frame(fd, AGENT_FRAME_END, NULL, 0);
    send_frame(fd, AGENT_FRAME_PING, NULL, 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    (void)expect_frame(fd, AGENT_FRAME_DONE, reply, sizeof(reply));
    assert_int_equal(expect_frame(fd, AGENT_FRAME_STDOUT, reply, sizeof(reply)), 3);
    (void)expect_frame(fd, AGENT_FRAME_EXIT, reply, sizeof(reply));
    (void)expect_frame(fd, AGENT_FRAME_DONE, reply, sizeof(reply));
    assert_int_equal(receive_some(fd, reply, 1), 0);
    close(fd);
}

/* The anonymous memory of the agent in bytes. */
static size_t agent_memory(const struct agent_fixture *fixture)
{
    char path[64];
    char line[256];
    size_t total = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)fixture->agent);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        size_t kib;

        if (sscanf(line, "Anonymous: %zu kB", &kib) == 1)
            total = kib * 1024;
    }
    fclose(file);
    return total;
}

static void test_slow_reader_holds_nobody_up(void **state)
{
    const struct agent_fixture *fixture = agent_group(state);
    uint8_t exec[512];
    uint8_t *reply = malloc(AGENT_FRAME_MAX);
    size_t size;
    int fd;

    fd = agent_fixture_socket(fixture);
    size = encode_exec(exec, sizeof(exec), "exec yes", 0);
    send_frame(fd, AGENT_FRAME_EXEC, exec, size);
    (void)expect_frame(fd, AGENT_FRAME_STDOUT, reply, AGENT_FRAME_MAX);
    for (int i = 0; i < 1000; i++)
        assert_alive(fixture);
    assert_true(agent_memory(fixture) < (1 << 20));
    for (int i = 0; i < 100; i++)
        (void)expect_frame(fd, AGENT_FRAME_STDOUT, reply, AGENT_FRAME_MAX);
    close(fd);
    assert_alive(fixture);
    free(reply);
}

static void test_half_a_request_holds_nobody_up(void **state)
{
    const struct agent_fixture *fixture = agent_group(state);
    enum { HALVES = 50 };
    int fds[HALVES];

    for (int i = 0; i < HALVES; i++) {
        fds[i] = agent_fixture_socket(fixture);
        assert_int_equal(send(fds[i], "\x10\0\0\0\x02", 5, MSG_NOSIGNAL), 5);
    }
    assert_alive(fixture);
    for (int i = 0; i < HALVES; i++)
        close(fds[i]);
    assert_alive(fixture);
}

static void test_unfinished_file_leaves_nothing(void **state)
{
    const struct agent_fixture *fixture = agent_group(state);
    char path[128];
    uint8_t payload[256];
    const struct agent_write_message message = {.mode = 0644, .owner = "65534:65534", .path = path};
    char command[256];
    size_t size;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/unfinished", fixture->folder);
    size = agent_write_encode(&message, payload, sizeof(payload));
    fd = agent_fixture_socket(fixture);
    send_frame(fd, AGENT_FRAME_WRITE, payload, size);
    send_frame(fd, AGENT_FRAME_DATA, "half", 4);
    send_frame(fd, AGENT_FRAME_PING, NULL, 0); /* breaks the protocol */
    assert_int_equal(receive_some(fd, payload, 1), 0);
    close(fd);
    (void)snprintf(command, sizeof(command), "! ls -A %s | grep -vE '^(agent.sock|logs)$'",
                   fixture->folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_frames_end_only_their_connection),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_pieces_of_any_size),
        cmocka_unit_test(test_operations_are_answered_in_order),
        cmocka_unit_test(test_slow_reader_holds_nobody_up),
        cmocka_unit_test(test_half_a_request_holds_nobody_up),
        cmocka_unit_test(test_unfinished_file_leaves_nothing),
    };

    return cmocka_run_group_tests_name("agent: connections", tests, agent_group_set_up,
                                       agent_group_tear_down);
}
