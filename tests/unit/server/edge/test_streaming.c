/* Streams through edge and HTTP layer, over real sockets. */
#include "lib/base/util.h"
#include "server/stream/stream.h"
#include "tests/unit/server/edge/client.h"
#include "tests/unit/server/edge/service.h"
#include "tests/unit/support/stream_room.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define STREAM     "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEARTBEATS "GET /stream?heartbeat HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEALTH     "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"

enum { BIG = 8 * 1024 * 1024, MANY = 64 };

/* A service, a client of it, and the stream that the client was answered with. */
struct fixture {
    struct service service;
    struct stream *stream;
    int fd;
};

static int set_up_with(void **state, uint32_t heartbeat_ms)
{
    struct edge_options options = service_options();
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    options.heartbeat_ms = heartbeat_ms;
    service_start(&fixture->service, &options);
    fixture->fd = client_connect(fixture->service.port);
    *state = fixture;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, 60000);
}

static int set_up_hasty(void **state)
{
    return set_up_with(state, 10);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    close(fixture->fd);
    if (fixture->service.http)
        service_stop(&fixture->service);
    free(fixture);
    return 0;
}

static void ask(struct fixture *fixture, const char *request)
{
    client_send_text(fixture->fd, request);
    fixture->stream = service_await_stream();
}

static void push(struct fixture *fixture, const char *text)
{
    assert_true(stream_push(fixture->stream, text, strlen(text)));
}

static void finish(struct fixture *fixture)
{
    stream_finish(fixture->stream);
    stream_unref(fixture->stream);
}

static void expect_field(const struct client_response *response, const char *name,
                         const char *value)
{
    char *found = client_field(response, name);

    if (value)
        assert_string_equal(found, value);
    else
        assert_null(found);
    free(found);
}

static void test_a_stream_is_a_chunked_answer(void **state)
{
    struct fixture *fixture = *state;
    struct client_response response;

    ask(fixture, STREAM);
    push(fixture, "one ");
    push(fixture, "two");
    finish(fixture);
    client_read(fixture->fd, false, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "one two");
    expect_field(&response, "Content-Type", "text/event-stream");
    expect_field(&response, "Cache-Control", "no-store");
    expect_field(&response, "Transfer-Encoding", "chunked");
    expect_field(&response, "Content-Length", NULL);
    expect_field(&response, "X-Atoll-Stream", NULL);
    expect_field(&response, "X-Own", "kept");
    client_response_free(&response);
    assert_int_equal(client_ask(fixture->fd, HEALTH), 200);
}

static void read_text(int fd, const char *text)
{
    char bytes[256] = {0};

    assert_true(strlen(text) < sizeof(bytes));
    assert_int_equal(recv(fd, bytes, strlen(text), MSG_WAITALL), strlen(text));
    assert_string_equal(bytes, text);
}

static void skip_head(int fd)
{
    char last[4] = {0};

    while (memcmp(last, "\r\n\r\n", 4) != 0) {
        memmove(last, last + 1, 3);
        assert_int_equal(recv(fd, last + 3, 1, 0), 1);
    }
}

static void test_bytes_go_out_as_they_come(void **state)
{
    struct fixture *fixture = *state;

    ask(fixture, STREAM);
    skip_head(fixture->fd);
    for (int i = 0; i < 50; i++) {
        push(fixture, "hello");
        read_text(fixture->fd, "0005\r\nhello\r\n");
    }
    finish(fixture);
    read_text(fixture->fd, "0\r\n\r\n");
}

static void test_http_1_0_ends_with_the_connection(void **state)
{
    struct fixture *fixture = *state;

    ask(fixture, "GET /stream HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    skip_head(fixture->fd);
    push(fixture, "bare");
    read_text(fixture->fd, "bare");
    finish(fixture);
    assert_true(client_sees_end(fixture->fd));
}

static void test_a_broken_stream_breaks_the_connection(void **state)
{
    struct fixture *fixture = *state;

    ask(fixture, STREAM);
    skip_head(fixture->fd);
    push(fixture, "part");
    stream_break(fixture->stream);
    stream_unref(fixture->stream);
    read_text(fixture->fd, "0004\r\npart\r\n");
    assert_true(client_sees_end(fixture->fd));
}

static void test_head_is_no_stream(void **state)
{
    struct fixture *fixture = *state;
    struct client_response response;

    ask(fixture, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    client_read(fixture->fd, true, &response);
    assert_int_equal(response.status, 200);
    client_response_free(&response);
    service_await_gone(1);
    stream_unref(fixture->stream);
    assert_int_equal(client_ask(fixture->fd, HEALTH), 200);
}

static void test_streams_hold_no_worker(void **state)
{
    struct fixture *fixture = *state;
    struct stream *streams[MANY];
    int fds[MANY];

    /* Sixteen times as many as the HTTP layer has threads. */
    for (size_t i = 0; i < MANY; i++) {
        fds[i] = client_connect(fixture->service.port);
        client_send_text(fds[i], STREAM);
        streams[i] = service_await_stream();
    }
    assert_int_equal(client_ask(fixture->fd, HEALTH), 200);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(stream_push(streams[i], "x", 1));
        skip_head(fds[i]);
        read_text(fds[i], "0001\r\nx\r\n");
        stream_unref(streams[i]);
        close(fds[i]);
    }
    service_await_gone(MANY);
}

static void test_who_pushes_has_his_worker_to_himself(void **state)
{
    struct fixture *fixture = *state;
    int other = client_connect(fixture->service.port);

    for (unsigned i = 0; i < 3; i++) { /* of four workers */
        int fd = client_connect(fixture->service.port);

        client_send_text(fd, "GET /pushed HTTP/1.1\r\nHost: a\r\n\r\n");
        fixture->stream = service_await_stream();
        skip_head(fd);
        for (int k = 0; k < 5; k++)
            assert_int_equal(client_ask(other, HEALTH), 200);
        push(fixture, "whole");
        finish(fixture);
        read_text(fd, "0005\r\nwhole\r\n0\r\n\r\n");
        assert_int_equal(client_ask(fd, HEALTH), 200);
        close(fd);
    }
    service_let_go();
    for (int i = 0; i < 20; i++) {
        client_send_text(other, "GET /pushed HTTP/1.1\r\nHost: a\r\n\r\n");
        fixture->stream = service_await_stream();
        finish(fixture);
        skip_head(other);
        read_text(other, "0\r\n\r\n");
    }
    close(other);
}

static void test_a_client_that_leaves_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    int half = client_connect(fixture->service.port);

    ask(fixture, STREAM);
    skip_head(fixture->fd);
    (void)shutdown(fixture->fd, SHUT_RDWR);
    service_await_gone(1);
    assert_int_equal(stream_state(fixture->stream), STREAM_GONE);
    stream_unref(fixture->stream);
    client_send_text(half, STREAM HEALTH);
    fixture->stream = service_await_stream();
    (void)shutdown(half, SHUT_WR);
    service_await_gone(2);
    stream_unref(fixture->stream);
    close(half);
}

