/* The head of an answer, as text. */
#ifndef SERVER_HTTP_ANSWER_H
#define SERVER_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_ANSWER_FIELDS_MAX = 2048, /* bytes of added fields */
    HTTP_ANSWER_HEAD_MAX = HTTP_ANSWER_FIELDS_MAX + 512,
};

/* Zeroed: no fields were added. */
struct http_answer {
    bool broken; /* a field could not be added: the answer must not be sent as it was meant */
    size_t size;
    char fields[HTTP_ANSWER_FIELDS_MAX]; /* lines with their CRLF */
};

/* Adds a field, or marks the answer broken: for a control character in it, or a lack of room. */
void http_answer_add(struct http_answer *answer, const char *name, const char *value);

/* The size of a body that comes in chunks, since it is not known. */
#define HTTP_ANSWER_CHUNKED SIZE_MAX

/* The first added field with the name: its value, which ends at `*ret_size`. NULL: none. */
const char *http_answer_find(const struct http_answer *answer, const char *name, size_t *ret_size);

/*
 * Writes status line, the fields that every answer has, the added ones and the framing. A NULL
 * `media_type` is an answer without body. `body_size` is the body's, also when it is not sent
 * (HEAD). Returns the head's size.
 */
size_t http_answer_format(const struct http_answer *answer, int status, const char *media_type,
                          size_t body_size, char head[static HTTP_ANSWER_HEAD_MAX]);

#endif
