/*
 * One range of bytes of a representation (RFC 9110, section 14). Several ranges at once, other
 * units and what is not well-formed are ignored, as the section allows.
 */
#ifndef SERVER_HANDLERS_BYTE_RANGE_H
#define SERVER_HANDLERS_BYTE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum byte_range_kind {
    BYTE_RANGE_NONE, /* all of it */
    BYTE_RANGE_PART,
    BYTE_RANGE_OUTSIDE, /* begins behind the end */
};

/* The range that the field's `text` (NULL: none came) means for `size` bytes. */
enum byte_range_kind byte_range_parse(const char *text, uint64_t size, uint64_t *ret_first,
                                      uint64_t *ret_count);

#endif
