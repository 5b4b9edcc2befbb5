/* A connection whose socket takes nothing, and streams that are never done. */
#include "server/edge/conn.h"
#include "server/edge/streaming.h"

#include "lib/base/util.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PAIR = 2, QUEUE = 64, HOUR_MS = 3600 * 1000 };

struct fixture {
    struct edge_loop loop;
    struct edge_conn *conns[PAIR];
    int clients[PAIR];
};

static void init_loop(struct edge_loop *loop)
{
    for (size_t i = 0; i < EDGE_TIMER_COUNT; i++)
        TAILQ_INIT(&loop->timers[i]);
    TAILQ_INIT(&loop->deferred);
    TAILQ_INIT(&loop->dead);
    TAILQ_INIT(&loop->idle);
    TAILQ_INIT(&loop->busy);
    TAILQ_INIT(&loop->dead_upstreams);
    edge_flows_init(&loop->flows);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->now = monotonic_usec();
    loop->heartbeat_ms = HOUR_MS;
    atomic_store(&loop->idle_timeout_ms, HOUR_MS);
    atomic_store(&loop->request_timeout_ms, HOUR_MS);
}

static int set_up(void **state)
{
    const struct streams_options options = {.guard_ms = HOUR_MS, .offer_ms = HOUR_MS};
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    init_loop(&fixture->loop);
    assert_int_equal(streams_create(&options, &fixture->loop.streams, NULL), 0);
    for (size_t i = 0; i < PAIR; i++) {
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                         0);
        fixture->clients[i] = ends[1];
        edge_conn_open(&fixture->loop, ends[0], "127.0.0.1");
        fixture->conns[i] = TAILQ_LAST(&fixture->loop.timers[EDGE_TIMER_IDLE], edge_conns);
        fixture->conns[i]->writable = true;
    }
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < PAIR; i++)
        edge_conn_close(fixture->conns[i]); /* the dead are one list */
    for (size_t i = 0; i < PAIR; i++) {
        free(fixture->conns[i]);
        close(fixture->clients[i]);
    }
    streams_free(fixture->loop.streams);
    close(fixture->loop.epoll_fd);
    free(fixture);
    return 0;
}

/* Until it takes no byte more; the connection does not know that yet. */
static void fill_socket(struct edge_conn *conn)
{
    static const char bytes[4096];

    for (size_t size = sizeof(bytes); size > 0; size /= 2)
        while (send(conn->source.fd, bytes, size, MSG_NOSIGNAL) > 0)
            continue;
}

/* As an answer that names it; the caller has a reference. */
static struct stream *give_stream(struct edge_conn *conn, const char *heartbeat,
                                  void (*wake)(void *user), void *user)
{
    struct streams *streams = conn->loop->streams;
    char id[STREAM_ID_SIZE];
    struct stream *stream;

    assert_int_equal(stream_new(streams, QUEUE, &stream, NULL), 0);
    stream_set_heartbeat(stream, heartbeat);
    stream_set_wake(stream, wake, user);
    assert_int_equal(streams_offer(streams, stream, id, NULL), 0);
    conn->stream = streams_take(streams, id, conn);
    assert_ptr_equal(conn->stream, stream);
    edge_streaming_enter(conn);
    edge_conn_run(conn);
    assert_int_equal(conn->state, EDGE_CONN_STREAM);
    return stream;
}

static void expire_in_an_hour(struct edge_conn *conn)
{
    conn->loop->now += INT64_C(2) * HOUR_MS * 1000;
    edge_conn_expired(conn);
}

static void test_the_rest_of_an_answer_has_a_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct edge_conn *conn = fixture->conns[0];

    fill_socket(conn);
    assert_true(edge_buffer_append(&conn->output, "rest", 4, EDGE_OUTPUT_MAX));
    conn->state = EDGE_CONN_FLUSH;
    edge_loop_set_timer(conn, EDGE_TIMER_NONE);
    edge_conn_run(conn);
    assert_int_equal(conn->state, EDGE_CONN_FLUSH);
    assert_int_equal(conn->timer, EDGE_TIMER_WRITE);
    expire_in_an_hour(conn);
    assert_int_equal(conn->state, EDGE_CONN_CLOSED);
}

