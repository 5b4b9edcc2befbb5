#include "server/edge/streaming.h"

#include "server/edge/conn.h"
#include "server/edge/exchange.h"
#include "server/edge/upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIECE = 8 * 1024,       /* of a stream, at most a chunk */
    OUTPUT_MAX = 16 * 1024, /* the rest waits in the stream's queue */
    END_MAX = 64 * 1024,    /* with a heartbeat or the last chunk on top */
    CHUNK_HEAD = 6,         /* "xxxx\r\n" */
    CHUNK_TAIL = 2,
    VANISHED_MS = 45 * 1000, /* three heartbeats */
    WAKES_MAX = 64,          /* streams that go on before others have their turn */
};

/* The HTTP layer answered as to any request: what makes it an upgrade is of this hop only. */
static void upgrade(struct edge_conn *conn, struct edge_response *response)
{
    conn->request.upgraded = true;
    response->status = 101;
    response->reason = EDGE_SPAN("Switching Protocols");
    response->framing = EDGE_FRAMING_NONE;
}

bool edge_streaming_begin(struct edge_conn *conn, struct edge_response *response)
{
    char id[STREAM_ID_SIZE];

    if (!conn->loop->streams || response->stream.size != STREAM_ID_SIZE - 1)
        return false;
    memcpy(id, response->stream.data, response->stream.size);
    id[response->stream.size] = '\0';
    conn->stream = streams_take(conn->loop->streams, id, conn);
    if (!conn->stream)
        return false;
    response->has_length = false;
    response->framing = EDGE_FRAMING_CHUNKED;
    if (stream_takes_input(conn->stream))
        upgrade(conn, response);
    return true;
}

void edge_streaming_enter(struct edge_conn *conn)
{
    static const unsigned vanished_ms = VANISHED_MS;
    struct edge_buffer *const buffers[] = {&conn->input, &conn->head, &conn->body};

    /* A stream has no end that a stop could wait for: what begins now breaks off, too. */
    if (conn->request.to_head || atomic_load(&conn->loop->stopping)) {
        edge_streaming_leave(conn);
        return;
    }
    /* Once a client has vanished without a word, what he does not acknowledge tells it: not only
     * TCP's own patience of a quarter of an hour. */
    (void)setsockopt(conn->source.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &vanished_ms,
                     sizeof(vanished_ms));
    /* It may last for days. */
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        if (edge_buffer_used(buffers[i]) == 0)
            edge_buffer_release(buffers[i]);
    conn->state = EDGE_CONN_STREAM;
}

void edge_streaming_leave(struct edge_conn *conn)
{
    if (conn->stream)
        stream_abandon(conn->stream);
    conn->stream = NULL;
}

/* Producers may make streams ready faster than they are served. */
void edge_streaming_wake(struct edge_loop *loop)
{
    for (int i = 0; i < WAKES_MAX; i++) {
        struct edge_conn *conn = streams_next_ready(loop->streams);

        if (!conn)
            return;
        edge_conn_run(conn);
    }
    streams_wake_again(loop->streams);
}

/* HTTP/1.0 knows no chunks: there the connection's end is the end. A WebSocket has frames. */
static bool in_chunks(const struct edge_conn *conn)
{
    return !conn->request.http_1_0 && !conn->request.upgraded;
}

/* Reads a piece straight to where it is sent from, and puts the chunk's framing around it. */
static size_t take_piece(struct edge_conn *conn, enum stream_state *ret_state)
{
    struct edge_buffer *out = &conn->output;
    const size_t head = in_chunks(conn) ? CHUNK_HEAD : 0;
    const size_t tail = in_chunks(conn) ? CHUNK_TAIL : 0;
    char framing[CHUNK_HEAD + 1];
    char *at;
    size_t size;

    if (!edge_buffer_reserve(out, head + PIECE + tail, OUTPUT_MAX + head + PIECE + tail)) {
        *ret_state = STREAM_OPEN;
        return 0;
    }
    at = out->data + out->end;
    size = stream_read(conn->stream, at + head, PIECE, ret_state);
    if (size == 0)
        return 0;
    (void)snprintf(framing, sizeof(framing), "%04x\r\n", (unsigned)size & 0xffff);
    memcpy(at, framing, head);
    memcpy(at + head + size, "\r\n", tail);
    edge_buffer_commit(out, head + size + tail);
    return size;
}

