#include "server/edge/conn.h"

#include "server/edge/exchange.h"
#include "server/edge/reply.h"
#include "server/edge/streaming.h"
#include "server/edge/upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TURNS_MAX = 32,   /* steps before others have their turn */
    READ_HEAD = 2048, /* room for one read */
    READ_BODY = 16 * 1024,
    KEPT_CAPACITY = 4096, /* of an idle connection's buffers */
};

void edge_conn_open(struct edge_loop *loop, int fd, const char *client)
{
    struct edge_conn *conn = calloc(1, sizeof(*conn));
    int on = 1;

    if (!conn) {
        close(fd);
        return;
    }
    conn->source = (struct edge_source){EDGE_SOURCE_CONN, fd};
    conn->loop = loop;
    conn->timer = EDGE_TIMER_IDLE;
    conn->since = loop->now;
    (void)snprintf(conn->client, sizeof(conn->client), "%s", client);
    if (edge_loop_watch(loop, &conn->source) < 0) {
        close(fd);
        free(conn);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    TAILQ_INSERT_TAIL(&loop->timers[EDGE_TIMER_IDLE], conn, timer_link);
    loop->connections++;
}

void edge_conn_close(struct edge_conn *conn)
{
    struct edge_loop *loop = conn->loop;

    if (conn->state == EDGE_CONN_CLOSED)
        return;
    if (conn->state == EDGE_CONN_QUEUED)
        edge_upstream_unqueue(conn);
    if (conn->upstream)
        edge_upstream_abandon(conn);
    edge_streaming_leave(conn);
    conn->state = EDGE_CONN_CLOSED;
    close(conn->source.fd);
    edge_buffer_release(&conn->input);
    edge_buffer_release(&conn->head);
    edge_buffer_release(&conn->body);
    edge_buffer_release(&conn->output);
    TAILQ_REMOVE(&loop->timers[conn->timer], conn, timer_link);
    TAILQ_INSERT_TAIL(&loop->dead, conn, timer_link);
    loop->connections--;
}

void edge_conn_refuse(struct edge_conn *conn, const struct error *error)
{
    if (conn->state == EDGE_CONN_QUEUED)
        edge_upstream_unqueue(conn);
    if (conn->upstream)
        edge_upstream_abandon(conn);
    if (conn->request.id[0] == '\0')
        edge_loop_request_id(conn->loop, conn->request.id);
    conn->request.keep_alive = false;
    conn->state = EDGE_CONN_FLUSH;
    if (!edge_reply_problem(conn, error)) {
        edge_conn_close(conn);
        return;
    }
    edge_loop_set_timer(conn, EDGE_TIMER_WRITE);
}

bool edge_conn_fill(struct edge_conn *conn)
{
    bool in_body = conn->state == EDGE_CONN_BODY || conn->state == EDGE_CONN_EXCHANGE ||
                   conn->state == EDGE_CONN_STREAM;
    size_t room;
    ssize_t n;

    if (!conn->readable)
        return false;
    if (in_body || edge_buffer_room(&conn->input) == 0)
        (void)edge_buffer_reserve(&conn->input, in_body ? READ_BODY : READ_HEAD, EDGE_INPUT_MAX);
    room = edge_buffer_room(&conn->input);
    if (room == 0)
        return false;
    do
        n = recv(conn->source.fd, conn->input.data + conn->input.end, room, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        edge_buffer_commit(&conn->input, (size_t)n);
        /* After a short read epoll tells of what comes later, but not again of the end. */
        conn->readable = (size_t)n == room || conn->input_ended;
        return true;
    }
    conn->readable = false;
    if (n == 0 || errno != EAGAIN)
        conn->input_ended = true;
    return false;
}

bool edge_conn_flush(struct edge_conn *conn)
{
    size_t used = edge_buffer_used(&conn->output);
    ssize_t n;

    if (used == 0 || !conn->writable)
        return false;
    do
        n = send(conn->source.fd, edge_buffer_bytes(&conn->output), used, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        conn->writable = false;
        if (errno != EAGAIN)
            edge_conn_close(conn);
        return false;
    }
    edge_buffer_consume(&conn->output, (size_t)n);
    conn->writable = (size_t)n == used;
    if (conn->timer == EDGE_TIMER_WRITE)
        edge_loop_set_timer(conn, EDGE_TIMER_WRITE);
    return true;
}

/* Appends payload, as a chunk of its own when the framing is chunked and the head is gone. */
static bool append_payload(struct edge_conn *conn, struct edge_span payload)
{
    const size_t max = EDGE_BODY_MAX + EDGE_FRAMING_MAX;

    if (payload.size == 0)
        return true;
    if (!conn->request.streaming || conn->request.framing != EDGE_FRAMING_CHUNKED)
        return edge_buffer_append(&conn->body, payload.data, payload.size, max);
    return edge_buffer_printf(&conn->body, max, "%zx\r\n", payload.size) &&
           edge_buffer_append(&conn->body, payload.data, payload.size, max) &&
           edge_buffer_append(&conn->body, "\r\n", 2, max);
}

static int take_chunked(struct edge_conn *conn, size_t size, struct error *err)
{
    struct edge_request *request = &conn->request;
    struct edge_span payload;
    ssize_t taken =
        edge_chunked_feed(&request->decoder, edge_buffer_bytes(&conn->input), size, &payload, err);

    if (taken < 0)
        return -1;
    request->received += payload.size;
    if (request->received > request->max_bytes)
        return error_set(err, ERR_TOO_LARGE, "the body is over %llu bytes",
                         (unsigned long long)request->max_bytes);
    if (!append_payload(conn, payload))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
    edge_buffer_consume(&conn->input, (size_t)taken);
    request->body_done = request->decoder.state == EDGE_CHUNKED_DONE;
    if (request->body_done && request->streaming &&
        !edge_buffer_append(&conn->body, "0\r\n\r\n", 5, EDGE_BODY_MAX + EDGE_FRAMING_MAX))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
    return 1;
}

static int take_length(struct edge_conn *conn, size_t size, struct error *err)
{
    struct edge_request *request = &conn->request;
    uint64_t left = request->length - request->received;
    struct edge_span payload = {edge_buffer_bytes(&conn->input), size};

    if (payload.size > left)
        payload.size = (size_t)left;
    if (!append_payload(conn, payload))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
    edge_buffer_consume(&conn->input, payload.size);
    request->received += payload.size;
    request->body_done = request->received == request->length;
    return 1;
}

int edge_conn_take_body(struct edge_conn *conn, struct error *err)
{
    size_t held = edge_buffer_used(&conn->body);
    size_t size = edge_buffer_used(&conn->input);

    /* Room for a chunk's framing and the body's end stays free (EDGE_FRAMING_MAX). */
    if (conn->request.body_done || size == 0 || held >= EDGE_BODY_MAX)
        return 0;
    if (size > EDGE_BODY_MAX - held)
        size = EDGE_BODY_MAX - held;
    if (conn->request.framing == EDGE_FRAMING_CHUNKED)
        return take_chunked(conn, size, err);
    return take_length(conn, size, err);
}

/* civetweb breaks off at a tab in a value; it is white space there, as a space is (RFC 9110
 * section 5.5). */
static bool append_value(struct edge_buffer *out, struct edge_span value, size_t max)
{
    char *copy;

    if (!edge_buffer_append(out, value.data, value.size, max))
        return false;
    copy = out->data + out->end - value.size;
    for (size_t i = 0; i < value.size; i++)
        if (copy[i] == '\t')
            copy[i] = ' ';
    return true;
}

/* The request as the HTTP layer gets it; its framing follows when the exchange begins. */
static bool write_head(struct edge_conn *conn, const struct edge_head *head)
{
    const size_t max = EDGE_REQUEST_HEAD_MAX;
    struct edge_buffer *out = &conn->head;
    bool ok = edge_buffer_printf(
        out, max, "%.*s %.*s HTTP/1.1\r\n" EDGE_LINK_FIELD ": %s %s %s %.*s\r\n",
        (int)head->method.size, head->method.data, (int)head->target.size, head->target.data,
        conn->loop->secret, conn->request.id, conn->client, (int)head->host.size, head->host.data);

    if (ok && head->websocket)
        ok = edge_buffer_printf(out, max, EDGE_UPGRADE_FIELD ": websocket\r\n");
    for (size_t i = 0; ok && i < head->field_count; i++) {
        const struct edge_field *field = &head->fields[i];

        if (field->forward)
            ok = edge_buffer_append(out, field->name.data, field->name.size, max) &&
                 edge_buffer_append(out, ": ", 2, max) && append_value(out, field->value, max) &&
                 edge_buffer_append(out, "\r\n", 2, max);
    }
    return ok;
}

static void begin_request(struct edge_conn *conn, const struct edge_head *head)
{
    struct edge_request *request = &conn->request;

    if (head->request_id.size > 0) {
        memcpy(request->id, head->request_id.data, head->request_id.size);
        request->id[head->request_id.size] = '\0';
    } else {
        edge_loop_request_id(conn->loop, request->id);
    }
    request->http_1_0 = head->http_1_0;
    request->keep_alive = head->keep_alive && !atomic_load(&conn->loop->stopping);
    request->to_head = edge_span_equal(head->method, EDGE_SPAN("HEAD"));
    request->framing = edge_head_framing(head);
    request->length = head->length;
    request->transfer =
        conn->loop->is_transfer && conn->loop->is_transfer(head->method.data, head->method.size,
                                                           head->target.data, head->target.size);
    request->max_bytes = atomic_load(request->transfer ? &conn->loop->max_transfer_bytes
                                                       : &conn->loop->max_body_bytes);
    request->body_done = request->framing == EDGE_FRAMING_NONE;
}

/* RFC 9110 section 10.1.1: not when the body is already arriving. */
static bool send_continue(struct edge_conn *conn)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (edge_buffer_used(&conn->input) > 0)
        return true;
    if (!edge_buffer_append(&conn->output, interim, sizeof(interim) - 1, EDGE_OUTPUT_MAX))
        return false;
    (void)edge_conn_flush(conn);
    return conn->state != EDGE_CONN_CLOSED;
}

