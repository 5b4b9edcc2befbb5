/* The edge in front of an upstream that says whatever the test wants. */
#include "lib/base/util.h"
#include "server/edge/edge.h"
#include "tests/unit/server/edge/client.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define GET     "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_1_0 "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"

#define CHUNKED                                                                                    \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"                                        \
    "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"

/* Answers each request on each connection with the same bytes, one write a byte or all at once. */
struct upstream {
    int listener;
    uint16_t port;
    pthread_t thread;
    struct edge *edge;
    uint16_t edge_port;
    const char *answer;
    bool close_after;
    bool at_once;
    atomic_uint connections;
};

/* False at the connection's end. */
static bool read_request(int fd)
{
    char last[4] = {0};

    while (memcmp(last, "\r\n\r\n", 4) != 0) {
        memmove(last, last + 1, 3);
        if (recv(fd, last + 3, 1, 0) != 1)
            return false;
    }
    return true;
}

static void serve_connection(const struct upstream *upstream, int fd)
{
    while (read_request(fd)) {
        size_t step = upstream->at_once ? strlen(upstream->answer) : 1;

        for (const char *c = upstream->answer; *c; c += step)
            if (send(fd, c, step, MSG_NOSIGNAL) != (ssize_t)step)
                return;
        if (upstream->close_after)
            return;
    }
}

static void *serve(void *argument)
{
    struct upstream *upstream = argument;
    int fd;

    while ((fd = accept(upstream->listener, NULL, NULL)) >= 0) {
        atomic_fetch_add(&upstream->connections, 1);
        serve_connection(upstream, fd);
        close(fd);
    }
    return NULL;
}

static void upstream_start(struct upstream *upstream, const char *answer, bool close_after)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    struct edge_options options = {
        .host = "127.0.0.1",
        .secret = "secret",
        .max_connections = 16,
        .upstreams = 1,
        .max_queued = 16,
        .queue_timeout_ms = 10000,
        .limits = {.max_body_bytes = 1000000,
                   .request_timeout_ms = 10000,
                   .idle_timeout_ms = 10000},
    };

    *upstream = (struct upstream){.answer = answer, .close_after = close_after};
    upstream->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(upstream->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(upstream->listener, 16), 0);
    assert_int_equal(getsockname(upstream->listener, (struct sockaddr *)&address, &size), 0);
    options.upstream_port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&upstream->thread, NULL, serve, upstream), 0);
    assert_int_equal(edge_start(&options, &upstream->edge, &upstream->edge_port, NULL), 0);
}

static void upstream_stop(struct upstream *upstream)
{
    edge_stop(upstream->edge, 5000);
    /* Ends accept. */
    (void)shutdown(upstream->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(upstream->thread, NULL), 0);
    close(upstream->listener);
}

