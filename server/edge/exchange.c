#include "server/edge/exchange.h"

#include "server/edge/conn.h"
#include "server/edge/response.h"
#include "server/edge/streaming.h"
#include "server/edge/upstream.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { ANSWER_MAX = 2 * EDGE_OUTPUT_MAX };

bool edge_exchange_begin(struct edge_conn *conn)
{
    const size_t max = EDGE_REQUEST_HEAD_MAX + EDGE_FRAMING_MAX;
    struct edge_request *request = &conn->request;
    size_t held = edge_buffer_used(&conn->body);

    if (request->framing == EDGE_FRAMING_NONE)
        return edge_buffer_append(&conn->head, "\r\n", 2, max);
    if (request->framing == EDGE_FRAMING_LENGTH || request->body_done)
        return edge_buffer_printf(
            &conn->head, max, "Content-Length: %llu\r\n\r\n",
            (unsigned long long)(request->body_done ? request->received : request->length));
    /* What is held already goes as the first chunk. */
    return edge_buffer_printf(&conn->head, max, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n",
                              held) &&
           edge_buffer_append(&conn->body, "\r\n", 2, EDGE_BODY_MAX + EDGE_FRAMING_MAX);
}

static void fail(struct edge_conn *conn)
{
    struct error err;

    if (conn->answer.head_done) {
        /* Too late for another status: the broken connection tells the client. */
        edge_conn_close(conn);
        return;
    }
    edge_upstream_release(conn, false);
    (void)error_set(&err, ERR_BAD_GATEWAY, "the service broke off its answer");
    edge_conn_refuse(conn, &err);
}

/* Sends what is held of head and body. */
static bool send_request(struct edge_conn *conn)
{
    struct edge_upstream *upstream = conn->upstream;
    size_t head = edge_buffer_used(&conn->head);
    size_t body = edge_buffer_used(&conn->body);
    struct iovec parts[2] = {
        {edge_buffer_bytes(&conn->head), head},
        {edge_buffer_bytes(&conn->body), body},
    };
    struct msghdr message = {
        .msg_iov = head > 0 ? parts : parts + 1,
        .msg_iovlen = (size_t)(head > 0) + (size_t)(body > 0),
    };
    ssize_t n;

    if (head + body == 0 || !upstream->writable || conn->request.send_broken)
        return false;
    do
        n = sendmsg(upstream->source.fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        upstream->writable = false;
        /* The answer may have come before the end of the request: it is still read. */
        conn->request.send_broken = errno != EAGAIN;
        return false;
    }
    upstream->writable = (size_t)n == head + body;
    edge_buffer_consume(&conn->head, (size_t)n < head ? (size_t)n : head);
    edge_buffer_consume(&conn->body, (size_t)n < head ? 0 : (size_t)n - head);
    return true;
}

/* A transfer's client has a deadline for its next piece, but none while the upstream is slow. */
static void watch_transfer(struct edge_conn *conn, bool filled)
{
    bool waits = !conn->readable && edge_buffer_used(&conn->input) == 0;

    if (!waits && conn->timer == EDGE_TIMER_REQUEST)
        edge_loop_set_timer(conn, EDGE_TIMER_NONE);
    else if (waits && (filled || conn->timer == EDGE_TIMER_NONE))
        edge_loop_set_timer(conn, EDGE_TIMER_REQUEST);
}

/* Reads more of a body that was too large to be collected. */
static bool feed_body(struct edge_conn *conn)
{
    struct error err;
    bool filled;
    int taken;

    if (conn->request.body_done || conn->request.send_broken)
        return false;
    filled = edge_buffer_used(&conn->input) < EDGE_INPUT_MAX / 2 && edge_conn_fill(conn);
    taken = edge_conn_take_body(conn, &err);
    if (taken < 0 && !conn->answer.head_done) {
        edge_conn_refuse(conn, &err);
        return true;
    }
    if (taken < 0 || (conn->input_ended && !conn->readable && !conn->request.body_done &&
                      edge_buffer_used(&conn->input) == 0)) {
        edge_conn_close(conn);
        return true;
    }
    if (conn->request.body_done && conn->timer == EDGE_TIMER_REQUEST)
        edge_loop_set_timer(conn, EDGE_TIMER_NONE);
    else if (conn->request.transfer)
        watch_transfer(conn, filled);
    return filled || taken > 0;
}