static bool is_everything(__attribute__((unused)) const char *method,
                          __attribute__((unused)) size_t method_size,
                          __attribute__((unused)) const char *target,
                          __attribute__((unused)) size_t target_size)
{
    return true;
}

static void send_piece(struct fixture *fixture, size_t which, const char *text)
{
    struct edge_conn *conn = fixture->conns[which];

    assert_int_equal(send(fixture->clients[which], text, strlen(text), 0), strlen(text));
    conn->readable = true;
    edge_conn_run(conn);
    assert_int_equal(conn->timer, EDGE_TIMER_REQUEST);
}

/* Also while it is small and collected: of another body the deadline is of the whole. */
static void test_a_transfer_s_deadline_begins_anew_with_each_piece(void **state)
{
    struct fixture *fixture = *state;
    struct edge_loop *loop = &fixture->loop;

    atomic_store(&loop->max_body_bytes, 100);
    atomic_store(&loop->max_transfer_bytes, 100);
    for (size_t i = 0; i < PAIR; i++) {
        struct edge_conn *conn = fixture->conns[i];
        int64_t begun = loop->now;

        loop->is_transfer = i == 0 ? is_everything : NULL;
        send_piece(fixture, i, "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
        loop->now += 1000000;
        send_piece(fixture, i, "piece");
        assert_int_equal(conn->since, i == 0 ? loop->now : begun);
    }
}

static void test_the_end_of_a_stream_has_a_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct edge_conn *conn = fixture->conns[0];
    struct stream *stream = give_stream(conn, ": heartbeat\n\n", NULL, NULL);

    assert_int_equal(conn->timer, EDGE_TIMER_STREAM);
    fill_socket(conn);
    stream_finish(stream);
    stream_unref(stream);
    edge_streaming_wake(&fixture->loop);
    assert_int_equal(conn->state, EDGE_CONN_FLUSH);
    assert_true(edge_buffer_used(&conn->output) > 0);
    expire_in_an_hour(conn);
    assert_int_equal(conn->state, EDGE_CONN_CLOSED);
}

/* A producer that is always faster than the edge. */
struct producer {
    struct stream *stream;
    unsigned wakes;
};

static void push_more(void *user)
{
    static const char bytes[QUEUE + 1];
    struct producer *producer = user;

    producer->wakes++;
    if (producer->stream)
        (void)stream_push_some(producer->stream, bytes, sizeof(bytes));
}

static bool is_readable(int fd)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};

    return poll(&poller, 1, 0) == 1;
}

static void test_streams_leave_others_their_turn(void **state)
{
    struct fixture *fixture = *state;
    static struct producer producers[PAIR]; /* woken once more when the connections close */
    struct stream *streams[PAIR];
    unsigned wakes;

    for (size_t i = 0; i < PAIR; i++)
        streams[i] = give_stream(fixture->conns[i], NULL, push_more, &producers[i]);
    /* What is read of one makes the other ready. */
    producers[0].stream = streams[1];
    producers[1].stream = streams[0];
    push_more(&producers[1]);
    edge_streaming_wake(&fixture->loop);
    wakes = producers[0].wakes + producers[1].wakes;
    assert_true(wakes > 10);
    assert_true(wakes <= 100);
    assert_true(is_readable(streams_wake_fd(fixture->loop.streams)));
    edge_streaming_wake(&fixture->loop);
    assert_true(producers[0].wakes + producers[1].wakes > wakes);
    for (size_t i = 0; i < PAIR; i++) {
        producers[1 - i].stream = NULL;
        stream_unref(streams[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_rest_of_an_answer_has_a_deadline),
        TEST(test_a_transfer_s_deadline_begins_anew_with_each_piece),
        TEST(test_the_end_of_a_stream_has_a_deadline),
        TEST(test_streams_leave_others_their_turn),
    };

    return cmocka_run_group_tests_name("edge/conn", tests, NULL, NULL);
}
