/*
 * What a client may send after the handshake: the input is his bytes, which come in pieces as long
 * as the first one says.
 */
#include "server/stream/websocket.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 * 1024, INPUT_QUEUE = 4096, OUTPUT_QUEUE = 8192 };

static struct streams *streams;

static void take_text(__attribute__((unused)) void *user, const char *text, size_t size)
{
    if (size > WEBSOCKET_TEXT_MAX || (size > 0 && memchr(text, 0xff, size)))
        abort();
}

static void take_binary(void *user, __attribute__((unused)) const void *data, size_t size)
{
    size_t *left = user;

    /* Nothing comes out that did not go in. */
    if (size == 0 || size > *left)
        abort();
    *left -= size;
}

static void make_streams(void)
{
    static const struct streams_options options = {.guard_ms = 60000, .offer_ms = 60000};

    if (!streams && streams_create(&options, &streams, NULL) < 0)
        abort();
}

/* What would go to the client is thrown away. */
static void drain(struct stream *stream)
{
    enum stream_state state;
    char bytes[OUTPUT_QUEUE];

    while (stream_read(stream, bytes, sizeof(bytes), &state) > 0)
        continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct websocket_handler handler = {.on_text = take_text,
                                                     .on_binary = take_binary};
    struct websocket *websocket;
    struct stream *stream;
    size_t left = size;
    size_t piece;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    make_streams();
    piece = 1 + (size_t)data[0] * 16;
    if (stream_new(streams, OUTPUT_QUEUE, &stream, NULL) < 0)
        abort();
    stream_set_input(stream, INPUT_QUEUE);
    if (websocket_new(stream, &handler, &left, &websocket, NULL) < 0)
        abort();
    for (size_t at = 1; at < size && !websocket_is_closing(websocket);) {
        size_t part = size - at < piece ? size - at : piece;

        at += stream_feed(stream, data + at, part);
        while (websocket_flush(websocket) && websocket_receive(websocket))
            continue;
        drain(stream);
    }
    websocket_close(websocket, WEBSOCKET_NORMAL, "over");
    (void)websocket_flush(websocket);
    websocket_free(websocket);
    stream_unref(stream);
    return 0;
}
