#include "server/edge/loop.h"

#include "lib/base/util.h"
#include "server/edge/conn.h"
#include "server/edge/reply.h"
#include "server/edge/streaming.h"
#include "server/edge/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, ACCEPTS_MAX = 64, LINGER_MS = 2000 };

static int64_t timer_usec(struct edge_loop *loop, enum edge_timer timer)
{
    switch (timer) {
    case EDGE_TIMER_IDLE:
    case EDGE_TIMER_WRITE:
        return (int64_t)atomic_load(&loop->idle_timeout_ms) * 1000;
    case EDGE_TIMER_REQUEST:
        return (int64_t)atomic_load(&loop->request_timeout_ms) * 1000;
    case EDGE_TIMER_QUEUE:
        return (int64_t)loop->queue_timeout_ms * 1000;
    case EDGE_TIMER_STREAM:
        return (int64_t)loop->heartbeat_ms * 1000;
    case EDGE_TIMER_LINGER:
        return (int64_t)LINGER_MS * 1000;
    case EDGE_TIMER_NONE:
    case EDGE_TIMER_COUNT:
        break;
    }
    return INT64_MAX;
}

void edge_loop_set_timer(struct edge_conn *conn, enum edge_timer timer)
{
    struct edge_loop *loop = conn->loop;

    TAILQ_REMOVE(&loop->timers[conn->timer], conn, timer_link);
    conn->timer = timer;
    conn->since = loop->now;
    TAILQ_INSERT_TAIL(&loop->timers[timer], conn, timer_link);
}

void edge_loop_defer(struct edge_conn *conn)
{
    if (conn->deferred)
        return;
    conn->deferred = true;
    TAILQ_INSERT_TAIL(&conn->loop->deferred, conn, deferred_link);
}

const char *edge_loop_date(struct edge_loop *loop)
{
    time_t now = time(NULL);
    struct tm parts;

    if (now != loop->date_second && gmtime_r(&now, &parts)) {
        (void)strftime(loop->date, sizeof(loop->date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        loop->date_second = now;
    }
    return loop->date;
}

void edge_loop_request_id(struct edge_loop *loop, char ret_id[static EDGE_LINK_REQUEST_ID_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    enum { BYTES = 8, DIGITS = 2 * BYTES };

    /* The kernel's generator never fails once it is seeded, which edge_secret_new has seen. */
    if (loop->random_left < BYTES && getrandom(loop->random, sizeof(loop->random), 0) > 0)
        loop->random_left = sizeof(loop->random);
    for (size_t i = 0; i < BYTES; i++) {
        unsigned char byte = loop->random[--loop->random_left];

        ret_id[2 * i] = digits[byte >> 4];
        ret_id[2 * i + 1] = digits[byte & 15];
    }
    ret_id[DIGITS] = '\0';
}

int edge_loop_watch(struct edge_loop *loop, struct edge_source *source)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = source,
    };

    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event);
}

static void client_address(const struct sockaddr_storage *address,
                           char text[static EDGE_LINK_CLIENT_SIZE])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    const char *made;

    if (address->ss_family == AF_INET6)
        made = inet_ntop(AF_INET6, &v6->sin6_addr, text, EDGE_LINK_CLIENT_SIZE);
    else
        made = inet_ntop(AF_INET, &v4->sin_addr, text, EDGE_LINK_CLIENT_SIZE);
    if (!made)
        memcpy(text, "-", 2);
}

/* Out of descriptors: with the spare one the client is turned away instead of left hanging. */
static void shed_one(struct edge_loop *loop)
{
    int fd;

    if (loop->spare_fd < 0)
        return;
    close(loop->spare_fd);
    fd = accept4(loop->listener.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_clients(struct edge_loop *loop)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        char client[EDGE_LINK_CLIENT_SIZE];
        int fd = accept4(loop->listener.fd, (struct sockaddr *)&address, &size,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                shed_one(loop);
            return;
        }
        if (loop->connections >= loop->max_connections) {
            edge_reply_overload(loop, fd);
            continue;
        }
        client_address(&address, client);
        edge_conn_open(loop, fd, client);
    }
}

/* An eventfd: only its arrival matters. */
static void clear_wake(int fd)
{
    uint64_t count;

    while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
}

static void dispatch(struct edge_loop *loop, const struct epoll_event *event)
{
    struct edge_source *source = event->data.ptr;

    switch (source->kind) {
    case EDGE_SOURCE_LISTENER:
        accept_clients(loop);
        break;
    case EDGE_SOURCE_WAKE:
        clear_wake(source->fd);
        break;
    case EDGE_SOURCE_STREAMS:
        clear_wake(source->fd);
        edge_streaming_wake(loop);
        break;
    case EDGE_SOURCE_CONN:
        edge_conn_event((struct edge_conn *)source, event->events);
        break;
    case EDGE_SOURCE_UPSTREAM:
        edge_upstream_event((struct edge_upstream *)source, event->events);
        break;
    }
}