static bool fill_upstream(struct edge_upstream *upstream)
{
    size_t room;
    ssize_t n;

    if (!upstream->readable ||
        (edge_buffer_room(&upstream->input) == 0 &&
         !edge_buffer_reserve(&upstream->input, EDGE_INPUT_MAX / 2, EDGE_INPUT_MAX)))
        return false;
    room = edge_buffer_room(&upstream->input);
    do
        n = recv(upstream->source.fd, upstream->input.data + upstream->input.end, room, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        edge_buffer_commit(&upstream->input, (size_t)n);
        /* After a short read epoll tells of what comes later, but not again of the end. */
        upstream->readable = (size_t)n == room || upstream->ended;
        return true;
    }
    upstream->readable = false;
    if (n == 0 || errno != EAGAIN)
        fail(upstream->conn);
    return false;
}

/* How the client gets a body: HTTP/1.0 knows no chunks, there the connection's end is the end. */
static bool answers_in_chunks(const struct edge_conn *conn)
{
    return conn->answer.framing == EDGE_FRAMING_CHUNKED && !conn->request.http_1_0;
}

/* RFC 9110 section 15.5.22: an answer that an upgrade is needed says to what. */
static bool write_upgrade(struct edge_conn *conn, bool closes)
{
    return edge_buffer_printf(&conn->output, ANSWER_MAX,
                              "Upgrade: websocket\r\nConnection: Upgrade%s\r\n",
                              closes ? ", close" : "");
}

static bool write_framing(struct edge_conn *conn, const struct edge_response *response)
{
    struct edge_buffer *out = &conn->output;
    bool ok = true;

    if (conn->request.upgraded)
        return write_upgrade(conn, false) && edge_buffer_append(out, "\r\n", 2, ANSWER_MAX);

    if (response->has_length && response->status != 204)
        ok = edge_buffer_printf(out, ANSWER_MAX, "Content-Length: %llu\r\n",
                                (unsigned long long)response->length);
    else if (answers_in_chunks(conn))
        ok = edge_buffer_printf(out, ANSWER_MAX, "Transfer-Encoding: chunked\r\n");
    if (ok && response->status == 426)
        ok = write_upgrade(conn, !conn->request.keep_alive);
    else if (ok && !conn->request.keep_alive)
        ok = edge_buffer_printf(out, ANSWER_MAX, "Connection: close\r\n");
    else if (ok && conn->request.http_1_0)
        ok = edge_buffer_printf(out, ANSWER_MAX, "Connection: keep-alive\r\n");
    return ok && edge_buffer_append(out, "\r\n", 2, ANSWER_MAX);
}

static bool write_answer_head(struct edge_conn *conn, const struct edge_response *response)
{
    struct edge_buffer *out = &conn->output;
    bool ok = edge_buffer_printf(
        out, ANSWER_MAX, "HTTP/1.1 %d %.*s\r\nDate: %s\r\nX-Request-Id: %s\r\n", response->status,
        (int)response->reason.size, response->reason.data ? response->reason.data : "",
        edge_loop_date(conn->loop), conn->request.id);

    for (size_t i = 0; ok && i < response->field_count; i++) {
        const struct edge_field *field = &response->fields[i];

        /* From the name to the value's end as it stands. */
        if (field->forward)
            ok = edge_buffer_append(
                     out, field->name.data,
                     (size_t)(field->value.data + field->value.size - field->name.data),
                     ANSWER_MAX) &&
                 edge_buffer_append(out, "\r\n", 2, ANSWER_MAX);
    }
    return ok && write_framing(conn, response);
}

static void begin_answer(struct edge_conn *conn, const struct edge_response *response)
{
    struct edge_answer *answer = &conn->answer;

    answer->head_done = true;
    answer->framing = response->framing;
    answer->remaining = response->length;
    answer->reuse = response->keep_alive;
    answer->done = response->framing == EDGE_FRAMING_NONE;
    if (!conn->request.body_done || conn->request.upgraded || atomic_load(&conn->loop->stopping) ||
        (response->framing == EDGE_FRAMING_CHUNKED && conn->request.http_1_0))
        conn->request.keep_alive = false;
}

static bool take_answer_head(struct edge_conn *conn)
{
    struct edge_buffer *input = &conn->upstream->input;
    struct edge_response response;
    size_t scanned = 0;
    size_t size;

    switch (edge_head_scan(edge_buffer_bytes(input), edge_buffer_used(input), &scanned, &size)) {
    case EDGE_SCAN_PARTIAL:
        if (edge_buffer_used(input) < EDGE_HEAD_MAX)
            return false;
        fail(conn);
        return true;
    case EDGE_SCAN_REFUSED:
        fail(conn);
        return true;
    case EDGE_SCAN_COMPLETE:
        break;
    }
    if (edge_response_parse(edge_buffer_bytes(input), size, conn->request.to_head, &response,
                            NULL) < 0) {
        fail(conn);
        return true;
    }
    if (response.stream.size > 0 && !edge_streaming_begin(conn, &response)) {
        fail(conn);
        return true;
    }
    begin_answer(conn, &response);
    conn->answer.done |= conn->stream != NULL;
    if (!write_answer_head(conn, &response)) {
        edge_conn_close(conn);
        return true;
    }
    edge_buffer_consume(input, size);
    return true;
}

