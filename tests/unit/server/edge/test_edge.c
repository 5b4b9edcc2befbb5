/* The edge over real sockets, in front of the HTTP layer. */
#include "lib/base/util.h"
#include "tests/unit/server/edge/client.h"
#include "tests/unit/server/edge/service.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define HEALTH "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"

/* The default service, and a client connected to it. */
struct fixture {
    struct service service;
    int fd;
};

static int set_up(void **state)
{
    struct edge_options options = service_options();
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    service_start(&fixture->service, &options);
    fixture->fd = client_connect(fixture->service.port);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    close(fixture->fd);
    service_stop(&fixture->service);
    free(fixture);
    return 0;
}

static int fixture_fd(void **state)
{
    const struct fixture *fixture = *state;

    return fixture->fd;
}

static uint16_t fixture_port(void **state)
{
    const struct fixture *fixture = *state;

    return fixture->service.port;
}

static void test_keep_alive(void **state)
{
    struct client_response response;
    char *id;
    int fd = fixture_fd(state);

    for (int i = 0; i < 100; i++) {
        client_exchange(fd, HEALTH, &response);
        assert_int_equal(response.status, 200);
        assert_string_equal(response.body, "{\"status\":\"healthy\"}");
        id = client_field(&response, "X-Request-Id");
        assert_int_equal(strlen(id), 16);
        free(id);
        client_response_free(&response);
    }
}

static void test_request_id_and_date(void **state)
{
    struct client_response response;
    char *id;
    char *date;
    int fd = fixture_fd(state);

    client_exchange(fd, "GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: my.id_1-x\r\n\r\n",
                    &response);
    id = client_field(&response, "X-Request-Id");
    date = client_field(&response, "Date");
    assert_int_equal(response.status, 404);
    assert_string_equal(id, "my.id_1-x");
    assert_int_equal(strlen(date), 29);
    assert_non_null(strstr(response.body, "\"request_id\":\"my.id_1-x\""));
    free(id);
    free(date);
    client_response_free(&response);
    client_exchange(fd, "GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: <script>\r\n\r\n",
                    &response);
    id = client_field(&response, "X-Request-Id");
    assert_int_equal(strlen(id), 16);
    free(id);
    client_response_free(&response);
}

static void test_fields_that_end_here(void **state)
{
    struct client_response response;
    int fd = fixture_fd(state);

    client_exchange(fd,
                    "GET http://Ex.ample:80/headers?a=%20b HTTP/1.1\r\n"
                    "HOST: ex.ample:80\r\n"
                    "Authorization: Bearer x\r\n"
                    "X-Own: 1\r\nx-own: 2\r\n"
                    "X-Atoll-Edge: forged r 1.2.3.4 h\r\n"
                    "X-Atoll-Role: admin\r\n"
                    "X-Hop: 1\r\n"
                    "Keep-Alive: timeout=5\r\n"
                    "Upgrade: h2c\r\n"
                    "Connection: keep-alive, X-Hop, Upgrade\r\n\r\n",
                    &response);
    assert_int_equal(response.status, 200);
    assert_non_null(
        strstr(response.body, "{\"Authorization\":\"Bearer x\",\"X-Own\":\"1\",\"method\""));
    assert_non_null(strstr(response.body, "\"client\":\"127.0.0.1\",\"host\":\"ex.ample:80\","
                                          "\"path\":\"/headers\",\"query\":\"a=%20b\",\"own\":2}"));
    client_response_free(&response);
}

static void test_a_tab_in_a_value_is_a_space(void **state)
{
    struct client_response response;

    client_exchange(fixture_fd(state),
                    "GET /headers HTTP/1.1\r\nHost: a\r\nX-Own: one\ttwo\r\n\r\n", &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "\"X-Own\":\"one two\""));
    client_response_free(&response);
}

static void test_64_fields_arrive(void **state)
{
    struct client_response response;
    char request[4096];
    int used;
    int fd = fixture_fd(state);

    used = snprintf(request, sizeof(request), "GET /headers HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 63; i++)
        used += snprintf(request + used, sizeof(request) - (size_t)used, "X-Own: %d\r\n", i);
    client_send(fd, request, (size_t)used);
    client_exchange(fd, "\r\n", &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "\"own\":63"));
    client_response_free(&response);
    client_send(fd, request, (size_t)used);
    client_exchange(fd, "X-Own: 63\r\n\r\n", &response);
    assert_int_equal(response.status, 431);
    client_response_free(&response);
    assert_true(client_sees_end(fd));
}

