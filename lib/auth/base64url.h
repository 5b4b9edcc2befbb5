/* Base64url without padding (RFC 7515 section 2, RFC 4648 section 5), strictly. */
#ifndef LIB_AUTH_BASE64URL_H
#define LIB_AUTH_BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

/* Characters that `size` bytes encode to, without a NUL. */
#define BASE64URL_ENCODED_SIZE(size) (((size)*4 + 2) / 3)

/* Writes BASE64URL_ENCODED_SIZE(size) characters and a NUL. */
void base64url_encode(const void *data, size_t size, char *text);

/* Bytes that `size` characters decode to, rounded up. */
#define BASE64URL_DECODED_MAX(size) ((size) / 4 * 3 + 3)

/*
 * Decodes into `buffer` of `capacity` bytes. False for any other character (padding and white
 * space included), an impossible length, spare bits that are not zero, or a lack of room: a value
 * has one encoding only.
 */
bool base64url_decode(const char *text, size_t size, void *buffer, size_t capacity,
                      size_t *ret_size);

#endif
