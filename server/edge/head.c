#include "server/edge/head.h"

#include "lib/base/util.h"
#include "server/edge/target.h"

#include <string.h>

enum { CONNECTION_OPTIONS_MAX = 16 };

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

enum edge_framing edge_head_framing(const struct edge_head *head)
{
    if (head->chunked)
        return EDGE_FRAMING_CHUNKED;
    return head->has_length && head->length > 0 ? EDGE_FRAMING_LENGTH : EDGE_FRAMING_NONE;
}

static int take_connection(struct edge_head *head, struct edge_span value, struct error *err)
{
    struct edge_span option;
    size_t count = 0;

    while ((option = edge_list_next(&value)).size > 0) {
        if (++count > CONNECTION_OPTIONS_MAX || !edge_span_is_token(option))
            return error_set(err, ERR_BAD_REQUEST, "Connection is malformed");
        if (edge_span_equal(option, EDGE_SPAN("close")))
            head->keep_alive = false;
        else if (head->http_1_0 && edge_span_equal(option, EDGE_SPAN("keep-alive")))
            head->keep_alive = true;
        else if (edge_span_equal(option, EDGE_SPAN("upgrade")))
            head->asks_upgrade = true;
    }
    return 0;
}

static int take_content_length(struct edge_head *head, struct edge_span value, struct error *err)
{
    if (head->has_length)
        return error_set(err, ERR_BAD_REQUEST, "Content-Length came twice");
    if (!edge_length_parse(value, &head->length))
        return error_set(err, ERR_BAD_REQUEST, "Content-Length is not a decimal number");
    head->has_length = true;
    return 0;
}

static int take_expect(struct edge_head *head, struct edge_span value, struct error *err)
{
    if (!edge_span_equal(value, EDGE_SPAN("100-continue")))
        return error_set(err, ERR_EXPECTATION_FAILED, "the only expectation is 100-continue");
    /* RFC 9110 section 10.1.1: from HTTP/1.0 it has to be ignored. */
    head->expect_continue = !head->http_1_0;
    return 0;
}

static int take_host(struct edge_head *head, struct edge_span value, struct error *err)
{
    if (head->host.data)
        return error_set(err, ERR_BAD_REQUEST, "Host came twice");
    head->host = value;
    return edge_host_check(value, err);
}

static int take_request_id(struct edge_head *head, struct edge_span value,
                           __attribute__((unused)) struct error *err)
{
    if (value.size == 0 || value.size > EDGE_REQUEST_ID_MAX)
        return 0;
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '.' || c == '_' || c == '-'))
            return 0;
    }
    head->request_id = value;
    return 0;
}

static int take_transfer_encoding(struct edge_head *head, struct edge_span value, struct error *err)
{
    if (head->chunked || head->http_1_0 || !edge_span_equal(value, EDGE_SPAN("chunked")))
        return error_set(err, ERR_BAD_REQUEST, "the only transfer coding is a single `chunked`");
    head->chunked = true;
    return 0;
}

/* RFC 9110 section 7.8: an upgrade may be ignored; clients that offer h2c go on in HTTP/1.1. */
static int take_upgrade(struct edge_head *head, struct edge_span value, struct error *err)
{
    if (edge_span_equal(value, EDGE_SPAN("websocket")) && !head->http_1_0) {
        head->websocket = true;
        return 0;
    }
    if (edge_span_equal(value, EDGE_SPAN("h2c")))
        return 0;
    return error_set(err, ERR_NOT_IMPLEMENTED, "the only upgrade is to a WebSocket");
}

static int drop(__attribute__((unused)) struct edge_head *head,
                __attribute__((unused)) struct edge_span value,
                __attribute__((unused)) struct error *err)
{
    return 0;
}

/* The fields that end at the edge. */
static const struct {
    struct edge_span name;
    int (*take)(struct edge_head *head, struct edge_span value, struct error *err);
} edge_fields[] = {
    {{"host", 4}, take_host},
    {{"connection", 10}, take_connection},
    {{"content-length", 14}, take_content_length},
    {{"transfer-encoding", 17}, take_transfer_encoding},
    {{"expect", 6}, take_expect},
    {{"upgrade", 7}, take_upgrade},
    {{"x-request-id", 12}, take_request_id},
    {{"keep-alive", 10}, drop},
    {{"proxy-connection", 16}, drop},
    {{"proxy-authorization", 19}, drop},
    {{"te", 2}, drop},
    {{"trailer", 7}, drop},
    {{"http2-settings", 14}, drop},
};

static int take_field(struct edge_head *head, struct edge_field *field, struct error *err)
{
    static const struct edge_span own_prefix = {"x-atoll-", 8};

    for (size_t i = 0; i < ARRAY_SIZE(edge_fields); i++) {
        if (!edge_span_equal(field->name, edge_fields[i].name))
            continue;
        field->forward = false;
        return edge_fields[i].take(head, field->value, err);
    }
    if (field->name.size >= own_prefix.size &&
        edge_span_equal((struct edge_span){field->name.data, own_prefix.size}, own_prefix))
        field->forward = false;
    return 0;
}

