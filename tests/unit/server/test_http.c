/* The HTTP layer, through the edge and past it. */
#include "tests/unit/server/edge/client.h"
#include "tests/unit/server/edge/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct service service;

static int setup(void **state)
{
    struct edge_options options = service_options();

    (void)state;
    service_start(&service, &options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    service_stop(&service);
    return 0;
}

static void ask(uint16_t port, const char *text, struct client_response *ret_response)
{
    int fd = client_connect(port);

    client_send_text(fd, text);
    client_read(fd, strncmp(text, "HEAD", 4) == 0, ret_response);
    close(fd);
}

static void assert_field(const struct client_response *response, const char *name,
                         const char *value)
{
    char *found = client_field(response, name);

    assert_non_null(found);
    assert_string_equal(found, value);
    free(found);
}

static void test_headers_of_every_answer(void **state)
{
    static const char *const requests[] = {
        "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /.. HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    struct client_response response;

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        ask(service.port, requests[i], &response);
        assert_field(&response, "X-Content-Type-Options", "nosniff");
        assert_field(&response, "Cache-Control", "no-store");
        client_response_free(&response);
    }
}

static void test_problem(void **state)
{
    struct client_response response;

    (void)state;
    ask(service.port, "GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: r1\r\n\r\n", &response);
    assert_int_equal(response.status, 404);
    assert_field(&response, "Content-Type", "application/problem+json");
    assert_string_equal(response.body,
                        "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                        "\"code\":\"not_found\",\"detail\":\"no such thing\",\"request_id\":\"r1\","
                        "\"error\":\"no such thing\"}");
    client_response_free(&response);
}

static void test_unanswered_request(void **state)
{
    struct client_response response;

    (void)state;
    ask(service.port, "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n", &response);
    assert_int_equal(response.status, 500);
    assert_non_null(strstr(response.body, "\"code\":\"internal\""));
    client_response_free(&response);
}

static void test_segments(void **state)
{
    struct client_response response;

    (void)state;
    ask(service.port, "GET /segments/a%20b/%C3%A9/ HTTP/1.1\r\nHost: a\r\n\r\n", &response);
    assert_int_equal(response.status, 201);
    assert_string_equal(response.body, "[\"segments\",\"a b\",\"\xc3\xa9\",\"\"]");
    client_response_free(&response);
    ask(service.port, "GET /segments/%ff HTTP/1.1\r\nHost: a\r\n\r\n", &response);
    assert_int_equal(response.status, 400);
    client_response_free(&response);
}

/* The port behind the edge: without the edge's field, once and right, nothing is served. */
static void test_private_port(void **state)
{
    struct {
        const char *secret;
        const char *rest;
    } cases[] = {
        {"x", " id ip host"},
        {"", ""},
        {service.secret, " id ip"},
        {service.secret, " id ip host\r\nX-Atoll-Edge: x id ip host"},
    };
    struct client_response response;
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text),
                       "GET /health HTTP/1.1\r\nHost: a\r\nX-Atoll-Edge: %s%s\r\n\r\n",
                       cases[i].secret, cases[i].rest);
        ask(http_port(service.http), text, &response);
        assert_int_equal(response.status, 403);
        client_response_free(&response);
    }
    ask(http_port(service.http), "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", &response);
    assert_int_equal(response.status, 403);
    client_response_free(&response);
}

/* Of a body with a length, and of one whose end only its bytes tell. */
static void test_body_limit_of_a_handler(void **state)
{
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"POST /echo?max=5 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 200},
        {"POST /echo?max=4 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 413},
        {"POST /echo?max=4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5\r\nhello\r\n0\r\n\r\n",
         413},
    };
    struct client_response response;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask(service.port, cases[i].request, &response);
        assert_int_equal(response.status, cases[i].status);
        client_response_free(&response);
    }
}

/* A second answer would be taken for that of the next request, which may be anybody's. */
static void test_one_answer_a_request(void **state)
{
    int fd = client_connect(http_port(service.http));
    struct client_response response;
    char text[512];

    (void)state;
    (void)snprintf(text, sizeof(text),
                   "GET /twice HTTP/1.1\r\nHost: a\r\nX-Atoll-Edge: %s id ip host\r\n\r\n"
                   "GET /health HTTP/1.1\r\nHost: a\r\nX-Atoll-Edge: %s id ip host\r\n\r\n",
                   service.secret, service.secret);
    client_exchange(fd, text, &response);
    assert_int_equal(response.status, 204);
    client_response_free(&response);
    client_read(fd, false, &response);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "{\"status\":\"healthy\"}");
    client_response_free(&response);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_of_every_answer),
        cmocka_unit_test(test_problem),
        cmocka_unit_test(test_unanswered_request),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_private_port),
        cmocka_unit_test(test_body_limit_of_a_handler),
        cmocka_unit_test(test_one_answer_a_request),
    };

    return cmocka_run_group_tests_name("server/http", tests, setup, teardown);
}
