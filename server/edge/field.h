/*
 * The pieces that request and response heads share: spans, tokens, header fields and lists
 * (RFC 9110 section 5, RFC 9112 section 5). Spans point into the caller's bytes.
 */
#ifndef SERVER_EDGE_FIELD_H
#define SERVER_EDGE_FIELD_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct edge_span {
    const char *data;
    size_t size;
};

#define EDGE_SPAN(literal) ((struct edge_span){(literal), sizeof(literal) - 1})

struct edge_field {
    struct edge_span name;
    struct edge_span value; /* without the white space around it */
    bool forward;           /* end-to-end: the other side gets it too */
};

enum edge_scan { EDGE_SCAN_PARTIAL, EDGE_SCAN_COMPLETE, EDGE_SCAN_REFUSED };

/*
 * Looks for the end of a head, the empty line. `inout_scanned` (0 at first) remembers how far
 * earlier calls came. COMPLETE sets `ret_size` to the head's size with the empty line. REFUSED: a
 * line ends in a bare LF.
 */
enum edge_scan edge_head_scan(const char *data, size_t size, size_t *inout_scanned,
                              size_t *ret_size);

/* Takes the next line, without its CRLF, from a head that edge_head_scan found complete. */
struct edge_span edge_line_next(struct edge_span *inout_head);

/* Parses `name: value`. Refuses folding, spaces before the colon and control characters. */
int edge_field_parse(struct edge_span line, struct edge_field *ret_field, struct error *err);

/* ASCII case-insensitive equality. */
bool edge_span_equal(struct edge_span a, struct edge_span b);

/* True when the span is a token (RFC 9110 section 5.6.2). */
bool edge_span_is_token(struct edge_span span);

/* Takes the next element of a comma-separated list; an empty span at its end. */
struct edge_span edge_list_next(struct edge_span *inout_list);

/*
 * Decimal digits only, at most 18 of them: no sign, no white space, no list, no overflow. False
 * when `text` is anything else.
 */
bool edge_length_parse(struct edge_span text, uint64_t *ret_length);

#endif
