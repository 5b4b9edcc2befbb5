#include "server/edge/edge.h"

#include "lib/base/util.h"
#include "server/edge/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096 };

struct edge {
    struct edge_loop loop;
    pthread_t thread;
};

static void close_fds(struct edge_loop *loop)
{
    const int fds[] = {loop->epoll_fd, loop->spare_fd, loop->wake.fd, loop->listener.fd};

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static int listen_on(const struct addrinfo *address, struct error *err)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return error_set_errno(err, errno, "cannot make the public socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        (void)error_set_errno(err, errno, "cannot listen on the public port");
        close(fd);
        return -1;
    }
    return fd;
}

static int open_listener(const struct edge_options *options, struct error *err)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *addresses = NULL;
    char port[8];
    int result;
    int fd;

    (void)snprintf(port, sizeof(port), "%u", options->port);
    result = getaddrinfo(options->host, port, &hints, &addresses);
    if (result != 0)
        return error_set(err, ERR_INTERNAL, "cannot resolve the host `%s`: %s", options->host,
                         gai_strerror(result));
    fd = listen_on(addresses, err);
    freeaddrinfo(addresses);
    if (fd < 0)
        return error_wrap(err, "host `%s`, port %u", options->host, options->port);
    return fd;
}

static uint16_t bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t size = sizeof(address);

    if (getsockname(fd, &address.any, &size) < 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static void init_lists(struct edge_loop *loop)
{
    for (size_t i = 0; i < EDGE_TIMER_COUNT; i++)
        TAILQ_INIT(&loop->timers[i]);
    TAILQ_INIT(&loop->deferred);
    TAILQ_INIT(&loop->dead);
    edge_flows_init(&loop->flows);
    TAILQ_INIT(&loop->idle);
    TAILQ_INIT(&loop->busy);
    TAILQ_INIT(&loop->dead_upstreams);
}

static void init_options(struct edge_loop *loop, const struct edge_options *options)
{
    loop->is_transfer = options->is_transfer;
    loop->queue_timeout_ms = options->queue_timeout_ms;
    loop->upstream_port = options->upstream_port;
    loop->max_connections = options->max_connections;
    loop->upstreams_max = options->upstreams;
    loop->streaming_max = options->upstreams > 1 ? options->upstreams / 2 : 1;
    loop->flow_max = options->flow_upstreams > 0 ? options->flow_upstreams : options->upstreams;
    loop->max_queued = options->max_queued;
    loop->heartbeat_ms = options->heartbeat_ms;
    loop->streams = options->streams;
    (void)snprintf(loop->secret, sizeof(loop->secret), "%s", options->secret);
}

/* The listener is level-triggered: what one turn does not accept, the next one sees. */
static int watch_level(struct edge_loop *loop, struct edge_source *source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = source};

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event);
}

static int open_fds(struct edge_loop *loop, const struct edge_options *options, struct error *err)
{
    loop->listener = (struct edge_source){EDGE_SOURCE_LISTENER, open_listener(options, err)};
    if (loop->listener.fd < 0)
        return -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    loop->wake = (struct edge_source){EDGE_SOURCE_WAKE, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (loop->streams)
        loop->stream_wake =
            (struct edge_source){EDGE_SOURCE_STREAMS, streams_wake_fd(loop->streams)};
    if (loop->epoll_fd < 0 || loop->spare_fd < 0 || loop->wake.fd < 0 ||
        watch_level(loop, &loop->listener) < 0 || watch_level(loop, &loop->wake) < 0 ||
        (loop->streams && watch_level(loop, &loop->stream_wake) < 0))
        return error_set_errno(err, errno, "cannot watch the public port");
    return 0;
}

static void *run(void *argument)
{
    struct edge *edge = argument;

    edge_loop_run(&edge->loop);
    return NULL;
}

/* Signals are the main thread's. */
static int start_thread(struct edge *edge, struct error *err)
{
    sigset_t all;
    sigset_t before;
    int result;

    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    result = pthread_create(&edge->thread, NULL, run, edge);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (result != 0)
        return error_set_errno(err, result, "cannot start the edge's thread");
    (void)pthread_setname_np(edge->thread, "edge");
    return 0;
}

int edge_start(const struct edge_options *options, struct edge **ret_edge, uint16_t *ret_port,
               struct error *err)
{
    struct edge *edge = calloc(1, sizeof(*edge));
    uint16_t port;

    if (!edge)
        return error_no_memory(err);
    edge->loop.epoll_fd = -1;
    edge->loop.spare_fd = -1;
    edge->loop.wake.fd = -1;
    init_lists(&edge->loop);
    init_options(&edge->loop, options);
    edge_set_limits(edge, &options->limits);
    if (open_fds(&edge->loop, options, err) < 0)
        goto failed;
    port = bound_port(edge->loop.listener.fd);
    if (start_thread(edge, err) < 0)
        goto failed;
    *ret_edge = edge;
    if (ret_port)
        *ret_port = port;
    return 0;

failed:
    close_fds(&edge->loop);
    free(edge);
    return -1;
}

void edge_set_limits(struct edge *edge, const struct edge_limits *limits)
{
    atomic_store(&edge->loop.max_body_bytes, limits->max_body_bytes);
    atomic_store(&edge->loop.max_transfer_bytes, limits->max_transfer_bytes);
    atomic_store(&edge->loop.request_timeout_ms, limits->request_timeout_ms);
    atomic_store(&edge->loop.idle_timeout_ms, limits->idle_timeout_ms);
}

void edge_stop(struct edge *edge, uint32_t drain_ms)
{
    if (!edge)
        return;
    atomic_store(&edge->loop.stop_deadline, monotonic_usec() + (int64_t)drain_ms * 1000);
    atomic_store(&edge->loop.stopping, true);
    (void)eventfd_write(edge->loop.wake.fd, 1);
    (void)pthread_join(edge->thread, NULL);
    close_fds(&edge->loop);
    free(edge);
}
