#include "server/http/cors.h"

#include <string.h>

static const char separators[] = " ,";

/* Takes the next word of the list; false at its end. */
static bool next_word(const char **inout_list, const char **ret_word, size_t *ret_length)
{
    const char *word = *inout_list + strspn(*inout_list, separators);

    *ret_word = word;
    *ret_length = strcspn(word, separators);
    *inout_list = word + *ret_length;
    return *ret_length > 0;
}

/* As browsers send it (RFC 6454, section 6.2): lower case, no path, not even a slash. */
static bool is_origin(const char *word, size_t length)
{
    static const char host[] = "abcdefghijklmnopqrstuvwxyz0123456789.-:[]";
    size_t scheme = strncmp(word, "https://", 8) == 0  ? 8
                    : strncmp(word, "http://", 7) == 0 ? 7
                                                       : 0;

    return scheme > 0 && length > scheme && strspn(word + scheme, host) >= length - scheme;
}

int cors_check_origins(const char *origins, struct error *err)
{
    const char *word;
    size_t length;

    while (next_word(&origins, &word, &length))
        if (!is_origin(word, length))
            return error_set(err, ERR_INVALID_FIELD,
                             "server.cors_origins: '%.*s' is not an origin like "
                             "https://app.example.com",
                             (int)(length < 128 ? length : 128), word);
    return 0;
}

bool cors_has_origin(const char *origins, const char *origin)
{
    size_t wanted = strlen(origin);
    const char *word;
    size_t length;

    while (next_word(&origins, &word, &length))
        if (length == wanted && memcmp(word, origin, length) == 0)
            return true;
    return false;
}

/* The same for every path: without a token nobody learns which there are. */
static void answer_preflight(struct http_request *request)
{
    http_response_header(request, "Access-Control-Allow-Methods",
                         "GET, HEAD, POST, PUT, PATCH, DELETE");
    http_response_header(request, "Access-Control-Allow-Headers",
                         "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-Match, "
                         "If-None-Match, If-Range, Range, X-Request-Id, X-Routing-Key, "
                         "Last-Event-ID");
    http_response_header(request, "Access-Control-Max-Age", "600");
    http_respond_empty(request, 204);
}

bool cors_handle(struct http_request *request, const char *origins)
{
    const char *origin = http_request_header(request, "Origin");

    if (origins[0] == '\0')
        return false;
    http_response_header(request, "Vary", "Origin");
    if (!origin || !cors_has_origin(origins, origin))
        return false;
    http_response_header(request, "Access-Control-Allow-Origin", origin);
    http_response_header(request, "Access-Control-Expose-Headers",
                         "X-Request-Id, ETag, Retry-After, Allow, Content-Range, "
                         "Content-Disposition, Idempotency-Replayed, X-Command-Policy");
    if (http_request_method(request) != HTTP_OPTIONS ||
        !http_request_header(request, "Access-Control-Request-Method"))
        return false;
    answer_preflight(request);
    return true;
}