static void test_pipelining(void **state)
{
    struct client_response response;
    char text[256];
    int fd = fixture_fd(state);

    for (int i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof(text),
                       "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n%04d"
                       "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
                       i);
        client_send_text(fd, text);
    }
    for (int i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof(text), "%04d", i);
        client_read(fd, false, &response);
        assert_string_equal(response.body, text);
        client_response_free(&response);
        client_read(fd, false, &response);
        assert_int_equal(response.status, 204);
        client_response_free(&response);
    }
}

static void test_byte_by_byte(void **state)
{
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n"
                                  "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    struct client_response response;
    int fd = fixture_fd(state);

    for (size_t i = 0; i < sizeof(request) - 1; i++)
        client_send(fd, request + i, 1);
    client_read(fd, false, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "hello world");
    client_response_free(&response);
    assert_int_equal(client_ask(fd, HEALTH), 200);
}

static char *make_bytes(size_t size)
{
    char *data = malloc(size);

    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    return data;
}

static void send_body(int fd, const char *data, size_t size, bool chunked)
{
    char text[128];

    if (!chunked) {
        (void)snprintf(text, sizeof(text),
                       "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", size);
        client_send_text(fd, text);
        client_send(fd, data, size);
        return;
    }
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, step = 1; at < size; step = step * 3 + 1) {
        size_t piece = size - at < step ? size - at : step;

        (void)snprintf(text, sizeof(text), "%zX\r\n", piece);
        client_send_text(fd, text);
        client_send(fd, data + at, piece);
        client_send_text(fd, "\r\n");
        at += piece;
    }
    client_send_text(fd, "0\r\n\r\n");
}

static void test_bodies_of_all_sizes(void **state)
{
    static const size_t sizes[] = {1, 100, 65535, 65536, 65537, 200000, 3000000};
    struct client_response response;
    int fd = fixture_fd(state);

    for (size_t i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
        size_t size = sizes[i / 2];
        char *data = make_bytes(size);

        send_body(fd, data, size, i % 2 == 1);
        client_read(fd, false, &response);
        assert_int_equal(response.status, 200);
        assert_int_equal(response.body_size, size);
        assert_memory_equal(response.body, data, size);
        client_response_free(&response);
        free(data);
    }
}

static void test_head_and_http_1_0(void **state)
{
    struct client_response response;
    char *length;
    int fd = fixture_fd(state);

    client_send_text(fd, "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    client_read(fd, true, &response);
    length = client_field(&response, "Content-Length");
    assert_int_equal(response.status, 200);
    assert_string_equal(length, "20");
    free(length);
    client_response_free(&response);
    assert_int_equal(
        client_ask(fd, "GET /health HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"), 200);
    assert_int_equal(client_ask(fd, "GET /health HTTP/1.0\r\nHost: a\r\n\r\n"), 200);
    assert_true(client_sees_end(fd));
}

static void test_expect_continue(void **state)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char seen[sizeof(interim)] = {0};
    int fd = fixture_fd(state);

    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                         "Expect: 100-Continue\r\n\r\n");
    assert_int_equal(recv(fd, seen, sizeof(interim) - 1, MSG_WAITALL), sizeof(interim) - 1);
    assert_string_equal(seen, interim);
    assert_int_equal(client_ask(fd, "ok"), 200);
    assert_int_equal(client_ask(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                                    "Expect: more\r\n\r\n"),
                     417);
}

static void test_expect_of_a_body_over_the_limit(void **state)
{
    assert_int_equal(client_ask(fixture_fd(state), "POST /echo HTTP/1.1\r\nHost: a\r\n"
                                                   "Content-Length: 99999999\r\n"
                                                   "Expect: 100-continue\r\n\r\n"),
                     413);
}

static void test_refusals_close(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET /health HTTP/1.1\r\n\r\n", 400},
        {"GET /health HTTP/1.1\nHost: a\n\n", 400},
        {"GET /../etc HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n", 501},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
    };
    struct client_response response;
    int fd;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *connection;
        char *type;

        fd = client_connect(fixture_port(state));
        client_exchange(fd, cases[i].request, &response);
        connection = client_field(&response, "Connection");
        type = client_field(&response, "Content-Type");
        assert_int_equal(response.status, cases[i].status);
        assert_string_equal(connection, "close");
        assert_string_equal(type, "application/problem+json");
        assert_non_null(strstr(response.body, "\"request_id\":"));
        free(connection);
        free(type);
        client_response_free(&response);
        assert_true(client_sees_end(fd));
        close(fd);
    }
}

