/*
 * Paths and queries, percent-decoded (RFC 3986). The edge refused malformed ones before; the
 * checks here do not depend on it.
 */
#ifndef SERVER_HTTP_PATH_H
#define SERVER_HTTP_PATH_H

#include <atoll/error.h>
#include <stddef.h>

enum { HTTP_SEGMENTS_MAX = 64 };

/*
 * Splits an encoded path into decoded segments. `storage` has room for strlen(raw) + 1 bytes and
 * `segments`, HTTP_SEGMENTS_MAX pointers into it, lives no longer. Fails with ERR_BAD_REQUEST for
 * malformed encoding, encoded slashes, NUL and control characters, bytes that are not UTF-8; with
 * ERR_NOT_FOUND for more segments than any route has.
 */
int http_path_split(const char *raw, char *storage, char *segments[static HTTP_SEGMENTS_MAX],
                    size_t *ret_count, struct error *err);

/*
 * Decodes the value of a query parameter ('+' is a space) into `buffer`. Returns 1, or 0 when the
 * query does not have it. Fails with ERR_INVALID_FIELD when it came twice, is not well-formed or
 * its encoded form has `size` bytes or more.
 */
int http_query_value(const char *query, const char *name, char *buffer, size_t size,
                     struct error *err);

#endif
