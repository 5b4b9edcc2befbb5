/*
 * Identifiers: UUIDs of version 7 (RFC 9562: 48 bits of Unix milliseconds, 12 bits of the time
 * within it as in its section 6.2, method 3, then random bits), so that they sort by time, and
 * those that one client makes one after the other do so too. The API shows them as 32 lowercase hex
 * digits (they double as host names) and takes them with dashes and in upper case too.
 */
#ifndef ATOLL_ID_H
#define ATOLL_ID_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stdint.h>

enum { ID_BYTES = 16, ID_TEXT_SIZE = 33 };

struct id {
    uint8_t bytes[ID_BYTES];
};

/* A new id; fails only when the kernel gives no random bytes. */
int id_new(struct id *ret_id, struct error *err);

/* Takes 32 hex digits, or the dashed form of 36 characters. False when it is neither. */
bool id_parse(const char *text, struct id *ret_id);

/* Writes 32 lowercase hex digits and a NUL. */
void id_format(const struct id *id, char text[static ID_TEXT_SIZE]);

bool id_equal(const struct id *a, const struct id *b);

/* All zeros, which nothing has for an id: none was given. */
bool id_is_none(const struct id *id);

/* NULL for none, else the id itself. */
const struct id *id_or_null(const struct id *id);

#endif
