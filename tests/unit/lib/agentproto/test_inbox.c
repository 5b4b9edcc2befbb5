/* The agent's state machine, and under it the reassembly of frames. */
#include "lib/agentproto/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct agent_inbox inbox;
static struct agent_event_data event;

static int reset(void **state)
{
    (void)state;
    memset(&inbox, 0, sizeof(inbox));
    return 0;
}

static void feed(const void *data, size_t size)
{
    size_t room;
    uint8_t *space = agent_buffer_space(&inbox.buffer, &room);

    assert_true(size <= room);
    memcpy(space, data, size);
    agent_buffer_filled(&inbox.buffer, size);
}

static void feed_frame(enum agent_frame_type type, const void *payload, size_t size)
{
    uint8_t header[AGENT_HEADER_SIZE];

    agent_frame_header(header, type, (uint32_t)size);
    feed(header, sizeof(header));
    if (size > 0)
        feed(payload, size);
}

static enum agent_event next(void)
{
    return agent_inbox_next(&inbox, &event);
}

static size_t make_exec(uint8_t *data, size_t capacity, uint32_t flags, const char *argument,
                        uint32_t count)
{
    const char *argv[64];
    const struct agent_exec_message message = {
        .flags = flags, .command = {.cwd = "/", .user = "u", .argc = count, .argv = argv}};

    for (uint32_t i = 0; i < count; i++)
        argv[i] = argument;
    return agent_exec_encode(&message, data, capacity);
}

static void test_bytes_one_by_one(void **state)
{
    uint8_t frame[AGENT_HEADER_SIZE + 128];
    size_t size = make_exec(frame + AGENT_HEADER_SIZE, 128, 0, "true", 1);

    (void)state;
    agent_frame_header(frame, AGENT_FRAME_EXEC, (uint32_t)size);
    for (size_t i = 0; i < AGENT_HEADER_SIZE + size; i++) {
        assert_int_equal(next(), AGENT_EVENT_NONE);
        feed(frame + i, 1);
    }
    assert_int_equal(next(), AGENT_EVENT_EXEC);
    assert_string_equal(event.exec.command.argv[0], "true");
    assert_int_equal(next(), AGENT_EVENT_NONE);
}

static void test_many_frames_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        feed_frame(AGENT_FRAME_PING, NULL, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(next(), AGENT_EVENT_PING);
    assert_int_equal(next(), AGENT_EVENT_NONE);
}

static void test_a_request_without_a_payload_has_none(void **state)
{
    (void)state;
    feed_frame(AGENT_FRAME_DISK, NULL, 0);
    assert_int_equal(next(), AGENT_EVENT_DISK);
    feed_frame(AGENT_FRAME_DISK, "x", 1);
    assert_int_equal(next(), AGENT_EVENT_BROKEN);
}

static void test_request_in_pieces(void **state)
{
    static uint8_t request[AGENT_REQUEST_MAX];
    static char argument[30000];
    size_t size;

    (void)state;
    memset(argument, 'x', sizeof(argument) - 1);
    size = make_exec(request, sizeof(request), 0, argument, 10);
    assert_true(size > 4 * AGENT_FRAME_MAX);
    feed_frame(AGENT_FRAME_EXEC, request, 10);
    assert_int_equal(next(), AGENT_EVENT_NONE);
    for (size_t sent = 10; sent < size;) {
        size_t piece = size - sent < AGENT_FRAME_MAX ? size - sent : AGENT_FRAME_MAX;

        feed_frame(AGENT_FRAME_MORE, request + sent, piece);
        sent += piece;
        assert_int_equal(next(), sent < size ? AGENT_EVENT_NONE : AGENT_EVENT_EXEC);
    }
    assert_int_equal(event.exec.command.argc, 10);
    assert_string_equal(event.exec.command.argv[9], argument);
    feed_frame(AGENT_FRAME_PING, NULL, 0);
    assert_int_equal(next(), AGENT_EVENT_PING);
}

