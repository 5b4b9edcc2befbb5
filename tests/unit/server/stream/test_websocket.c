/* Frames both ways over a stream; the tests are the client, and the edge between. */
#include "server/stream/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { QUEUE = 256, INPUT = 8192, HEARD_MAX = 16 * 1024 };

struct fixture {
    struct streams *streams;
    struct stream *stream;
    struct websocket *websocket;
    char text[HEARD_MAX];
    size_t text_size;
    unsigned texts;
    char binary[HEARD_MAX];
    size_t binary_size;
};

static void hear_text(void *user, const char *text, size_t size)
{
    struct fixture *fixture = user;

    memcpy(fixture->text, text, size);
    fixture->text_size = size;
    fixture->texts++;
}

static void hear_binary(void *user, const void *data, size_t size)
{
    struct fixture *fixture = user;

    assert_true(size <= HEARD_MAX - fixture->binary_size);
    memcpy(fixture->binary + fixture->binary_size, data, size);
    fixture->binary_size += size;
}

static int set_up(void **state)
{
    const struct streams_options options = {.guard_ms = 60000, .offer_ms = 60000};
    const struct websocket_handler handler = {.on_text = hear_text, .on_binary = hear_binary};
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    assert_int_equal(streams_create(&options, &fixture->streams, NULL), 0);
    assert_int_equal(stream_new(fixture->streams, QUEUE, &fixture->stream, NULL), 0);
    stream_set_input(fixture->stream, INPUT);
    assert_int_equal(websocket_new(fixture->stream, &handler, fixture, &fixture->websocket, NULL),
                     0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    websocket_free(fixture->websocket);
    stream_unref(fixture->stream);
    streams_free(fixture->streams);
    free(fixture);
    return 0;
}

/* A client's frame with the mask 0, which leaves the payload as it is. */
static void client_sends(struct fixture *fixture, uint8_t first, const void *payload, size_t size)
{
    uint8_t head[8] = {first, (uint8_t)(0x80 | (size < 126 ? size : 126))};
    size_t head_size = 6;

    if (size >= 126) {
        head[2] = (uint8_t)(size >> 8);
        head[3] = (uint8_t)size;
        head_size = 8;
    }
    assert_int_equal(stream_feed(fixture->stream, head, head_size), head_size);
    assert_int_equal(stream_feed(fixture->stream, payload, size), size);
}

static void receive_all(struct fixture *fixture)
{
    while (websocket_receive(fixture->websocket))
        continue;
}

static void client_gets(struct fixture *fixture, const void *bytes, size_t size)
{
    enum stream_state stream;
    char got[QUEUE];

    assert_true(websocket_flush(fixture->websocket));
    assert_int_equal(stream_read(fixture->stream, got, sizeof(got), &stream), size);
    assert_memory_equal(got, bytes, size);
}

static void test_text_comes_whole(void **state)
{
    struct fixture *fixture = *state;

    client_sends(fixture, 0x01, "{\"a\"", 4);
    receive_all(fixture);
    assert_int_equal(fixture->texts, 0);
    client_sends(fixture, 0x89, "?", 1);
    client_sends(fixture, 0x80, ":1}", 3);
    receive_all(fixture);
    assert_int_equal(fixture->texts, 1);
    assert_int_equal(fixture->text_size, 7);
    assert_memory_equal(fixture->text, "{\"a\":1}", 7);
    client_gets(fixture, "\x8a\x01?", 3);
}

static void test_binary_comes_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    char bytes[6000];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i % 251);
    client_sends(fixture, 0x82, bytes, sizeof(bytes));
    assert_true(websocket_receive(fixture->websocket));
    assert_in_range(fixture->binary_size, 1, WEBSOCKET_PIECE);
    receive_all(fixture);
    assert_int_equal(fixture->binary_size, sizeof(bytes));
    assert_memory_equal(fixture->binary, bytes, sizeof(bytes));
}

static void test_what_has_no_room_waits(void **state)
{
    struct fixture *fixture = *state;
    enum stream_state stream;
    char bytes[QUEUE] = {0};
    char got[QUEUE];

    websocket_send(fixture->websocket, WEBSOCKET_BINARY, bytes, sizeof(bytes));
    assert_false(websocket_flush(fixture->websocket));
    websocket_close(fixture->websocket, WEBSOCKET_NORMAL, "bye");
    assert_int_equal(stream_read(fixture->stream, got, sizeof(got), &stream), QUEUE);
    assert_memory_equal(got, "\x82\x7e\x01\x00", 4);
    client_gets(fixture,
                "\0\0\0\0\x88\x05\x03\xe8"
                "bye",
                11);
    assert_true(websocket_is_closing(fixture->websocket));
}

static void expect_close(struct fixture *fixture, uint16_t code)
{
    enum stream_state stream;
    uint8_t got[QUEUE];

    receive_all(fixture);
    assert_true(websocket_is_closing(fixture->websocket));
    assert_true(websocket_flush(fixture->websocket));
    assert_true(stream_read(fixture->stream, got, sizeof(got), &stream) >= 4);
    assert_int_equal(got[0], 0x88);
    assert_int_equal(got[2] << 8 | got[3], code);
    /* Nothing after it is looked at. */
    client_sends(fixture, 0x82, "late", 4);
    assert_false(websocket_receive(fixture->websocket));
    assert_int_equal(fixture->binary_size, 0);
}

static void test_a_close_is_answered(void **state)
{
    struct fixture *fixture = *state;

    client_sends(fixture, 0x88, "\x03\xe8", 2);
    expect_close(fixture, WEBSOCKET_NORMAL);
}

static void test_text_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    char text[WEBSOCKET_TEXT_MAX + 1];

    memset(text, 'x', sizeof(text));
    client_sends(fixture, 0x81, text, WEBSOCKET_TEXT_MAX);
    receive_all(fixture);
    assert_int_equal(fixture->text_size, WEBSOCKET_TEXT_MAX);
    client_sends(fixture, 0x81, text, sizeof(text));
    expect_close(fixture, WEBSOCKET_TOO_BIG);
    assert_int_equal(fixture->texts, 1);
}

static void test_text_is_utf8(void **state)
{
    struct fixture *fixture = *state;

    client_sends(fixture, 0x81, "\xc3\x28", 2);
    expect_close(fixture, WEBSOCKET_NOT_UTF8);
}

static void test_reserved_bits_are_refused(void **state)
{
    struct fixture *fixture = *state;

    client_sends(fixture, 0xc2, "x", 1);
    expect_close(fixture, WEBSOCKET_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_text_comes_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_binary_comes_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_has_no_room_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_close_is_answered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text_is_utf8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reserved_bits_are_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