static void *produce(void *argument)
{
    static char bytes[10000];
    struct stream *stream = argument;
    size_t left = BIG;

    memset(bytes, 'b', sizeof(bytes));
    while (left > 0) {
        size_t size = left < sizeof(bytes) ? left : sizeof(bytes);

        if (!stream_write(stream, bytes, size, 60000))
            return NULL;
        left -= size;
    }
    stream_finish(stream);
    return stream;
}

static void test_a_slow_client_holds_its_producer_back(void **state)
{
    struct fixture *fixture = *state;
    struct client_response response;
    pthread_t thread;
    void *whole;

    ask(fixture, STREAM);
    assert_int_equal(pthread_create(&thread, NULL, produce, fixture->stream), 0);
    /* Nothing is read until the queue and all buffers between are full. */
    while (stream_room(fixture->stream) > 0)
        continue;
    assert_int_equal(stream_state(fixture->stream), STREAM_OPEN);
    client_read(fixture->fd, false, &response);
    assert_int_equal(response.body_size, BIG);
    client_response_free(&response);
    pthread_join(thread, &whole);
    assert_non_null(whole);
    stream_unref(fixture->stream);
}

static void test_a_silent_stream_has_a_heartbeat(void **state)
{
    struct fixture *fixture = *state;

    ask(fixture, HEARTBEATS);
    skip_head(fixture->fd);
    read_text(fixture->fd, "d\r\n: heartbeat\n\n\r\n");
    read_text(fixture->fd, "d\r\n: heartbeat\n\n\r\n");
    finish(fixture);
}

static void test_a_stop_breaks_streams(void **state)
{
    struct fixture *fixture = *state;

    ask(fixture, STREAM);
    skip_head(fixture->fd);
    push(fixture, "x");
    read_text(fixture->fd, "0001\r\nx\r\n");
    service_stop(&fixture->service);
    assert_true(client_sees_end(fixture->fd));
    assert_int_equal(stream_state(fixture->stream), STREAM_GONE);
    stream_unref(fixture->stream);
    fixture->service.http = NULL;
}

static void *stop_patiently(void *argument)
{
    struct service *service = argument;

    edge_stop(service->edge, 3600 * 1000);
    return NULL;
}

static void test_a_stop_waits_for_no_stream_that_begins(void **state)
{
    struct fixture *fixture = *state;
    int idle = client_connect(fixture->service.port);
    pthread_t thread;

    assert_int_equal(client_ask(idle, HEALTH), 200);
    client_send_text(fixture->fd, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n");
    service_await_waiting(1);
    assert_int_equal(pthread_create(&thread, NULL, stop_patiently, &fixture->service), 0);
    assert_true(client_sees_end(idle));
    service_let_go();
    fixture->stream = service_await_stream();
    skip_head(fixture->fd);
    assert_true(client_sees_end(fixture->fd));
    close(fixture->fd);
    pthread_join(thread, NULL);
    assert_int_equal(stream_state(fixture->stream), STREAM_GONE);
    stream_unref(fixture->stream);
    fixture->fd = idle;
    fixture->service.edge = NULL;
}

static void test_a_stream_that_is_not_there(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(client_ask(fixture->fd, "GET /forged HTTP/1.1\r\nHost: a\r\n\r\n"), 502);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_is_a_chunked_answer),
        TEST(test_bytes_go_out_as_they_come),
        TEST(test_http_1_0_ends_with_the_connection),
        TEST(test_a_broken_stream_breaks_the_connection),
        TEST(test_head_is_no_stream),
        TEST(test_streams_hold_no_worker),
        TEST(test_who_pushes_has_his_worker_to_himself),
        TEST(test_a_client_that_leaves_is_noticed),
        TEST(test_a_slow_client_holds_its_producer_back),
        cmocka_unit_test_setup_teardown(test_a_silent_stream_has_a_heartbeat, set_up_hasty,
                                        tear_down),
        TEST(test_a_stop_breaks_streams),
        TEST(test_a_stop_waits_for_no_stream_that_begins),
        TEST(test_a_stream_that_is_not_there),
    };

    return cmocka_run_group_tests_name("edge/streaming", tests, NULL, NULL);
}