static void test_head_over_limit(void **state)
{
    char *value = make_bytes(40 * 1024);
    int fd = fixture_fd(state);

    memset(value, 'v', 40 * 1024);
    client_send_text(fd, "GET / HTTP/1.1\r\nHost: a\r\nX-Own: ");
    client_send(fd, value, 32 * 1024);
    assert_int_equal(client_ask(fd, ""), 431);
    free(value);
}

/* Its last line is cut there, and what follows would be read as another request. */
static void test_a_head_that_reaches_the_limit(void **state)
{
    enum { HEAD_MAX = 31 * 1024 };
    char *head = make_bytes(HEAD_MAX);

    memset(head, 'v', HEAD_MAX);
    memcpy(head, "GET /health HTTP/1.1\r\nHost: a\r\nX-Own: ", 39);
    client_send(fixture_fd(state), head, HEAD_MAX);
    assert_int_equal(client_ask(fixture_fd(state), ""), 431);
    free(head);
}

/* A chunked body has no length to refuse it by: it is stopped where it passes the limit. */
static void test_chunked_over_limit(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    char *data = make_bytes(200000);
    int fd;

    (void)state;
    options.limits.max_body_bytes = 100000;
    service_start(&service, &options);
    fd = client_connect(service.port);
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "30D40\r\n");
    client_send(fd, data, 150000);
    assert_int_equal(client_ask(fd, ""), 413);
    close(fd);
    fd = client_connect(service.port);
    assert_int_equal(client_ask(fd, HEALTH), 200);
    close(fd);
    free(data);
    service_stop(&service);
}

static void test_slow_requests_time_out(void **state)
{
    static const char *const starts[] = {
        "GET /hea",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
    };
    struct edge_options options = service_options();
    struct service service;
    char *data = make_bytes(100000);
    int fd;

    (void)state;
    options.limits.request_timeout_ms = 100;
    service_start(&service, &options);
    for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
        fd = client_connect(service.port);
        assert_int_equal(client_ask(fd, starts[i]), 408);
        assert_true(client_sees_end(fd));
        close(fd);
    }
    fd = client_connect(service.port);
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client_send(fd, data, 100000);
    assert_int_equal(client_ask(fd, ""), 408);
    close(fd);
    free(data);
    service_stop(&service);
}

static bool is_count(const char *method, size_t method_size, const char *target, size_t target_size)
{
    return method_size == 3 && memcmp(method, "PUT", 3) == 0 && target_size == 6 &&
           memcmp(target, "/count", 6) == 0;
}

static struct edge_options transfer_options(void)
{
    struct edge_options options = service_options();

    options.is_transfer = is_count;
    options.limits.max_body_bytes = 100000;
    options.limits.max_transfer_bytes = 300000;
    return options;
}

static void assert_counted(int fd, const char *expected)
{
    struct client_response response;

    client_read(fd, false, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, expected);
    client_response_free(&response);
}