/* Everything about a request that its head decides. */
static int take_head(struct edge_conn *conn, size_t size, struct error *err)
{
    struct edge_head head;
    bool asterisk;

    if (edge_head_parse(edge_buffer_bytes(&conn->input), size, &head, err) < 0)
        return -1;
    begin_request(conn, &head);
    conn->flow = edge_flow_find(&conn->loop->flows, conn->loop->secret, &head, conn->client);
    if (conn->request.framing == EDGE_FRAMING_LENGTH && head.length > conn->request.max_bytes)
        return error_set(err, ERR_TOO_LARGE, "the body is over %llu bytes",
                         (unsigned long long)conn->request.max_bytes);
    asterisk = edge_span_equal(head.target, EDGE_SPAN("*"));
    if (asterisk && !conn->request.body_done)
        return error_set(err, ERR_BAD_REQUEST, "`OPTIONS *` has no body");
    if (asterisk ? !edge_reply_options(conn) : !write_head(conn, &head))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
    edge_buffer_consume(&conn->input, size);
    conn->state = asterisk ? EDGE_CONN_FLUSH : EDGE_CONN_BODY;
    if (!conn->request.body_done && head.expect_continue && !send_continue(conn))
        return error_set(err, ERR_UNAVAILABLE, "there is no memory for the request");
    return 0;
}

