#include "server/edge/response.h"

#include "lib/base/util.h"

#include <string.h>

static int refuse(struct error *err)
{
    return error_set(err, ERR_BAD_GATEWAY, "the service's answer is malformed");
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int parse_status_line(struct edge_span line, struct edge_response *response,
                             struct error *err)
{
    static const char version[] = "HTTP/1.1 ";
    const size_t prefix = sizeof(version) - 1;
    const char *digits = line.data + prefix;

    if (line.size < prefix + 3 || memcmp(line.data, version, prefix) != 0 || !is_digit(digits[0]) ||
        !is_digit(digits[1]) || !is_digit(digits[2]))
        return refuse(err);
    if (line.size > prefix + 3 && digits[3] != ' ')
        return refuse(err);
    response->status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    if (response->status < 200 || response->status > 599)
        return refuse(err);
    if (line.size > prefix + 4)
        response->reason = (struct edge_span){digits + 4, line.size - prefix - 4};
    return 0;
}

static int take_field(struct edge_response *response, struct edge_field *field, struct error *err)
{
    static const struct edge_span dropped[] = {
        {"keep-alive", 10}, {"x-request-id", 12}, {"date", 4}, {"upgrade", 7}, {"trailer", 7},
    };

    if (edge_span_equal(field->name, EDGE_SPAN("content-length"))) {
        field->forward = false;
        if (response->has_length || !edge_length_parse(field->value, &response->length))
            return refuse(err);
        response->has_length = true;
    } else if (edge_span_equal(field->name, EDGE_SPAN("transfer-encoding"))) {
        field->forward = false;
        if (response->framing == EDGE_FRAMING_CHUNKED ||
            !edge_span_equal(field->value, EDGE_SPAN("chunked")))
            return refuse(err);
        response->framing = EDGE_FRAMING_CHUNKED;
    } else if (edge_span_equal(field->name, EDGE_SPAN("connection"))) {
        field->forward = false;
        response->keep_alive = edge_span_equal(field->value, EDGE_SPAN("keep-alive"));
    }
    if (edge_span_equal(field->name, EDGE_SPAN("x-atoll-stream")))
        response->stream = field->value;
    if (field->name.size > 8 &&
        edge_span_equal((struct edge_span){field->name.data, 8}, EDGE_SPAN("x-atoll-")))
        field->forward = false; /* between the HTTP layer and the edge */
    for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
        if (edge_span_equal(field->name, dropped[i]))
            field->forward = false;
    return 0;
}

/* RFC 9112 section 6.3, without its last resort of reading until the connection ends. */
static int settle_framing(struct edge_response *response, bool to_head, struct error *err)
{
    bool bodiless = to_head || response->status == 204 || response->status == 304;

    if (response->framing == EDGE_FRAMING_CHUNKED && response->has_length)
        return refuse(err);
    if (bodiless) {
        response->framing = EDGE_FRAMING_NONE;
        return 0;
    }
    if (response->framing == EDGE_FRAMING_CHUNKED)
        return 0;
    if (!response->has_length)
        return refuse(err);
    response->framing = response->length > 0 ? EDGE_FRAMING_LENGTH : EDGE_FRAMING_NONE;
    return 0;
}

int edge_response_parse(const char *data, size_t size, bool to_head,
                        struct edge_response *ret_response, struct error *err)
{
    struct edge_span rest = {data, size};

    memset(ret_response, 0, offsetof(struct edge_response, fields));
    ret_response->keep_alive = true;
    if (parse_status_line(edge_line_next(&rest), ret_response, err) < 0)
        return -1;
    while (rest.size > 0) {
        struct edge_span line = edge_line_next(&rest);
        struct edge_field *field = &ret_response->fields[ret_response->field_count];

        if (line.size == 0)
            break;
        if (ret_response->field_count == EDGE_FIELDS_MAX || edge_field_parse(line, field, NULL) < 0)
            return refuse(err);
        if (take_field(ret_response, field, err) < 0)
            return -1;
        ret_response->field_count++;
    }
    return settle_framing(ret_response, to_head, err);
}
