#include "server/http/answer.h"

#include "server/http/problem.h"

#include <stdio.h>
#include <string.h>

void http_answer_add(struct http_answer *answer, const char *name, const char *value)
{
    size_t room = sizeof(answer->fields) - answer->size;
    int size;

    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            answer->broken = true;
    size = snprintf(answer->fields + answer->size, room, "%s: %s\r\n", name, value);
    if (size < 0 || (size_t)size >= room)
        answer->broken = true;
    else
        answer->size += (size_t)size;
}

const char *http_answer_find(const struct http_answer *answer, const char *name, size_t *ret_size)
{
    size_t length = strlen(name);

    for (const char *line = answer->fields; line < answer->fields + answer->size;
         line = strchr(line, '\n') + 1) {
        if (strncmp(line, name, length) != 0 || strncmp(line + length, ": ", 2) != 0)
            continue;
        *ret_size = strcspn(line + length + 2, "\r");
        return line + length + 2;
    }
    return NULL;
}

size_t http_answer_format(const struct http_answer *answer, int status, const char *media_type,
                          size_t body_size, char head[static HTTP_ANSWER_HEAD_MAX])
{
    int used = snprintf(head, HTTP_ANSWER_HEAD_MAX,
                        "HTTP/1.1 %d %s\r\n"
                        "X-Content-Type-Options: nosniff\r\n"
                        "Cache-Control: no-store\r\n"
                        "%.*s",
                        status, problem_status_text(status), (int)answer->size, answer->fields);
    size_t room = HTTP_ANSWER_HEAD_MAX - (size_t)used;

    /* RFC 9110 section 8.6: 204 has no Content-Length. */
    if (media_type && body_size == HTTP_ANSWER_CHUNKED)
        used += snprintf(head + used, room,
                         "Content-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", media_type);
    else if (media_type)
        used += snprintf(head + used, room, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                         media_type, body_size);
    else
        used += snprintf(head + used, room, "%s\r\n", status == 204 ? "" : "Content-Length: 0\r\n");
    return (size_t)used;
}
