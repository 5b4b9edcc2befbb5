#include "server/stream/websocket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

struct websocket {
    struct stream *stream;
    struct wslay_event_context *context;
    struct websocket_handler handler;
    void *user;
    size_t allowance; /* bytes that may still be taken in this call of websocket_receive */
    uint8_t frame;    /* the opcode of the present frame */
    uint8_t message;  /* and of the message that it belongs to */
    char *text;       /* what has come of a text message */
    size_t text_size;
    bool failed; /* libwslay gave up: nothing more can be sent */
};

/* --- what libwslay calls */

static ssize_t on_recv(wslay_event_context_ptr context, uint8_t *data, size_t size,
                       __attribute__((unused)) int flags, void *user)
{
    struct websocket *websocket = user;
    size_t most = size < websocket->allowance ? size : websocket->allowance;
    size_t taken = most > 0 ? stream_receive(websocket->stream, data, most) : 0;

    websocket->allowance -= taken;
    if (taken > 0)
        return (ssize_t)taken;
    wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr context, const uint8_t *data, size_t size,
                       __attribute__((unused)) int flags, void *user)
{
    struct websocket *websocket = user;
    size_t sent = stream_push_some(websocket->stream, data, size);

    if (sent > 0)
        return (ssize_t)sent;
    wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
    return -1;
}

/* A frame of its own or the first of a message; control frames may come between a message's. */
static void on_frame_start(__attribute__((unused)) wslay_event_context_ptr context,
                           const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
    struct websocket *websocket = user;

    websocket->frame = frame->opcode;
    if (frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME)
        websocket->message = frame->opcode;
}

static void drop_text(struct websocket *websocket)
{
    free(websocket->text);
    websocket->text = NULL;
    websocket->text_size = 0;
}

static void add_text(struct websocket *websocket, const uint8_t *data, size_t size)
{
    if (websocket_is_closing(websocket))
        return;
    if (size > WEBSOCKET_TEXT_MAX - websocket->text_size) {
        websocket_close(websocket, WEBSOCKET_TOO_BIG, "a text message is at most 4096 bytes");
        return;
    }
    if (!websocket->text)
        websocket->text = malloc(WEBSOCKET_TEXT_MAX);
    if (!websocket->text) {
        websocket_close(websocket, WEBSOCKET_FAILED, "there is no memory for the message");
        return;
    }
    memcpy(websocket->text + websocket->text_size, data, size);
    websocket->text_size += size;
}

static void on_chunk(__attribute__((unused)) wslay_event_context_ptr context,
                     const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *user)
{
    struct websocket *websocket = user;

    if (wslay_is_ctrl_frame(websocket->frame) || chunk->data_length == 0)
        return;
    if (websocket->message == WSLAY_TEXT_FRAME)
        add_text(websocket, chunk->data, chunk->data_length);
    else
        websocket->handler.on_binary(websocket->user, chunk->data, chunk->data_length);
}

static void on_message(__attribute__((unused)) wslay_event_context_ptr context,
                       const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct websocket *websocket = user;

    if (message->opcode != WSLAY_TEXT_FRAME)
        return;
    if (!websocket_is_closing(websocket))
        websocket->handler.on_text(websocket->user, websocket->text ? websocket->text : "",
                                   websocket->text_size);
    drop_text(websocket);
}

/* --- the WebSocket */

int websocket_new(struct stream *stream, const struct websocket_handler *handler, void *user,
                  struct websocket **ret_websocket, struct error *err)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .on_frame_recv_start_callback = on_frame_start,
        .on_frame_recv_chunk_callback = on_chunk,
        .on_msg_recv_callback = on_message,
    };
    struct websocket *websocket = calloc(1, sizeof(*websocket));

    if (!websocket || wslay_event_context_server_init(&websocket->context, &callbacks, websocket)) {
        free(websocket);
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for a WebSocket");
    }
    wslay_event_config_set_no_buffering(websocket->context, 1);
    /* The length that a message may claim; nothing of it is reserved. */
    wslay_event_config_set_max_recv_msg_length(websocket->context, UINT64_C(1) << 62);
    websocket->stream = stream_ref(stream);
    websocket->handler = *handler;
    websocket->user = user;
    *ret_websocket = websocket;
    return 0;
}

void websocket_free(struct websocket *websocket)
{
    if (!websocket)
        return;
    wslay_event_context_free(websocket->context);
    stream_unref(websocket->stream);
    free(websocket->text);
    free(websocket);
}

bool websocket_is_closing(const struct websocket *websocket)
{
    return websocket->failed || !wslay_event_get_read_enabled(websocket->context) ||
           wslay_event_get_close_received(websocket->context);
}

bool websocket_receive(struct websocket *websocket)
{
    if (websocket_is_closing(websocket))
        return false;
    websocket->allowance = WEBSOCKET_PIECE;
    /* What breaks the protocol has begun a close. */
    if (wslay_event_recv(websocket->context) == WSLAY_ERR_NOMEM)
        websocket->failed = true;
    return websocket->allowance < WEBSOCKET_PIECE;
}

static void queue(struct websocket *websocket, uint8_t opcode, const void *data, size_t size)
{
    const struct wslay_event_msg message = {.opcode = opcode, .msg = data, .msg_length = size};

    if (!websocket_is_closing(websocket) &&
        wslay_event_queue_msg(websocket->context, &message) == WSLAY_ERR_NOMEM)
        websocket->failed = true;
}

void websocket_send(struct websocket *websocket, enum websocket_kind kind, const void *data,
                    size_t size)
{
    queue(websocket, kind == WEBSOCKET_TEXT ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, data, size);
}

void websocket_ping(struct websocket *websocket)
{
    queue(websocket, WSLAY_PING, NULL, 0);
}

void websocket_close(struct websocket *websocket, enum websocket_code code, const char *reason)
{
    if (websocket_is_closing(websocket))
        return;
    if (wslay_event_queue_close(websocket->context, (uint16_t)code, (const uint8_t *)reason,
                                strlen(reason)) != 0)
        websocket->failed = true;
    wslay_event_shutdown_read(websocket->context);
}

bool websocket_flush(struct websocket *websocket)
{
    if (websocket->failed)
        return true;
    if (wslay_event_send(websocket->context) != 0)
        websocket->failed = true;
    return websocket->failed || !wslay_event_want_write(websocket->context);
}
