#include "server/edge/upstream.h"

#include "server/edge/conn.h"
#include "server/edge/exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int connect_upstream(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

static struct edge_upstream *open_upstream(struct edge_loop *loop)
{
    struct edge_upstream *upstream = calloc(1, sizeof(*upstream));
    int fd;

    if (!upstream)
        return NULL;
    fd = connect_upstream(loop->upstream_port);
    if (fd < 0) {
        free(upstream);
        return NULL;
    }
    upstream->source = (struct edge_source){EDGE_SOURCE_UPSTREAM, fd};
    upstream->loop = loop;
    if (edge_loop_watch(loop, &upstream->source) < 0) {
        close(fd);
        free(upstream);
        return NULL;
    }
    TAILQ_INSERT_HEAD(&loop->idle, upstream, link);
    loop->open_upstreams++;
    return upstream;
}

static bool is_idle(const struct edge_upstream *upstream)
{
    return !upstream->conn && !upstream->draining;
}

static void leave_flow(struct edge_upstream *upstream)
{
    if (upstream->flow)
        upstream->flow->attached--;
    upstream->flow = NULL;
}

static void discard(struct edge_upstream *upstream)
{
    struct edge_loop *loop = upstream->loop;

    leave_flow(upstream);
    TAILQ_REMOVE(is_idle(upstream) ? &loop->idle : &loop->busy, upstream, link);
    TAILQ_INSERT_TAIL(&loop->dead_upstreams, upstream, link);
    close(upstream->source.fd);
    upstream->source.fd = -1;
    edge_buffer_release(&upstream->input);
    loop->open_upstreams--;
}

static bool may_attach(const struct edge_loop *loop, bool streaming)
{
    if (streaming && loop->streaming >= loop->streaming_max)
        return false;
    return !TAILQ_EMPTY(&loop->idle) || loop->open_upstreams < loop->upstreams_max;
}

static void attach(struct edge_conn *conn)
{
    struct edge_loop *loop = conn->loop;
    struct edge_upstream *upstream = TAILQ_FIRST(&loop->idle);
    struct error err;

    if (!upstream)
        upstream = open_upstream(loop);
    if (!upstream) {
        (void)error_set(&err, ERR_UNAVAILABLE, "the service cannot be reached");
        edge_conn_refuse(conn, &err);
        return;
    }
    TAILQ_REMOVE(&loop->idle, upstream, link);
    TAILQ_INSERT_TAIL(&loop->busy, upstream, link);
    upstream->conn = conn;
    upstream->flow = conn->flow;
    upstream->flow->attached++;
    conn->upstream = upstream;
    conn->state = EDGE_CONN_EXCHANGE;
    conn->request.streaming = !conn->request.body_done;
    loop->streaming += conn->request.streaming;
    if (!conn->request.streaming)
        edge_loop_set_timer(conn, EDGE_TIMER_NONE);
    else if (conn->timer == EDGE_TIMER_QUEUE) /* where the client had to wait: it begins anew */
        edge_loop_set_timer(conn, EDGE_TIMER_REQUEST);
    if (!edge_exchange_begin(conn)) {
        (void)error_set(&err, ERR_UNAVAILABLE, "there is no memory for the request");
        edge_conn_refuse(conn, &err);
    }
}

void edge_upstream_submit(struct edge_conn *conn)
{
    struct edge_loop *loop = conn->loop;
    struct error err;

    /* Nobody overtakes: who waits may not have what is free, or would have been served. */
    if (conn->flow->attached < loop->flow_max && may_attach(loop, !conn->request.body_done)) {
        attach(conn);
        return;
    }
    if (loop->queued >= loop->max_queued) {
        (void)error_set(&err, ERR_UNAVAILABLE, "the service is busy");
        edge_conn_refuse(conn, &err);
        return;
    }
    conn->state = EDGE_CONN_QUEUED;
    conn->queue_number = loop->next_queue_number++;
    edge_flow_add(&loop->flows, conn);
    loop->queued++;
    edge_loop_set_timer(conn, EDGE_TIMER_QUEUE);
}

void edge_upstream_unqueue(struct edge_conn *conn)
{
    edge_flow_remove(&conn->loop->flows, conn);
    conn->loop->queued--;
}

static void serve_waiting(struct edge_loop *loop)
{
    struct edge_conn *conn;

    while ((conn = edge_flow_next(&loop->flows, loop->flow_max, may_attach(loop, false),
                                  may_attach(loop, true)))) {
        edge_flow_serve(&loop->flows, conn);
        loop->queued--;
        conn->state = EDGE_CONN_BODY;
        attach(conn);
        edge_loop_defer(conn);
    }
}

static struct edge_upstream *detach(struct edge_conn *conn)
{
    struct edge_upstream *upstream = conn->upstream;

    if (conn->request.streaming)
        conn->loop->streaming--;
    conn->upstream = NULL;
    return upstream;
}

void edge_upstream_release(struct edge_conn *conn, bool reuse)
{
    struct edge_upstream *upstream = detach(conn);
    struct edge_loop *loop = conn->loop;

    if (reuse) {
        leave_flow(upstream);
        upstream->conn = NULL;
        TAILQ_REMOVE(&loop->busy, upstream, link);
        TAILQ_INSERT_HEAD(&loop->idle, upstream, link);
    } else {
        discard(upstream);
        upstream->conn = NULL;
    }
    serve_waiting(loop);
}

void edge_upstream_close(struct edge_upstream *upstream)
{
    discard(upstream);
}

/* Throws away what a handler says to a client that left, up to the connection's end. */
static void drain(struct edge_upstream *upstream)
{
    char bytes[16 * 1024];
    ssize_t n;

    do
        n = recv(upstream->source.fd, bytes, sizeof(bytes), 0);
    while (n > 0 || (n < 0 && errno == EINTR));
    if (n == 0 || errno != EAGAIN) {
        struct edge_loop *loop = upstream->loop;

        discard(upstream);
        serve_waiting(loop);
    }
}

void edge_upstream_drain(struct edge_conn *conn)
{
    struct edge_upstream *upstream = detach(conn);

    upstream->conn = NULL;
    upstream->draining = true;
    (void)shutdown(upstream->source.fd, SHUT_WR);
    serve_waiting(conn->loop);
    if (upstream->readable) /* its end may be here already, and is not told again */
        drain(upstream);
}

void edge_upstream_abandon(struct edge_conn *conn)
{
    /* The handler is writing: a closed connection is what it notices. */
    if (conn->answer.head_done)
        edge_upstream_release(conn, false);
    /*
     * The handler is working. Its thread cannot serve another connection until it is done, so this
     * one stays open, and counted, until the thread closes it.
     */
    else
        edge_upstream_drain(conn);
}

void edge_upstream_event(struct edge_upstream *upstream, uint32_t events)
{
    if (upstream->source.fd < 0)
        return;
    if (events & EPOLLOUT)
        upstream->writable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        upstream->ended = true;
    if (upstream->ended || (events & EPOLLIN))
        upstream->readable = true;
    if (upstream->conn)
        edge_conn_run(upstream->conn);
    else if (upstream->draining)
        drain(upstream);
    else if (upstream->readable)
        discard(upstream); /* an idle connection has nothing to say but its end */
}
