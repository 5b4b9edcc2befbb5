#include "lib/base/util.h"
#include "server/edge/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool parse(const char *text, bool to_head, struct edge_response *response)
{
    size_t scanned = 0;
    size_t size = 0;
    struct error err = {0};
    bool ok;

    if (edge_head_scan(text, strlen(text), &scanned, &size) != EDGE_SCAN_COMPLETE)
        return false;
    ok = edge_response_parse(text, size, to_head, response, &err) == 0;
    if (!ok)
        assert_int_equal(error_code_status(err.code), 502);
    return ok;
}

static void test_framing(void **state)
{
    static const struct {
        const char *text;
        bool to_head;
        enum edge_framing framing;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, EDGE_FRAMING_LENGTH},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, EDGE_FRAMING_NONE},
        {"HTTP/1.1 200\r\ntransfer-encoding: CHUNKED\r\n\r\n", false, EDGE_FRAMING_CHUNKED},
        {"HTTP/1.1 204 No Content\r\n\r\n", false, EDGE_FRAMING_NONE},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, EDGE_FRAMING_NONE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, EDGE_FRAMING_NONE},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, EDGE_FRAMING_NONE},
    };
    struct edge_response response;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_true(parse(cases[i].text, cases[i].to_head, &response));
        assert_int_equal(response.framing, cases[i].framing);
        assert_true(response.keep_alive);
    }
}

static void test_refused(void **state)
{
    static const char *const cases[] = {
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n X: folded\r\nContent-Length: 0\r\n\r\n",
        "\r\n\r\n",
    };
    struct edge_response response;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (parse(cases[i], false, &response))
            fail_msg("accepted: %s", cases[i]);
}

static void test_close(void **state)
{
    struct edge_response response;

    (void)state;
    assert_true(parse("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                      false, &response));
    assert_false(response.keep_alive);
    assert_int_equal(response.status, 403);
    assert_int_equal(response.reason.size, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_close),
    };

    return cmocka_run_group_tests_name("server/edge/response", tests, NULL, NULL);
}
