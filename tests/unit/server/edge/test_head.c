#include "lib/base/util.h"
#include "server/edge/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Scans and parses; the error's status, or 0. */
static int status_of(const char *text, size_t size, struct edge_head *head)
{
    struct error err = {0};
    size_t scanned = 0;
    size_t head_size = 0;

    switch (edge_head_scan(text, size, &scanned, &head_size)) {
    case EDGE_SCAN_REFUSED:
        return 400;
    case EDGE_SCAN_PARTIAL:
        return -1;
    case EDGE_SCAN_COMPLETE:
        break;
    }
    if (edge_head_parse(text, head_size, head, &err) < 0)
        return error_code_status(err.code);
    return 0;
}

static void assert_span(struct edge_span span, const char *text)
{
    assert_int_equal(span.size, strlen(text));
    assert_memory_equal(span.data, text, span.size);
}

static void test_simple(void **state)
{
    static const char text[] = "GET /a/b?c=d HTTP/1.1\r\nHost: example.org\r\nX-Y:\t z \r\n\r\n";
    struct edge_head head;

    (void)state;
    assert_int_equal(status_of(text, sizeof(text) - 1, &head), 0);
    assert_span(head.method, "GET");
    assert_span(head.target, "/a/b?c=d");
    assert_span(head.host, "example.org");
    assert_int_equal(head.field_count, 2);
    assert_false(head.fields[0].forward);
    assert_true(head.fields[1].forward);
    assert_span(head.fields[1].value, "z");
    assert_true(head.keep_alive);
    assert_int_equal(edge_head_framing(&head), EDGE_FRAMING_NONE);
}

/* Every start of a head is partial, wherever it is cut. */
static void test_every_cut(void **state)
{
    static const char text[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    size_t scanned = 0;
    size_t size = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1 - 3; i++)
        assert_int_equal(edge_head_scan(text, i, &scanned, &size), EDGE_SCAN_PARTIAL);
    assert_int_equal(edge_head_scan(text, sizeof(text) - 1, &scanned, &size), EDGE_SCAN_COMPLETE);
    assert_int_equal(size, sizeof(text) - 1 - 3);
}

#define H "Host: a\r\n"

static void test_accepted(void **state)
{
    static const char *const cases[] = {
        "GET / HTTP/1.0\r\n" H "\r\n",
        "GET / HTTP/1.1\r\nhOsT:a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: example.org:8070\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [fe80::1]:8070\r\n\r\n",
        "GET http://a/x HTTP/1.1\r\n" H "\r\n",
        "GET HTTP://A/x HTTP/1.1\r\n" H "\r\n",
        "GET http://a HTTP/1.1\r\n" H "\r\n",
        "OPTIONS * HTTP/1.1\r\n" H "\r\n",
        "GET /%20%C3%A9 HTTP/1.1\r\n" H "\r\n",
        "GET /...//.a/a./..b HTTP/1.1\r\n" H "\r\n",
        "GET /?a=%2e%2e%2f/../ HTTP/1.1\r\n" H "\r\n",
        "GET / HTTP/1.1\r\n" H "X: \xc3\xa9\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "X:\r\n\r\n",
        "GET / HTTP/1.1\r\n" H "Upgrade: h2c\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Content-Length: 999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n",
        "POST / HTTP/1.1\r\n" H "Expect: 100-CONTINUE\r\n\r\n",
    };
    struct edge_head head;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (status_of(cases[i], strlen(cases[i]), &head) != 0)
            fail_msg("refused: %s", cases[i]);
}

