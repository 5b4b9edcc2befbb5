/*
 * Incremental decoder of the chunked transfer coding (RFC 9112 section 7.1), strict: a chunk size
 * is 1 to 8 hex digits, every line ends in CRLF, chunk extensions and trailer fields are refused.
 * (No client of this service needs them, and parsers disagree about them.)
 */
#ifndef SERVER_EDGE_CHUNKED_H
#define SERVER_EDGE_CHUNKED_H

#include "server/edge/field.h"

#include <stdint.h>
#include <sys/types.h>

enum edge_chunked_state {
    EDGE_CHUNKED_SIZE,
    EDGE_CHUNKED_SIZE_LF,
    EDGE_CHUNKED_DATA,
    EDGE_CHUNKED_DATA_CR,
    EDGE_CHUNKED_DATA_LF,
    EDGE_CHUNKED_END_CR,
    EDGE_CHUNKED_END_LF,
    EDGE_CHUNKED_DONE,
};

/* Zeroed: the beginning of a body. */
struct edge_chunked {
    enum edge_chunked_state state;
    unsigned digits;    /* of the size being read */
    uint64_t remaining; /* bytes of the chunk still to come */
};

/*
 * Takes bytes up to the end of one run of payload or of the whole body, whichever comes first.
 * Returns how many, at most `size`; `ret_payload` is the run, the tail of those bytes (its size may
 * be 0). Call again while it returns more than 0. Returns -1 for a malformed body.
 */
ssize_t edge_chunked_feed(struct edge_chunked *decoder, const char *data, size_t size,
                          struct edge_span *ret_payload, struct error *err);

#endif
