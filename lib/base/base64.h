/*
 * Base64 of RFC 4648 section 4 with padding: how JSON carries bytes that are not UTF-8.
 */
#ifndef LIB_BASE_BASE64_H
#define LIB_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Decodes strictly: the standard alphabet, padding required, no white space, no spare bits. The
 * result is allocated, NUL-terminated beyond its size, and the caller's. False when `text` is not
 * base64 or memory is short.
 */
bool base64_decode(const char *text, size_t size, char **ret_data, size_t *ret_size);

/* The encoded text, allocated and NUL-terminated; NULL when memory is short. */
char *base64_encode(const void *data, size_t size);

#endif