static void test_transfers_have_a_limit_of_their_own(void **state)
{
    struct edge_options options = transfer_options();
    struct service service;
    char *data = make_bytes(300000);
    int fd;

    (void)state;
    service_start(&service, &options);
    fd = client_connect(service.port);
    client_send_text(fd, "PUT /count HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    client_send(fd, data, 300000);
    assert_counted(fd, "300000");
    client_send_text(fd, "PUT /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        client_send_text(fd, "186a0\r\n");
        client_send(fd, data, 100000);
        client_send_text(fd, "\r\n");
    }
    client_send_text(fd, "0\r\n\r\n");
    assert_counted(fd, "300000");
    assert_int_equal(
        client_ask(fd, "PUT /count HTTP/1.1\r\nHost: a\r\nContent-Length: 300001\r\n\r\n"), 413);
    close(fd);
    fd = client_connect(service.port);
    assert_int_equal(
        client_ask(fd, "PUT /count?x HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n"), 413);
    close(fd);
    free(data);
    service_stop(&service);
}

enum { PIECE_USEC = 1000 * 1000 };

/* Sends 300,000 bytes in twice the time of a piece; returns a connection that kept to its time with
 * each of them, or -1 where this machine was too busy for that. */
static int transfer_slowly(uint16_t port, const char *data)
{
    const struct timespec pause = {.tv_nsec = PIECE_USEC / 10 * INT64_C(1000)};
    int fd = client_connect(port);
    int64_t last = monotonic_usec();
    bool in_time = true;

    client_send_text(fd, "PUT /count HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    client_send(fd, data, 280000);
    for (int i = 0; i < 20 && in_time; i++) {
        (void)nanosleep(&pause, NULL);
        in_time =
            send(fd, data, 1000, MSG_NOSIGNAL) == 1000 && monotonic_usec() - last < PIECE_USEC;
        last = monotonic_usec();
    }
    if (!in_time)
        close(fd);
    return in_time ? fd : -1;
}

/* Each piece begins the deadline anew; the whole takes twice as long. */
static void test_a_transfer_s_deadline_is_of_each_piece(void **state)
{
    struct edge_options options = transfer_options();
    struct service service;
    char *data = make_bytes(300000);
    int fd;

    (void)state;
    options.limits.request_timeout_ms = PIECE_USEC / 1000;
    service_start(&service, &options);
    while ((fd = transfer_slowly(service.port, data)) < 0)
        continue;
    assert_counted(fd, "300000");
    client_send_text(fd, "PUT /count HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    client_send(fd, data, 299999);
    assert_int_equal(client_ask(fd, ""), 408);
    assert_true(client_sees_end(fd));
    close(fd);
    free(data);
    service_stop(&service);
}

static void test_answers_in_pieces(void **state)
{
    static const char *const whole[] = {"", "&announced=300"};
    struct client_response response;
    int fd = fixture_fd(state);

    for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
        char text[128];

        (void)snprintf(text, sizeof(text), "GET /pieces?count=300%s HTTP/1.1\r\nHost: a\r\n\r\n",
                       whole[i]);
        client_exchange(fd, text, &response);
        assert_int_equal(response.body_size, 300000);
        client_response_free(&response);
    }
    assert_int_equal(client_ask(fd, HEALTH), 200);
}

/* The client must not take it for the whole. */
static void test_an_answer_that_is_not_whole_breaks_the_connection(void **state)
{
    char byte;
    int fd = fixture_fd(state);
    size_t total = 0;

    client_send_text(fd, "GET /pieces?count=3&announced=4 HTTP/1.1\r\nHost: a\r\n\r\n");
    while (recv(fd, &byte, 1, 0) == 1)
        total++;
    assert_in_range(total, 3001, 3999);
}

static void test_idle_connection_is_closed(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    int fd;

    (void)state;
    service_start(&service, &options);
    fd = client_connect(service.port);
    assert_int_equal(client_ask(fd, HEALTH), 200);
    options.limits.idle_timeout_ms = 100;
    edge_set_limits(service.edge, &options.limits);
    close(client_connect(service.port)); /* wakes the edge, which looks at its limits then */
    assert_true(client_sees_end(fd));
    close(fd);
    service_stop(&service);
}

static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < count)
        limit.rlim_cur = limit.rlim_max < count ? limit.rlim_max : count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_health_beside_half_sent_bodies(void **state)
{
    enum { HALF_SENT = 1000 };
    int fds[HALF_SENT];
    char *data = make_bytes(70000);
    int fd;

    allow_descriptors(4096);
    for (size_t i = 0; i < HALF_SENT; i++) {
        fds[i] = client_connect(fixture_port(state));
        client_send_text(fds[i],
                         "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nstart");
        /* Some are large enough to want a worker before their end. */
        if (i % 100 == 0)
            client_send(fds[i], data, 70000);
    }
    fd = client_connect(fixture_port(state));
    assert_int_equal(client_ask(fd, HEALTH), 200);
    close(fd);
    for (size_t i = 0; i < HALF_SENT; i++)
        close(fds[i]);
    free(data);
}

static void test_queue_is_bounded(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    struct client_response response;
    char *retry;
    int busy[2];
    int queued;
    int late;

    (void)state;
    options.upstreams = 2;
    options.max_queued = 1;
    service_start(&service, &options);
    for (size_t i = 0; i < 2; i++) {
        busy[i] = client_connect(service.port);
        client_send_text(busy[i], "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    service_await_waiting(2);
    queued = client_connect(service.port);
    late = client_connect(service.port);
    client_send_text(queued, HEALTH);
    client_send_text(late, HEALTH);
    /* Whichever of the two came second has no place; the other waits for a worker. */
    for (;;) {
        fd_set set;

        FD_ZERO(&set);
        FD_SET(queued, &set);
        FD_SET(late, &set);
        assert_true(select((queued > late ? queued : late) + 1, &set, NULL, NULL, NULL) > 0);
        if (FD_ISSET(queued, &set)) {
            int other = queued;

            queued = late;
            late = other;
        }
        break;
    }
    client_read(late, false, &response);
    retry = client_field(&response, "Retry-After");
    assert_int_equal(response.status, 503);
    assert_string_equal(retry, "1");
    free(retry);
    client_response_free(&response);
    service_let_go();
    assert_int_equal(client_ask(queued, ""), 200);
    assert_int_equal(client_ask(busy[0], ""), 204);
    assert_int_equal(client_ask(busy[1], ""), 204);
    close(queued);
    close(late);
    close(busy[0]);
    close(busy[1]);
    service_stop(&service);
}

static void test_queue_has_a_deadline(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    char *data = make_bytes(100000);
    int busy;
    int fd;

    (void)state;
    options.upstreams = 1;
    options.queue_timeout_ms = 50;
    service_start(&service, &options);
    busy = client_connect(service.port);
    client_send_text(busy, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    service_await_waiting(1);
    fd = client_connect(service.port);
    assert_int_equal(client_ask(fd, HEALTH), 503);
    close(fd);
    /* The rest of a body cannot come before somebody takes what is there. */
    fd = client_connect(service.port);
    client_send_text(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    client_send(fd, data, 100000);
    assert_int_equal(client_ask(fd, ""), 503);
    service_let_go();
    assert_int_equal(client_ask(busy, ""), 204);
    close(fd);
    close(busy);
    free(data);
    service_stop(&service);
}

/* A client that leaves keeps its worker only until the handler is done. */
static void test_client_that_leaves(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    struct linger reset = {.l_onoff = 1};
    int fd;

    (void)state;
    options.upstreams = 1;
    service_start(&service, &options);
    fd = client_connect(service.port);
    client_send_text(fd, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    service_await_waiting(1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    fd = client_connect(service.port);
    client_send_text(fd, HEALTH);
    service_let_go();
    assert_int_equal(client_ask(fd, ""), 200);
    close(fd);
    service_stop(&service);
}

/* A half-closed client still gets what it asked for. */
static void test_half_closed_client(void **state)
{
    int fd = fixture_fd(state);

    client_send_text(fd, HEALTH HEALTH);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(client_ask(fd, ""), 200);
    assert_int_equal(client_ask(fd, ""), 200);
    assert_true(client_sees_end(fd));
}

/* An answer that comes before the end of a large body ends the connection, not the service. */
static void test_early_answer(void **state)
{
    char *data = make_bytes(200000);

    for (int i = 0; i < 10; i++) {
        int fd = client_connect(fixture_port(state));

        client_send_text(fd, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n");
        client_send(fd, data, 200000);
        assert_int_equal(client_ask(fd, ""), 403);
        assert_true(client_sees_end(fd));
        close(fd);
    }
    assert_int_equal(client_ask(fixture_fd(state), HEALTH), 200);
    free(data);
}

/* What the kernel does not take (tcp_wmem) waits upstream; it comes whole when the client reads. */
static void test_slow_reader(void **state)
{
    struct client_response response;
    int slow;
    int fd = fixture_fd(state);

    slow = client_connect(fixture_port(state));
    client_send_text(slow, "GET /bytes?count=20000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 50; i++)
        assert_int_equal(client_ask(fd, HEALTH), 200);
    client_read(slow, false, &response);
    assert_int_equal(response.body_size, 20000000);
    client_response_free(&response);
    assert_int_equal(client_ask(slow, HEALTH), 200);
    close(slow);
}

static void test_too_many_connections(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    int fds[16];
    int fd;

    (void)state;
    options.max_connections = ARRAY_SIZE(fds);
    service_start(&service, &options);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = client_connect(service.port);
        assert_int_equal(client_ask(fds[i], HEALTH), 200);
    }
    fd = client_connect(service.port);
    assert_int_equal(client_ask(fd, ""), 503);
    close(fd);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close(fds[i]);
    service_stop(&service);
}

/* The edge would wait for the rest as long as the connection lasts: a day. */
static void test_an_answer_that_cannot_be_written_ends_its_connection(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    char text[512];
    ssize_t size;
    int fd;

    (void)state;
    options.limits.idle_timeout_ms = 2000; /* of a request, too */
    service_start(&service, &options);
    fd = client_connect(http_port(service.http));
    (void)snprintf(text, sizeof(text),
                   "GET /unread HTTP/1.1\r\nHost: a\r\nX-Atoll-Edge: %s id ip host\r\n\r\n",
                   service.secret);
    client_send_text(fd, text);
    service_await_waiting(1);
    service_let_go();
    do {
        struct pollfd poller = {.fd = fd, .events = POLLIN};

        assert_int_equal(poll(&poller, 1, 20000), 1);
        size = recv(fd, text, sizeof(text), 0);
    } while (size > 0);
    close(fd);
    service_stop(&service);
}

static void *stop_service(void *argument)
{
    struct service *service = argument;

    edge_stop(service->edge, 20000);
    return NULL;
}

static void test_stop_finishes_what_began(void **state)
{
    struct edge_options options = service_options();
    struct service service;
    struct client_response response;
    pthread_t thread;
    char *connection;
    int idle;
    int half;
    int fd;

    (void)state;
    service_start(&service, &options);
    idle = client_connect(service.port);
    assert_int_equal(client_ask(idle, HEALTH), 200);
    half = client_connect(service.port);
    assert_int_equal(client_ask(half, HEALTH "POST /echo HTTP/1.1\r\n"), 200);
    fd = client_connect(service.port);
    client_send_text(fd, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    service_await_waiting(1);
    assert_int_equal(pthread_create(&thread, NULL, stop_service, &service), 0);
    assert_true(client_sees_end(idle));
    assert_true(client_sees_end(half));
    service_let_go();
    client_read(fd, false, &response);
    connection = client_field(&response, "Connection");
    assert_int_equal(response.status, 204);
    assert_string_equal(connection, "close");
    free(connection);
    client_response_free(&response);
    assert_true(client_sees_end(fd));
    close(fd);
    close(half);
    close(idle);
    assert_int_equal(pthread_join(thread, NULL), 0);
    service.edge = NULL;
    service_stop(&service);
}

static void test_port_in_use(void **state)
{
    struct edge_options options = service_options();
    const struct fixture *fixture = *state;
    struct edge *edge = NULL;
    struct error err;

    options.secret = fixture->service.secret;
    options.port = fixture->service.port;
    assert_int_equal(edge_start(&options, &edge, NULL, &err), -1);
    assert_null(edge);
    assert_non_null(strstr(err.message, "Address already in use"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_keep_alive),
        TEST(test_request_id_and_date),
        TEST(test_fields_that_end_here),
        TEST(test_a_tab_in_a_value_is_a_space),
        TEST(test_64_fields_arrive),
        TEST(test_pipelining),
        TEST(test_byte_by_byte),
        TEST(test_bodies_of_all_sizes),
        TEST(test_head_and_http_1_0),
        TEST(test_expect_continue),
        TEST(test_expect_of_a_body_over_the_limit),
        TEST(test_refusals_close),
        TEST(test_head_over_limit),
        TEST(test_a_head_that_reaches_the_limit),
        cmocka_unit_test(test_chunked_over_limit),
        cmocka_unit_test(test_slow_requests_time_out),
        cmocka_unit_test(test_transfers_have_a_limit_of_their_own),
        cmocka_unit_test(test_a_transfer_s_deadline_is_of_each_piece),
        TEST(test_answers_in_pieces),
        TEST(test_an_answer_that_is_not_whole_breaks_the_connection),
        cmocka_unit_test(test_idle_connection_is_closed),
        TEST(test_health_beside_half_sent_bodies),
        cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_queue_has_a_deadline),
        cmocka_unit_test(test_client_that_leaves),
        TEST(test_half_closed_client),
        TEST(test_early_answer),
        TEST(test_slow_reader),
        cmocka_unit_test(test_too_many_connections),
        cmocka_unit_test(test_an_answer_that_cannot_be_written_ends_its_connection),
        cmocka_unit_test(test_stop_finishes_what_began),
        TEST(test_port_in_use),
    };

    return cmocka_run_group_tests_name("server/edge", tests, NULL, NULL);
}