static void test_connection_is_used_again(void **state)
{
    struct upstream upstream;
    struct client_response response;
    int fd;

    (void)state;
    upstream_start(&upstream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Y: z\r\n\r\nok", false);
    fd = client_connect(upstream.edge_port);
    for (int i = 0; i < 5; i++) {
        char *field;

        client_exchange(fd, GET, &response);
        field = client_field(&response, "X-Y");
        assert_string_equal(response.body, "ok");
        assert_string_equal(field, "z");
        free(field);
        client_response_free(&response);
    }
    assert_int_equal(atomic_load(&upstream.connections), 1);
    close(fd);
    upstream_stop(&upstream);
}

static void test_upstream_that_closes(void **state)
{
    struct upstream upstream;
    int fd;

    (void)state;
    upstream_start(&upstream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                   true);
    fd = client_connect(upstream.edge_port);
    for (int i = 0; i < 5; i++)
        assert_int_equal(client_ask(fd, GET), 200);
    assert_int_equal(atomic_load(&upstream.connections), 5);
    close(fd);
    upstream_stop(&upstream);
}

static void test_chunks(void **state)
{
    struct upstream upstream;
    struct client_response response;
    char *coding;
    int fd;

    (void)state;
    upstream_start(&upstream, CHUNKED, false);
    fd = client_connect(upstream.edge_port);
    for (int i = 0; i < 3; i++) {
        client_exchange(fd, GET, &response);
        coding = client_field(&response, "Transfer-Encoding");
        assert_string_equal(coding, "chunked");
        assert_string_equal(response.body, "hello world");
        free(coding);
        client_response_free(&response);
    }
    close(fd);
    assert_int_equal(atomic_load(&upstream.connections), 1);
    upstream_stop(&upstream);
}

/* HTTP/1.0 knows no chunks: the body comes bare and the connection's end ends it. */
static void test_chunks_to_http_1_0(void **state)
{
    struct upstream upstream;
    struct client_response response;
    char *coding;
    char body[16] = {0};
    int fd;

    (void)state;
    upstream_start(&upstream, CHUNKED, false);
    fd = client_connect(upstream.edge_port);
    client_exchange(fd, GET_1_0, &response);
    coding = client_field(&response, "Transfer-Encoding");
    assert_null(coding);
    client_response_free(&response);
    assert_int_equal(recv(fd, body, sizeof(body) - 1, MSG_WAITALL), 11);
    assert_string_equal(body, "hello world");
    close(fd);
    upstream_stop(&upstream);
}

static void test_malformed_answers_are_502(void **state)
{
    static const char *const answers[] = {
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct upstream upstream;
        int fd;

        upstream_start(&upstream, answers[i], true);
        fd = client_connect(upstream.edge_port);
        assert_int_equal(client_ask(fd, GET), 502);
        assert_true(client_sees_end(fd));
        close(fd);
        upstream_stop(&upstream);
    }
}

/* What breaks off must not look complete. */
static void test_answers_that_break_off(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhelX",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct upstream upstream;
        char text[1024] = {0};
        size_t used = 0;
        ssize_t n;
        int fd;

        upstream_start(&upstream, answers[i], true);
        fd = client_connect(upstream.edge_port);
        client_send_text(fd, GET);
        while ((n = recv(fd, text + used, sizeof(text) - 1 - used, 0)) > 0)
            used += (size_t)n;
        assert_null(strstr(text, "hello"));
        assert_null(strstr(text, "0\r\n\r\n"));
        close(fd);
        upstream_stop(&upstream);
    }
}

/* Bytes behind an answer would be taken for the next one. They come with it: those that come later
 * than the next request cannot be told from its answer. */
static void test_trailing_bytes_end_the_connection(void **state)
{
    struct upstream upstream;
    struct client_response response;
    int fd;

    (void)state;
    upstream_start(&upstream,
                   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 X\r\n"
                   "Content-Length: 0\r\n\r\n",
                   true);
    upstream.at_once = true;
    fd = client_connect(upstream.edge_port);
    for (int i = 0; i < 3; i++) {
        client_exchange(fd, GET, &response);
        assert_int_equal(response.status, 200);
        assert_string_equal(response.body, "ok");
        client_response_free(&response);
    }
    close(fd);
    upstream_stop(&upstream);
}

static void test_nobody_there(void **state)
{
    struct upstream upstream;
    int status;
    int fd;

    (void)state;
    upstream_start(&upstream, "", true);
    (void)shutdown(upstream.listener, SHUT_RDWR);
    assert_int_equal(pthread_join(upstream.thread, NULL), 0);
    close(upstream.listener);
    fd = client_connect(upstream.edge_port);
    status = client_ask(fd, GET);
    assert_true(status == 502 || status == 503);
    close(fd);
    edge_stop(upstream.edge, 5000);
}

static void test_ipv6(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct edge_options options = {
        .host = "::1",
        .secret = "secret",
        .max_connections = 16,
        .upstreams = 1,
        .max_queued = 16,
        .queue_timeout_ms = 10000,
        .limits = {.max_body_bytes = 1000000,
                   .request_timeout_ms = 10000,
                   .idle_timeout_ms = 10000},
    };
    struct edge *edge = NULL;
    uint16_t port = 0;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        skip();
    close(fd);
    assert_int_equal(edge_start(&options, &edge, &port, NULL), 0);
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin6_port = htons(port);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(client_ask(fd, "OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\n"), 204);
    close(fd);
    edge_stop(edge, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection_is_used_again),
        cmocka_unit_test(test_upstream_that_closes),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_chunks_to_http_1_0),
        cmocka_unit_test(test_malformed_answers_are_502),
        cmocka_unit_test(test_answers_that_break_off),
        cmocka_unit_test(test_trailing_bytes_end_the_connection),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_ipv6),
    };

    return cmocka_run_group_tests_name("server/edge/exchange", tests, NULL, NULL);
}
