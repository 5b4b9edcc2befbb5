#include "cli/query.h"

#include <atoll/cleanup.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

DEFINE_CLEANUP(char *, curl_text, curl_free)

static bool put(FILE *out, char separator, const struct parameter *parameter)
{
    _cleanup_(cleanup_curl_text) char *escaped = curl_easy_escape(NULL, parameter->value, 0);

    return escaped && fprintf(out, "%c%s=%s", separator, parameter->name, escaped) > 0;
}

int query_make(const char *path, const struct parameter *parameters, size_t count, char **ret_path,
               struct error *err)
{
    _cleanup_free_ char *text = NULL;
    char separator = strchr(path, '?') ? '&' : '?';
    bool whole;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return error_set_errno(err, errno, "cannot ask for it");
    whole = fputs(path, out) >= 0;
    for (size_t i = 0; i < count && whole; i++) {
        if (!parameters[i].value)
            continue;
        whole = put(out, separator, &parameters[i]);
        separator = '&';
    }
    if (fclose(out) != 0 || !whole)
        return error_set_errno(err, ENOMEM, "cannot ask for it");
    *ret_path = TAKE_PTR(text);
    return 0;
}