/* The last chunk; in HTTP/1.0 the connection's end says the same. */
static bool append_end(struct edge_conn *conn)
{
    return !in_chunks(conn) || edge_buffer_append(&conn->output, "0\r\n\r\n", 5, END_MAX);
}

/* The stream has ended: the client hears it, or sees the connection break. */
static void finish(struct edge_conn *conn, enum stream_state state)
{
    edge_streaming_leave(conn);
    if (state != STREAM_DONE || !append_end(conn))
        conn->request.keep_alive = false;
    conn->state = EDGE_CONN_FLUSH;
    /* There is nothing to have a heartbeat any more. */
    edge_loop_set_timer(conn, EDGE_TIMER_WRITE);
}

/* True when a piece moved, or the stream has ended. */
static bool pull(struct edge_conn *conn)
{
    enum stream_state state = STREAM_OPEN;
    bool moved = false;

    while (state == STREAM_OPEN && edge_buffer_used(&conn->output) < OUTPUT_MAX) {
        if (take_piece(conn, &state) == 0 && state == STREAM_OPEN)
            break;
        moved = true;
    }
    if (state != STREAM_OPEN)
        finish(conn, state);
    return moved;
}

/* A client that takes nothing has a deadline; one that hears nothing gets a heartbeat. */
static void set_timer(struct edge_conn *conn, bool sent)
{
    bool stuck = edge_buffer_used(&conn->output) > 0 && !conn->writable;
    enum edge_timer timer = stuck                            ? EDGE_TIMER_WRITE
                            : stream_heartbeat(conn->stream) ? EDGE_TIMER_STREAM
                                                             : EDGE_TIMER_NONE;

    if (conn->timer != timer || (sent && timer == EDGE_TIMER_STREAM))
        edge_loop_set_timer(conn, timer);
}

/* What the client of a WebSocket sends, as far as there is room for it. */
static bool feed(struct edge_conn *conn)
{
    struct edge_buffer *input = &conn->input;
    size_t fed;

    if (!conn->request.upgraded)
        return false;
    if (edge_buffer_used(input) == 0 && !edge_conn_fill(conn)) {
        edge_buffer_release(input);
        return false;
    }
    fed = stream_feed(conn->stream, edge_buffer_bytes(input), edge_buffer_used(input));
    edge_buffer_consume(input, fed);
    return fed > 0;
}

/* Whoever shuts down the sending side of a stream's connection has left: there is no other way to
 * tell at once. What the client of a WebSocket sent before counts. */
static bool has_left(const struct edge_conn *conn)
{
    return conn->input_ended &&
           !(conn->request.upgraded && (conn->readable || edge_buffer_used(&conn->input) > 0));
}

bool edge_streaming_step(struct edge_conn *conn)
{
    bool moved = feed(conn);
    bool sent;

    if (has_left(conn)) {
        edge_conn_close(conn);
        return false;
    }
    moved |= pull(conn);
    if (conn->state != EDGE_CONN_STREAM)
        return true;
    sent = edge_conn_flush(conn);
    if (conn->state != EDGE_CONN_STREAM)
        return false;
    set_timer(conn, sent);
    return moved || sent;
}

void edge_streaming_heartbeat(struct edge_conn *conn)
{
    const char *text = stream_heartbeat(conn->stream);
    const size_t max = END_MAX;
    bool ok = in_chunks(conn)
                  ? edge_buffer_printf(&conn->output, max, "%zx\r\n%s\r\n", strlen(text), text)
                  : edge_buffer_printf(&conn->output, max, "%s", text);

    if (!ok) {
        edge_conn_close(conn);
        return;
    }
    edge_loop_set_timer(conn, EDGE_TIMER_STREAM);
    edge_conn_run(conn);
}
