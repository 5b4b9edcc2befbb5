#include "server/handlers/call.h"

#include "lib/json/json.h"

#include <string.h>
#include <strings.h>

/* True for "application/json", with or without parameters such as a charset. */
static bool is_json(const char *content_type)
{
    static const char json[] = "application/json";
    size_t length = sizeof(json) - 1;

    return content_type && strncasecmp(content_type, json, length) == 0 &&
           strchr("; \t", content_type[length]);
}

int call_json_body(struct call *call, bool optional, cJSON **ret_body, struct error *err)
{
    size_t max = (size_t)call->services->config->server_max_body_bytes;
    const char *data;
    size_t size;

    if (http_request_body(call->request, max, &data, &size, err) < 0)
        return -1;
    if (size == 0 && optional) {
        *ret_body = NULL;
        return 0;
    }
    if (!is_json(http_request_header(call->request, "Content-Type")))
        return error_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                         "the body must come as Content-Type: application/json");
    return json_parse(data, size, ret_body, err);
}

int call_respond_json(struct call *call, int status, cJSON *body, struct error *err)
{
    if (!body)
        return error_set(err, ERR_INTERNAL, "out of memory");
    http_respond_json(call->request, status, body);
    cJSON_Delete(body);
    return 0;
}