static void run_deferred(struct edge_loop *loop)
{
    struct edge_conns now = TAILQ_HEAD_INITIALIZER(now);
    struct edge_conn *conn;

    TAILQ_CONCAT(&now, &loop->deferred, deferred_link);
    while ((conn = TAILQ_FIRST(&now))) {
        TAILQ_REMOVE(&now, conn, deferred_link);
        conn->deferred = false;
        edge_conn_run(conn);
    }
}

static void expire(struct edge_loop *loop)
{
    for (enum edge_timer timer = EDGE_TIMER_IDLE; timer < EDGE_TIMER_COUNT; timer++) {
        int64_t lasts = timer_usec(loop, timer);
        struct edge_conn *conn;

        while ((conn = TAILQ_FIRST(&loop->timers[timer])) && loop->now - conn->since >= lasts)
            edge_conn_expired(conn);
    }
}

static void reap(struct edge_loop *loop)
{
    struct edge_upstream *upstream;
    struct edge_conn *conn;

    while ((conn = TAILQ_FIRST(&loop->dead))) {
        TAILQ_REMOVE(&loop->dead, conn, timer_link);
        if (conn->deferred)
            TAILQ_REMOVE(&loop->deferred, conn, deferred_link);
        free(conn);
    }
    while ((upstream = TAILQ_FIRST(&loop->dead_upstreams))) {
        TAILQ_REMOVE(&loop->dead_upstreams, upstream, link);
        free(upstream);
    }
}

/* Milliseconds until the first deadline, for epoll_wait. */
static int next_timeout(struct edge_loop *loop)
{
    int64_t left = INT64_MAX;

    if (!TAILQ_EMPTY(&loop->deferred))
        return 0;
    for (enum edge_timer timer = EDGE_TIMER_IDLE; timer < EDGE_TIMER_COUNT; timer++) {
        const struct edge_conn *conn = TAILQ_FIRST(&loop->timers[timer]);

        if (conn && conn->since + timer_usec(loop, timer) - loop->now < left)
            left = conn->since + timer_usec(loop, timer) - loop->now;
    }
    if (atomic_load(&loop->stopping) && atomic_load(&loop->stop_deadline) - loop->now < left)
        left = atomic_load(&loop->stop_deadline) - loop->now;
    if (left == INT64_MAX)
        return -1;
    return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

/* Closes the listener, every connection whose request has not arrived whole, and every stream: it
 * has no end to wait for. */
static void begin_stop(struct edge_loop *loop)
{
    static const enum edge_timer timers[] = {EDGE_TIMER_NONE, EDGE_TIMER_IDLE, EDGE_TIMER_REQUEST,
                                             EDGE_TIMER_WRITE, EDGE_TIMER_STREAM};

    if (loop->listener.fd < 0)
        return;
    close(loop->listener.fd);
    loop->listener.fd = -1;
    for (size_t i = 0; i < ARRAY_SIZE(timers); i++) {
        struct edge_conn *conn = TAILQ_FIRST(&loop->timers[timers[i]]);

        while (conn) {
            struct edge_conn *next = TAILQ_NEXT(conn, timer_link);

            if (conn->state == EDGE_CONN_HEAD || conn->state == EDGE_CONN_BODY ||
                conn->state == EDGE_CONN_STREAM)
                edge_conn_close(conn);
            conn = next;
        }
    }
}

static void close_all(struct edge_loop *loop)
{
    struct edge_upstream *upstream;
    struct edge_conn *conn;

    for (enum edge_timer timer = EDGE_TIMER_NONE; timer < EDGE_TIMER_COUNT; timer++)
        while ((conn = TAILQ_FIRST(&loop->timers[timer])))
            edge_conn_close(conn);
    while ((upstream = TAILQ_FIRST(&loop->idle)))
        edge_upstream_close(upstream);
    while ((upstream = TAILQ_FIRST(&loop->busy)))
        edge_upstream_close(upstream);
    reap(loop);
}

static bool stop_is_due(struct edge_loop *loop)
{
    if (!atomic_load(&loop->stopping))
        return false;
    begin_stop(loop);
    return loop->connections == 0 || loop->now >= atomic_load(&loop->stop_deadline);
}

void edge_loop_run(struct edge_loop *loop)
{
    struct epoll_event events[EVENTS_MAX];

    loop->now = monotonic_usec();
    while (!stop_is_due(loop)) {
        int n = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, next_timeout(loop));

        loop->now = monotonic_usec();
        for (int i = 0; i < n; i++)
            dispatch(loop, &events[i]);
        run_deferred(loop);
        expire(loop);
        reap(loop);
    }
    close_all(loop);
}
