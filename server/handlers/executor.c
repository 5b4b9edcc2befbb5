#include "server/handlers/executor.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MEDIA "text/plain; charset=utf-8"
#define JSON_MEDIA "application/json"

/* Clients know these by heart; for the rest the message says it. */
static const char *known_text(enum error_code code)
{
    switch (code) {
    case ERR_UNAUTHENTICATED:
        return "Unauthorized";
    case ERR_METHOD_NOT_ALLOWED:
        return "Method not allowed";
    case ERR_BAD_REQUEST:
        return "Invalid request";
    default:
        return NULL;
    }
}

void executor_respond_error(struct http_request *request, const struct error *error)
{
    const char *known = known_text(error->code);
    char text[ERROR_MESSAGE_MAX + 2];

    (void)snprintf(text, sizeof(text), "%s\n", known ? known : error->message);
    http_respond_bytes(request, error_code_status(error->code), TEXT_MEDIA, text, strlen(text));
}

int handle_executor_health(struct call *call, struct error *err)
{
    static const char body[] = "{\"status\":\"ok\"}";

    (void)err;
    http_respond_bytes(call->request, 200, JSON_MEDIA, body, sizeof(body) - 1);
    return 0;
}

int handle_executor_port(struct call *call, struct error *err)
{
    static const char body[] =
        "{\"success\":false,\"error\":\"Port binding is not supported by this service\"}";

    (void)err;
    http_respond_bytes(call->request, 501, JSON_MEDIA, body, sizeof(body) - 1);
    return 0;
}