static bool refused(struct edge_conn *conn, const struct error *err)
{
    if (conn->state != EDGE_CONN_CLOSED)
        edge_conn_refuse(conn, err);
    return true;
}

/* Waits for more of the request, within the deadline that its first byte has set. */
static bool read_more(struct edge_conn *conn)
{
    if (conn->timer != EDGE_TIMER_REQUEST)
        edge_loop_set_timer(conn, EDGE_TIMER_REQUEST);
    if (edge_conn_fill(conn))
        return true;
    if (conn->input_ended)
        edge_conn_close(conn);
    return false;
}

static bool step_head(struct edge_conn *conn)
{
    size_t used = edge_buffer_used(&conn->input);
    struct error err;
    size_t size = 0;

    if (used == 0) {
        if (!edge_conn_fill(conn)) {
            if (conn->input_ended)
                edge_conn_close(conn);
            return false;
        }
        used = edge_buffer_used(&conn->input);
    }
    switch (edge_head_scan(edge_buffer_bytes(&conn->input), used, &conn->scanned, &size)) {
    case EDGE_SCAN_REFUSED:
        (void)error_set(&err, ERR_BAD_REQUEST, "a line of the head does not end in CRLF");
        return refused(conn, &err);
    case EDGE_SCAN_PARTIAL:
        if (used < EDGE_HEAD_MAX)
            return read_more(conn);
        /* Whatever is missing of it goes over the limit. */
        size = EDGE_HEAD_MAX + 1;
        break;
    case EDGE_SCAN_COMPLETE:
        break;
    }
    conn->scanned = 0;
    if (size > EDGE_HEAD_MAX) {
        (void)error_set(&err, ERR_HEADERS_TOO_LARGE, "the head is over %d bytes", EDGE_HEAD_MAX);
        return refused(conn, &err);
    }
    if (take_head(conn, size, &err) < 0)
        return refused(conn, &err);
    return true;
}

