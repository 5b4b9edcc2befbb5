#include "server/handlers/etag.h"

#include "lib/base/util.h"

#include <string.h>

enum { TAG_SIZE = 24 };

/* The version of a strong tag `"<digits>"`; false for any other. */
static bool parse_tag(const char *tag, size_t size, int64_t *ret_version)
{
    char digits[TAG_SIZE];
    uint64_t version;

    if (size < 3 || size - 2 >= sizeof(digits) || tag[0] != '"' || tag[size - 1] != '"')
        return false;
    memcpy(digits, tag + 1, size - 2);
    digits[size - 2] = '\0';
    if (!parse_u64(digits, INT64_MAX, &version))
        return false;
    *ret_version = (int64_t)version;
    return true;
}

int etag_expected(struct call *call, int64_t *ret_version, struct error *err)
{
    const char *tag = http_request_header(call->request, "If-Match");

    if (!tag || strcmp(tag, "*") == 0) {
        *ret_version = ETAG_ANY;
        return 0;
    }
    if (http_request_header_count(call->request, "If-Match") > 1 ||
        !parse_tag(tag, strlen(tag), ret_version))
        return error_set(err, ERR_PRECONDITION, "If-Match names another version of it");
    return 0;
}

bool etag_list_has(const char *list, const char *tag, bool weak)
{
    size_t size = strlen(tag);

    while (*list != '\0') {
        size_t length;

        list += strspn(list, " \t,");
        if (weak && strncmp(list, "W/", 2) == 0)
            list += 2;
        length = strcspn(list, " \t,");
        if ((length == 1 && *list == '*') || (length == size && memcmp(list, tag, size) == 0))
            return true;
        list += length;
    }
    return false;
}

static void format_tag(int64_t version, char tag[static TAG_SIZE])
{
    (void)snprintf(tag, TAG_SIZE, "\"%lld\"", (long long)version);
}

void etag_add(struct call *call, int64_t version)
{
    char tag[TAG_SIZE];

    format_tag(version, tag);
    http_response_header(call->request, "ETag", tag);
}

int etag_respond(struct call *call, int status, int64_t version, cJSON *body, struct error *err)
{
    const char *known = http_request_header(call->request, "If-None-Match");
    enum http_method method = http_request_method(call->request);
    char tag[TAG_SIZE];

    if (!body)
        return error_no_memory(err);
    format_tag(version, tag);
    http_response_header(call->request, "ETag", tag);
    if (known && (method == HTTP_GET || method == HTTP_HEAD) && etag_list_has(known, tag, true)) {
        cJSON_Delete(body);
        http_respond_empty(call->request, 304);
        return 0;
    }
    return call_respond_json(call, status, body, err);
}
