#include "server/handlers/precondition.h"

#include "lib/base/util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TAG_SIZE = 32 };

static void format_tag(int64_t version, char tag[static TAG_SIZE])
{
    (void)snprintf(tag, TAG_SIZE, "\"%" PRId64 "\"", version);
}

void precondition_etag(struct call *call, int64_t version)
{
    char tag[TAG_SIZE];

    format_tag(version, tag);
    http_response_header(call->request, "ETag", tag);
}

int precondition_if_match(struct call *call, int64_t *ret_version, struct error *err)
{
    const char *text = http_request_header(call->request, "If-Match");
    size_t length = text ? strlen(text) : 0;
    char digits[TAG_SIZE] = "";
    uint64_t version;

    if (!text || strcmp(text, "*") == 0) {
        *ret_version = PRECONDITION_NONE;
        return 0;
    }
    if (length > 2 && length < TAG_SIZE && text[0] == '"' && text[length - 1] == '"')
        memcpy(digits, text + 1, length - 2);
    if (!parse_u64(digits, INT32_MAX, &version))
        return error_set(err, ERR_PRECONDITION, "If-Match must be one ETag of this resource, or *");
    *ret_version = (int64_t)version;
    return 0;
}

/* Weak comparison: a tag of the list, with or without W/. */
bool precondition_unmodified(struct call *call, int64_t version)
{
    const char *text = http_request_header(call->request, "If-None-Match");
    char tag[TAG_SIZE];

    if (!text)
        return false;
    format_tag(version, tag);
    return strcmp(text, "*") == 0 || strstr(text, tag);
}