static bool step_body(struct edge_conn *conn)
{
    struct error err;
    int taken = edge_conn_take_body(conn, &err);

    if (taken < 0)
        return refused(conn, &err);
    if (conn->request.body_done || edge_buffer_used(&conn->body) >= EDGE_BODY_MAX) {
        edge_upstream_submit(conn);
        return true;
    }
    if (taken > 0 && conn->request.transfer)
        edge_loop_set_timer(conn, EDGE_TIMER_REQUEST);
    return taken > 0 || read_more(conn);
}

/* HAProxy calls it abortonclose: work for a client that left before it began is not begun. */
static bool step_queued(struct edge_conn *conn)
{
    if (conn->input_ended)
        edge_conn_close(conn);
    return false;
}

/* Ready for the next request; bytes of it may be here. */
static void reset(struct edge_conn *conn)
{
    struct edge_buffer *const buffers[] = {&conn->input, &conn->head, &conn->body, &conn->output};

    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
        if (edge_buffer_used(buffers[i]) == 0 && buffers[i]->capacity > KEPT_CAPACITY)
            edge_buffer_release(buffers[i]);
    conn->request = (struct edge_request){0};
    conn->answer = (struct edge_answer){0};
    conn->scanned = 0;
    conn->state = EDGE_CONN_HEAD;
    edge_loop_set_timer(conn,
                        edge_buffer_used(&conn->input) > 0 ? EDGE_TIMER_REQUEST : EDGE_TIMER_IDLE);
}

static bool step_flush(struct edge_conn *conn)
{
    if (edge_buffer_used(&conn->output) > 0) {
        bool sent = edge_conn_flush(conn);

        /* Only a send that failed tells that the socket is full. */
        if (conn->state == EDGE_CONN_FLUSH && !conn->writable && conn->timer != EDGE_TIMER_WRITE)
            edge_loop_set_timer(conn, EDGE_TIMER_WRITE);
        return sent;
    }
    if (conn->request.keep_alive && !atomic_load(&conn->loop->stopping)) {
        reset(conn);
        return true;
    }
    /* Closing with unread input resets the connection and may take the answer along. */
    (void)shutdown(conn->source.fd, SHUT_WR);
    conn->state = EDGE_CONN_LINGER;
    edge_loop_set_timer(conn, EDGE_TIMER_LINGER);
    return true;
}

static bool step_linger(struct edge_conn *conn)
{
    edge_buffer_consume(&conn->input, edge_buffer_used(&conn->input));
    if (edge_conn_fill(conn))
        return true;
    if (conn->input_ended)
        edge_conn_close(conn);
    return false;
}

static bool step_closed(__attribute__((unused)) struct edge_conn *conn)
{
    return false;
}

/* Each returns true when it should be called, or the next state's step, again at once. */
static bool (*const steps[])(struct edge_conn *conn) = {
    [EDGE_CONN_HEAD] = step_head,
    [EDGE_CONN_BODY] = step_body,
    [EDGE_CONN_QUEUED] = step_queued,
    [EDGE_CONN_EXCHANGE] = edge_exchange_step,
    [EDGE_CONN_STREAM] = edge_streaming_step,
    [EDGE_CONN_FLUSH] = step_flush,
    [EDGE_CONN_LINGER] = step_linger,
    [EDGE_CONN_CLOSED] = step_closed,
};

void edge_conn_run(struct edge_conn *conn)
{
    for (int turn = 0; turn < TURNS_MAX; turn++)
        if (!steps[conn->state](conn))
            return;
    edge_loop_defer(conn);
}

void edge_conn_event(struct edge_conn *conn, uint32_t events)
{
    if (conn->state == EDGE_CONN_CLOSED)
        return;
    if (events & (EPOLLHUP | EPOLLERR)) {
        edge_conn_close(conn);
        return;
    }
    if (events & EPOLLRDHUP)
        conn->input_ended = true;
    if (events & (EPOLLIN | EPOLLRDHUP))
        conn->readable = true;
    if (events & EPOLLOUT)
        conn->writable = true;
    edge_conn_run(conn);
}

void edge_conn_expired(struct edge_conn *conn)
{
    struct error err;

    if (conn->timer == EDGE_TIMER_STREAM) {
        edge_streaming_heartbeat(conn);
        return;
    }
    if (conn->timer == EDGE_TIMER_REQUEST && !conn->answer.head_done) {
        (void)error_set(&err, ERR_REQUEST_TIMEOUT, "the request did not arrive in time");
        edge_conn_refuse(conn, &err);
    } else if (conn->timer == EDGE_TIMER_QUEUE) {
        (void)error_set(&err, ERR_UNAVAILABLE, "the service is busy");
        edge_conn_refuse(conn, &err);
    } else {
        edge_conn_close(conn);
        return;
    }
    edge_conn_run(conn);
}