/* Passes chunks on as they are, or their payload alone. Returns the bytes taken, -1 on failure. */
static ssize_t relay_chunked(struct edge_conn *conn, size_t size)
{
    struct edge_buffer *input = &conn->upstream->input;
    struct edge_span payload;
    ssize_t taken =
        edge_chunked_feed(&conn->answer.decoder, edge_buffer_bytes(input), size, &payload, NULL);
    struct edge_span passed = {edge_buffer_bytes(input), taken > 0 ? (size_t)taken : 0};

    if (taken < 0)
        return -1;
    if (!answers_in_chunks(conn))
        passed = payload;
    if (!edge_buffer_append(&conn->output, passed.data, passed.size, ANSWER_MAX))
        return -1;
    conn->answer.done = conn->answer.decoder.state == EDGE_CHUNKED_DONE;
    return taken;
}

static ssize_t relay_length(struct edge_conn *conn, size_t size)
{
    struct edge_buffer *input = &conn->upstream->input;

    if (size > conn->answer.remaining)
        size = (size_t)conn->answer.remaining;
    if (!edge_buffer_append(&conn->output, edge_buffer_bytes(input), size, ANSWER_MAX))
        return -1;
    conn->answer.remaining -= size;
    conn->answer.done = conn->answer.remaining == 0;
    return (ssize_t)size;
}

/* Moves a piece of the answer's body to the client's buffer, as far as that has room. */
static bool relay_body(struct edge_conn *conn)
{
    struct edge_buffer *input = &conn->upstream->input;
    size_t held = edge_buffer_used(&conn->output);
    size_t size = edge_buffer_used(input);
    ssize_t taken;

    if (conn->answer.done || size == 0 || held >= EDGE_OUTPUT_MAX)
        return false;
    if (size > EDGE_OUTPUT_MAX - held)
        size = EDGE_OUTPUT_MAX - held;
    taken = conn->answer.framing == EDGE_FRAMING_CHUNKED ? relay_chunked(conn, size)
                                                         : relay_length(conn, size);
    if (taken < 0) {
        fail(conn);
        return true;
    }
    edge_buffer_consume(input, (size_t)taken);
    return true;
}

static bool receive_answer(struct edge_conn *conn)
{
    bool moved = false;

    if (edge_buffer_used(&conn->output) < EDGE_OUTPUT_MAX)
        moved = fill_upstream(conn->upstream);
    if (conn->state != EDGE_CONN_EXCHANGE)
        return true;
    if (!conn->answer.head_done)
        moved |= take_answer_head(conn);
    while (conn->state == EDGE_CONN_EXCHANGE && conn->answer.head_done && relay_body(conn))
        moved = true;
    return moved;
}

/* The upstream is free as soon as its answer is here, however slowly the client takes it. */
static void finish(struct edge_conn *conn)
{
    bool sent = edge_buffer_used(&conn->head) == 0 && edge_buffer_used(&conn->body) == 0;
    bool reuse = conn->answer.reuse && conn->request.body_done && sent && !conn->upstream->ended &&
                 edge_buffer_used(&conn->upstream->input) == 0;

    if (conn->stream && !conn->answer.reuse)
        edge_upstream_drain(conn); /* the handler pushes the stream itself */
    else
        edge_upstream_release(conn, reuse);
    conn->request.keep_alive = conn->request.keep_alive && conn->request.body_done && sent;
    conn->state = EDGE_CONN_FLUSH;
    if (conn->stream)
        edge_streaming_enter(conn);
}

/* A client that takes nothing has a deadline, unless its request's own is running. */
static void watch_client(struct edge_conn *conn)
{
    bool stuck = edge_buffer_used(&conn->output) > 0 && !conn->writable;

    if (stuck && conn->timer == EDGE_TIMER_NONE)
        edge_loop_set_timer(conn, EDGE_TIMER_WRITE);
    else if (!stuck && conn->timer == EDGE_TIMER_WRITE)
        edge_loop_set_timer(conn, EDGE_TIMER_NONE);
}

bool edge_exchange_step(struct edge_conn *conn)
{
    static bool (*const parts[])(struct edge_conn * conn) = {
        feed_body,
        send_request,
        receive_answer,
    };
    bool moved = false;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        moved |= parts[i](conn);
        if (conn->state != EDGE_CONN_EXCHANGE)
            return true;
    }
    if (conn->answer.done) {
        finish(conn);
        return true;
    }
    moved |= edge_conn_flush(conn);
    if (conn->state == EDGE_CONN_EXCHANGE)
        watch_client(conn);
    return moved;
}
