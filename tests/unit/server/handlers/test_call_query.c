/* Parameters of queries, as they come over HTTP. */
#include "lib/base/util.h"
#include "server/handlers/call.h"
#include "server/http/link.h"
#include "tests/unit/server/edge/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct query {
    const char *text;
    int64_t whole;
    bool flag;
    struct id id;
    int64_t at_usec;
    const char *word;
};

static const struct json_field fields[] = {
    {.name = "text",
     .type = JSON_TYPE_STRING,
     .min = 1,
     .max = 255,
     .offset = offsetof(struct query, text)},
    {.name = "whole",
     .type = JSON_TYPE_INTEGER,
     .min = -5,
     .max = 200,
     .offset = offsetof(struct query, whole)},
    {.name = "flag", .type = JSON_TYPE_BOOL, .offset = offsetof(struct query, flag)},
    {.name = "id", .type = JSON_TYPE_ID, .offset = offsetof(struct query, id)},
    {.name = "at", .type = JSON_TYPE_TIME, .offset = offsetof(struct query, at_usec)},
    {.name = "word",
     .type = JSON_TYPE_STRING,
     .choices = "red|green",
     .offset = offsetof(struct query, word)},
};
static const struct json_table table = JSON_TABLE("Query", fields);

static char secret[EDGE_SECRET_SIZE];
static struct http *http;

/* Answers what was decoded, or the problem. */
static void handle(struct http_request *request, void *user)
{
    struct query query = {.text = "-", .word = "-"};
    struct call call = {.request = request};
    struct call_query_storage storage;
    struct error err = {0};
    char id[ID_TEXT_SIZE];
    char body[1024];

    (void)user;
    if (call_query(&call, &table, &storage, &query, &err) < 0) {
        http_respond_problem(request, &err);
        return;
    }
    id_format(&query.id, id);
    (void)snprintf(body, sizeof(body), "%s %lld %d %.4s %lld %s", query.text,
                   (long long)query.whole, query.flag, id, (long long)query.at_usec, query.word);
    http_respond_bytes(request, 200, "text/plain", body, strlen(body));
}

static int setup(void **state)
{
    const struct http_options options = {
        .threads = 1,
        .request_timeout_ms = 5000,
        .edge_secret = secret,
        .handler = handle,
    };

    (void)state;
    return edge_secret_new(secret, NULL) < 0 ? -1 : http_start(&options, &http, NULL);
}

static int teardown(void **state)
{
    (void)state;
    http_stop(http);
    return 0;
}

static void ask(const char *query, struct client_response *response)
{
    int fd = client_connect(http_port(http));
    char text[8192];

    (void)snprintf(text, sizeof(text),
                   "GET /x?%s HTTP/1.1\r\nHost: a\r\nX-Atoll-Edge: %s id 127.0.0.1 a\r\n\r\n",
                   query, secret);
    client_send_text(fd, text);
    client_read(fd, false, response);
    close(fd);
}

static void test_parameters_fill_the_struct(void **state)
{
    static const struct {
        const char *query;
        const char *body;
    } cases[] = {
        {"", "- 0 0 0000 0 -"},
        {"&&", "- 0 0 0000 0 -"},
        {"text=a+b%26c", "a b&c 0 0 0000 0 -"},
        {"whole=-5&flag=true", "- -5 1 0000 0 -"},
        {"whole=200&flag=false", "- 200 0 0000 0 -"},
        {"id=abcd0000-0000-0000-0000-000000000000&word=green", "- 0 0 abcd 0 green"},
        {"at=1970-01-01T00:00:01Z", "- 0 0 0000 1000000 -"},
    };
    struct client_response response;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ask(cases[i].query, &response);
        assert_int_equal(response.status, 200);
        assert_int_equal(response.body_size, strlen(cases[i].body));
        assert_memory_equal(response.body, cases[i].body, response.body_size);
        client_response_free(&response);
    }
}

static void test_refusals_name_the_parameter(void **state)
{
    static const struct {
        const char *query;
        const char *code;
        const char *field;
    } cases[] = {
        {"other=1", "unknown_field", "query"},
        {"Text=a", "unknown_field", "query"},
        {"text", "invalid_field", "text"},
        {"text=", "invalid_field", "text"},
        {"text=a&text=b", "invalid_field", "text"},
        {"whole=", "invalid_field", "whole"},
        {"whole=1.5", "invalid_field", "whole"},
        {"whole=201", "invalid_field", "whole"},
        {"whole=-6", "invalid_field", "whole"},
        {"whole=99999999999999999999", "invalid_field", "whole"},
        {"flag=1", "invalid_field", "flag"},
        {"flag=True", "invalid_field", "flag"},
        {"id=abcd", "invalid_field", "id"},
        {"at=now", "invalid_field", "at"},
        {"word=blue", "invalid_field", "word"},
    };
    struct client_response response;
    char wanted[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ask(cases[i].query, &response);
        if (response.status != 400)
            fail_msg("%s: %d", cases[i].query, response.status);
        (void)snprintf(wanted, sizeof(wanted), "\"code\":\"%s\"", cases[i].code);
        if (!strstr(response.body, wanted))
            fail_msg("%s: %s", cases[i].query, response.body);
        (void)snprintf(wanted, sizeof(wanted), "\"field\":\"%s\"", cases[i].field);
        if (!strstr(response.body, wanted))
            fail_msg("%s: %s", cases[i].query, response.body);
        client_response_free(&response);
    }
}

static void test_an_unknown_parameter_is_told_the_known_ones(void **state)
{
    struct client_response response;

    (void)state;
    ask("wrong=1", &response);
    if (!strstr(response.body,
                "there is no parameter 'wrong', only text, whole, flag, id, at, word\""))
        fail_msg("%s", response.body);
    client_response_free(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters_fill_the_struct),
        cmocka_unit_test(test_refusals_name_the_parameter),
        cmocka_unit_test(test_an_unknown_parameter_is_told_the_known_ones),
    };

    return cmocka_run_group_tests_name("server/handlers/call_query", tests, setup, teardown);
}