static void test_piece_over_the_announced_size(void **state)
{
    uint8_t request[128];
    size_t size = make_exec(request, sizeof(request), 0, "true", 1);

    (void)state;
    feed_frame(AGENT_FRAME_EXEC, request, 8);
    assert_int_equal(next(), AGENT_EVENT_NONE);
    feed_frame(AGENT_FRAME_MORE, request, size - 8 + 1);
    assert_int_equal(next(), AGENT_EVENT_BROKEN);
}

static void test_empty_piece(void **state)
{
    uint8_t request[128];

    (void)state;
    (void)make_exec(request, sizeof(request), 0, "true", 1);
    feed_frame(AGENT_FRAME_EXEC, request, 8);
    feed_frame(AGENT_FRAME_MORE, NULL, 0);
    assert_int_equal(next(), AGENT_EVENT_BROKEN);
}

static void test_other_frame_between_pieces(void **state)
{
    uint8_t request[128];

    (void)state;
    (void)make_exec(request, sizeof(request), 0, "true", 1);
    feed_frame(AGENT_FRAME_EXEC, request, 8);
    feed_frame(AGENT_FRAME_PING, NULL, 0);
    assert_int_equal(next(), AGENT_EVENT_BROKEN);
}

static void test_body_only_where_it_belongs(void **state)
{
    uint8_t request[128];
    size_t size = make_exec(request, sizeof(request), AGENT_EXEC_STDIN, "cat", 1);

    (void)state;
    feed_frame(AGENT_FRAME_EXEC, request, size);
    feed_frame(AGENT_FRAME_DATA, "in", 2);
    feed_frame(AGENT_FRAME_END, NULL, 0);
    feed_frame(AGENT_FRAME_END, NULL, 0);
    assert_int_equal(next(), AGENT_EVENT_EXEC);
    assert_int_equal(next(), AGENT_EVENT_DATA);
    assert_int_equal(event.data.size, 2);
    assert_memory_equal(event.data.bytes, "in", 2);
    assert_int_equal(next(), AGENT_EVENT_END);
    assert_int_equal(next(), AGENT_EVENT_BROKEN);
}

static void test_request_inside_a_body(void **state)
{
    const struct agent_write_message message = {.mode = 0644, .owner = "u", .path = "/p"};
    uint8_t payload[64];

    (void)state;
    feed_frame(AGENT_FRAME_WRITE, payload, agent_write_encode(&message, payload, 64));
    feed_frame(AGENT_FRAME_PING, NULL, 0);
    assert_int_equal(next(), AGENT_EVENT_WRITE);
    assert_int_equal(next(), AGENT_EVENT_BROKEN);
}

static void test_largest_frame_fits(void **state)
{
    const struct agent_write_message message = {.mode = 0644, .owner = "u", .path = "/p"};
    static uint8_t body[AGENT_FRAME_MAX];
    uint8_t payload[64];
    size_t room;

    (void)state;
    feed_frame(AGENT_FRAME_WRITE, payload, agent_write_encode(&message, payload, 64));
    assert_int_equal(next(), AGENT_EVENT_WRITE);
    feed_frame(AGENT_FRAME_DATA, body, sizeof(body));
    (void)agent_buffer_space(&inbox.buffer, &room);
    assert_int_equal(room, 0);
    assert_int_equal(next(), AGENT_EVENT_DATA);
    assert_int_equal(event.data.size, AGENT_FRAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bytes_one_by_one, reset),
        cmocka_unit_test_setup(test_many_frames_at_once, reset),
        cmocka_unit_test_setup(test_a_request_without_a_payload_has_none, reset),
        cmocka_unit_test_setup(test_request_in_pieces, reset),
        cmocka_unit_test_setup(test_piece_over_the_announced_size, reset),
        cmocka_unit_test_setup(test_empty_piece, reset),
        cmocka_unit_test_setup(test_other_frame_between_pieces, reset),
        cmocka_unit_test_setup(test_body_only_where_it_belongs, reset),
        cmocka_unit_test_setup(test_request_inside_a_body, reset),
        cmocka_unit_test_setup(test_largest_frame_fits, reset),
    };

    return cmocka_run_group_tests_name("agentproto: inbox", tests, NULL, NULL);
}