static void test_websockets(void **state)
{
    static const struct {
        bool wanted;
        const char *text;
    } cases[] = {
        {true, "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
        {true,
         "GET / HTTP/1.1\r\n" H "Connection: keep-alive, UPGRADE\r\nUpgrade: WebSocket\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\n\r\n"},
        {false, "GET / HTTP/1.1\r\n" H "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n"},
        {false, "HEAD / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
        {false, "POST / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    };
    struct edge_head head;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (status_of(cases[i].text, strlen(cases[i].text), &head) != 0 ||
            head.websocket != cases[i].wanted)
            fail_msg("taken wrong: %s", cases[i].text);
}

static void test_refused(void **state)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        /* framing */
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 5abc\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"},
        {400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
              "Transfer-Encoding: chunked\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"},
        {417, "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n"},
        /* Host */
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.0\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H H "\r\n"},
        {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a:+1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"},
        {400, "GET http://b/ HTTP/1.1\r\n" H "\r\n"},
        {400, "GET http://a:80/ HTTP/1.1\r\n" H "\r\n"},
        {400, "GET http://u@a/ HTTP/1.1\r\n" H "\r\n"},
        {400, "GET https://a/ HTTP/1.1\r\n" H "\r\n"},
        {400, "GET http:///x HTTP/1.1\r\n" H "\r\n"},
        {400, "GET http://a?x HTTP/1.1\r\n" H "\r\n"},
        /* lines */
        {400, "GET / HTTP/1.1\nHost: a\n\n"},
        {400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X Y: a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H ": a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\x01z\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "X: a\x7fz\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "\xc3\xa9: a\r\n\r\n"},
        {400, "\r\nGET / HTTP/1.1\r\n" H "\r\n"},
        {400, "\r\n\r\n"},
        {400, " GET / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET  / HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /  HTTP/1.1\r\n" H "\r\n"},
        {400, "GET / HTTP/1.1 \r\n" H "\r\n"},
        {400, "GET\t/ HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\r\n" H "\r\n"},
        {400, "GET\r\n" H "\r\n"},
        {400, "GET / http/1.1\r\n" H "\r\n"},
        {400, "GET / HTTP/x\r\n" H "\r\n"},
        {505, "GET / HTTP/1.2\r\n" H "\r\n"},
        {505, "GET / HTTP/1.10\r\n" H "\r\n"},
        {505, "GET / HTTP/0.9\r\n" H "\r\n"},
        {505, "PRI * HTTP/2.0\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Connection: a b\r\n\r\n"},
        /* methods */
        {501, "CONNECT a:1 HTTP/1.1\r\n" H "\r\n"},
        {501, "TRACE / HTTP/1.1\r\n" H "\r\n"},
        {501, "get / HTTP/1.1\r\n" H "\r\n"},
        {501, "BREW / HTTP/1.1\r\n" H "\r\n"},
        {400, "G@T / HTTP/1.1\r\n" H "\r\n"},
        {501, "GET / HTTP/1.1\r\n" H "Upgrade: tls/1.0\r\nConnection: Upgrade\r\n\r\n"},
        {501, "GET / HTTP/1.0\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: Upgrade\r\n"
              "Content-Length: 1\r\n\r\n"},
        /* targets */
        {400, "GET * HTTP/1.1\r\n" H "\r\n"},
        {400, "OPTIONS *x HTTP/1.1\r\n" H "\r\n"},
        {400, "GET a HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a#b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /\x7f HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /%00 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a%0d%0aX HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /%7f HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /% HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /%2 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /%2g HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a%2fb HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a%2Fb HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a%5cb HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a\\b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /.. HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /../a HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a/../b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /a/..?q HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /%2e%2e/b HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /.%2E HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /%2e HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /./a HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /?a=%00 HTTP/1.1\r\n" H "\r\n"},
        {400, "GET /?a=%zz HTTP/1.1\r\n" H "\r\n"},
        {400, "GET http://a/../x HTTP/1.1\r\n" H "\r\n"},
    };
    struct edge_head head;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int status = status_of(cases[i].text, strlen(cases[i].text), &head);

        if (status != cases[i].status)
            fail_msg("%d instead of %d: %s", status, cases[i].status, cases[i].text);
    }
}

static void test_nul_bytes(void **state)
{
    static const char in_value[] = "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n";
    static const char in_name[] = "GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n";
    static const char in_target[] = "GET /\0 HTTP/1.1\r\n" H "\r\n";
    struct edge_head head;

    (void)state;
    assert_int_equal(status_of(in_value, sizeof(in_value) - 1, &head), 400);
    assert_int_equal(status_of(in_name, sizeof(in_name) - 1, &head), 400);
    assert_int_equal(status_of(in_target, sizeof(in_target) - 1, &head), 400);
}

static void test_field_count(void **state)
{
    char text[2048] = "GET / HTTP/1.1\r\n" H;
    struct edge_head head;

    (void)state;
    for (int i = 1; i < EDGE_FIELDS_MAX; i++)
        strcat(text, "X: 1\r\n");
    strcat(text, "\r\n");
    assert_int_equal(status_of(text, strlen(text), &head), 0);
    assert_int_equal(head.field_count, EDGE_FIELDS_MAX);
    text[strlen(text) - 2] = '\0';
    strcat(text, "X: 1\r\n\r\n");
    assert_int_equal(status_of(text, strlen(text), &head), 431);
}

static void test_target_length(void **state)
{
    char text[10000];
    struct edge_head head;

    (void)state;
    (void)snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" H "\r\n", 8191, 0);
    assert_int_equal(status_of(text, strlen(text), &head), 0);
    (void)snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" H "\r\n", 8192, 0);
    assert_int_equal(status_of(text, strlen(text), &head), 400);
}

static void test_what_is_forwarded(void **state)
{
    static const char text[] = "GET http://a:80/p HTTP/1.1\r\nHost: a:80\r\nAuthorization: b\r\n"
                               "Connection: close, X-Mine\r\nX-mine: 1\r\nX-Yours: 1\r\nTE: x\r\n"
                               "X-Atoll-Anything: 1\r\nX-Request-Id: abc\r\n\r\n";
    static const bool forward[] = {false, true, false, false, true, false, false, false};
    struct edge_head head;

    (void)state;
    assert_int_equal(status_of(text, sizeof(text) - 1, &head), 0);
    assert_span(head.target, "/p");
    assert_span(head.request_id, "abc");
    assert_false(head.keep_alive);
    assert_int_equal(head.field_count, ARRAY_SIZE(forward));
    for (size_t i = 0; i < ARRAY_SIZE(forward); i++)
        assert_int_equal(head.fields[i].forward, forward[i]);
}

static void test_request_id_form(void **state)
{
    static const char *const bad[] = {"", "a b", "a/b", "\xc3\xa9", "<x>"};
    struct edge_head head;
    char text[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H "X-Request-Id: %s\r\n\r\n",
                       bad[i]);
        assert_int_equal(status_of(text, strlen(text), &head), 0);
        assert_int_equal(head.request_id.size, 0);
    }
    for (size_t size = 64; size <= 65; size++) {
        (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H "X-Request-Id: %0*d\r\n\r\n",
                       (int)size, 0);
        assert_int_equal(status_of(text, strlen(text), &head), 0);
        assert_int_equal(head.request_id.size, size == 64 ? 64 : 0);
    }
}

static void test_keep_alive(void **state)
{
    static const struct {
        const char *text;
        bool keep_alive;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\n\r\n", true},
        {"GET / HTTP/1.1\r\n" H "Connection: , x ,CLOSE\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n" H "\r\n", false},
        {"GET / HTTP/1.0\r\n" H "Connection: Keep-Alive\r\n\r\n", true},
    };
    struct edge_head head;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(status_of(cases[i].text, strlen(cases[i].text), &head), 0);
        assert_int_equal(head.keep_alive, cases[i].keep_alive);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simple),
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_websockets),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_field_count),
        cmocka_unit_test(test_target_length),
        cmocka_unit_test(test_what_is_forwarded),
        cmocka_unit_test(test_request_id_form),
        cmocka_unit_test(test_keep_alive),
    };

    return cmocka_run_group_tests_name("server/edge/head", tests, NULL, NULL);
}
