/*
 * Output of a program as JSON text: bytes that are not UTF-8 become U+FFFD, one for each bad byte.
 */
#ifndef SERVER_SERVICES_TEXT_H
#define SERVER_SERVICES_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The bytes as a JSON-safe C string, allocated; NULL when memory is short. `*ret_exact` is false
 * when it differs from the bytes (a replacement, or a NUL inside): the caller then sends the exact
 * bytes beside it.
 */
char *text_from_bytes(const char *data, size_t size, bool *ret_exact);

#endif