static int parse_version(struct edge_span version, struct edge_head *head, struct error *err)
{
    bool known_1_1 = version.size == 8 && memcmp(version.data, "HTTP/1.1", 8) == 0;
    bool known_1_0 = version.size == 8 && memcmp(version.data, "HTTP/1.0", 8) == 0;

    if (!known_1_1 && !known_1_0) {
        if (version.size >= 6 && memcmp(version.data, "HTTP/", 5) == 0 && version.data[5] >= '0' &&
            version.data[5] <= '9')
            return error_set(err, ERR_HTTP_VERSION, "only HTTP/1.1 and HTTP/1.0 are spoken here");
        return error_set(err, ERR_BAD_REQUEST, "the request line is malformed");
    }
    head->http_1_0 = known_1_0;
    head->keep_alive = known_1_1;
    return 0;
}

static int check_method(struct edge_span method, struct error *err)
{
    if (!edge_span_is_token(method))
        return error_set(err, ERR_BAD_REQUEST, "the request line is malformed");
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if (method.size == strlen(methods[i]) && memcmp(method.data, methods[i], method.size) == 0)
            return 0;
    return error_set(err, ERR_NOT_IMPLEMENTED, "there is no such method");
}

/* Exactly `method SP target SP version`: one space each, nothing else. */
static int parse_request_line(struct edge_span line, struct edge_head *head, struct error *err)
{
    const char *first = memchr(line.data, ' ', line.size);
    const char *last = memrchr(line.data, ' ', line.size);

    if (!first || first == last)
        return error_set(err, ERR_BAD_REQUEST, "the request line is malformed");
    head->method = (struct edge_span){line.data, (size_t)(first - line.data)};
    head->target = (struct edge_span){first + 1, (size_t)(last - first) - 1};
    if (parse_version((struct edge_span){last + 1, (size_t)(line.data + line.size - last) - 1},
                      head, err) < 0)
        return -1;
    return check_method(head->method, err);
}

static int parse_fields(struct edge_span rest, struct edge_head *head, struct error *err)
{
    while (rest.size > 0) {
        struct edge_span line = edge_line_next(&rest);
        struct edge_field *field = &head->fields[head->field_count];

        if (line.size == 0)
            break;
        if (head->field_count == EDGE_FIELDS_MAX)
            return error_set(err, ERR_HEADERS_TOO_LARGE, "a request has at most %d header fields",
                             EDGE_FIELDS_MAX);
        if (edge_field_parse(line, field, err) < 0 || take_field(head, field, err) < 0)
            return -1;
        head->field_count++;
    }
    return 0;
}

/* RFC 9110 section 7.6.1: fields that Connection names are for this hop only. */
static void drop_nominated(struct edge_head *head, struct edge_span options)
{
    struct edge_span option;

    while ((option = edge_list_next(&options)).size > 0)
        for (size_t i = 0; i < head->field_count; i++)
            if (edge_span_equal(head->fields[i].name, option))
                head->fields[i].forward = false;
}

static int check_target(struct edge_head *head, struct error *err)
{
    if (!head->host.data)
        return error_set(err, ERR_BAD_REQUEST, "Host is missing");
    if (edge_span_equal(head->target, EDGE_SPAN("*"))) {
        if (edge_span_equal(head->method, EDGE_SPAN("OPTIONS")))
            return 0;
        return error_set(err, ERR_BAD_REQUEST, "only OPTIONS may ask for `*`");
    }
    return edge_target_parse(head->target, head->host, &head->target, err);
}

int edge_head_parse(const char *data, size_t size, struct edge_head *ret_head, struct error *err)
{
    struct edge_span rest = {data, size};

    /* The array of fields is written as far as it is used. */
    memset(ret_head, 0, offsetof(struct edge_head, fields));
    if (parse_request_line(edge_line_next(&rest), ret_head, err) < 0 ||
        parse_fields(rest, ret_head, err) < 0 || check_target(ret_head, err) < 0)
        return -1;
    if (ret_head->chunked && ret_head->has_length)
        return error_set(err, ERR_BAD_REQUEST,
                         "Content-Length and Transfer-Encoding exclude each other");
    if (ret_head->websocket && edge_head_framing(ret_head) != EDGE_FRAMING_NONE)
        return error_set(err, ERR_BAD_REQUEST, "a request for a WebSocket has no body");
    ret_head->websocket = ret_head->websocket && ret_head->asks_upgrade &&
                          edge_span_equal(ret_head->method, EDGE_SPAN("GET"));
    for (size_t i = 0; i < ret_head->field_count; i++)
        if (edge_span_equal(ret_head->fields[i].name, EDGE_SPAN("connection")))
            drop_nominated(ret_head, ret_head->fields[i].value);
    return 0;
}
