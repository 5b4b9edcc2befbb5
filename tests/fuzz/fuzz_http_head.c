/* Request and response heads: whatever is accepted must satisfy what the rest relies on. */
#include "server/edge/response.h"
#include "server/edge/target.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static int inside(struct edge_span span, const char *text, size_t size)
{
    return span.data >= text && span.data + span.size <= text + size;
}

static void check_request(const char *text, size_t size)
{
    struct edge_head head;

    if (edge_head_parse(text, size, &head, NULL) < 0)
        return;
    require(inside(head.method, text, size) && inside(head.host, text, size));
    require(head.host.size > 0 && head.host.size <= EDGE_HOST_MAX);
    require(!memchr(head.host.data, ' ', head.host.size));
    require(!(head.chunked && head.has_length));
    require(head.field_count <= EDGE_FIELDS_MAX);
    require(head.target.data[0] == '/' || head.target.data[0] == '*');
    require(!memchr(head.target.data, ' ', head.target.size));
    for (size_t i = 0; i < head.field_count; i++) {
        struct edge_span value = head.fields[i].value;

        require(inside(value, text, size) && edge_span_is_token(head.fields[i].name));
        require(!memchr(value.data, '\r', value.size) && !memchr(value.data, '\0', value.size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct edge_response response;
    size_t scanned = 0;
    size_t head_size = 0;

    if (edge_head_scan(text, size, &scanned, &head_size) != EDGE_SCAN_COMPLETE)
        return 0;
    require(head_size <= size);
    check_request(text, head_size);
    if (edge_response_parse(text, head_size, size % 2 == 0, &response, NULL) == 0)
        require(response.status >= 200 && response.status <= 599);
    return 0;
}
