/*
 * Small helpers that several programs need: clocks, deadlines, checked number parsing, whole reads
 * and writes, UTF-8. Nothing here allocates unless its comment says so.
 */
#ifndef LIB_BASE_UTIL_H
#define LIB_BASE_UTIL_H

#include <atoll/error.h>
#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Microseconds of CLOCK_MONOTONIC. */
int64_t monotonic_usec(void);

/* Milliseconds left until `deadline_usec` (monotonic), at least 0, at most INT_MAX: for poll(2). */
int deadline_left_ms(int64_t deadline_usec);

/* Decimal digits only (no sign, no space), at most `max`. False when `text` is anything else. */
bool parse_u64(const char *text, uint64_t max, uint64_t *ret_value);

/* 0 to 15 for a hex digit of either case, else -1. */
int hex_value(char c);

/* Writes all of `data`, through EINTR and short writes. For blocking descriptors. */
int write_all(int fd, const void *data, size_t size, struct error *err);

/*
 * Reads a whole file of at most `max` bytes, relative to `dir_fd` (or AT_FDCWD). The result is
 * allocated, NUL-terminated beyond its size, and the caller's to free.
 */
int read_file(int dir_fd, const char *path, size_t max, char **ret_data, size_t *ret_size,
              struct error *err);

/*
 * Opens the folder of a descriptor once more, so that reading starts at its first entry and moves
 * no other reader. NULL with errno; the caller closes the result, the descriptor stays his.
 */
DIR *folder_open(int dir_fd);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool utf8_valid(const char *data, size_t size);

/* How many characters a text of valid UTF-8 has. */
size_t utf8_length(const char *text);

/* True for a name of [a-z0-9][a-z0-9._-]* with at most `max` bytes: images, nodes. */
bool name_valid(const char *name, size_t max);

#endif
