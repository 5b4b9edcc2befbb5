/*
 * A reader for the part of TOML 1.0 that the configuration needs: tables of one level, bare keys,
 * basic and literal strings on one line, decimal integers, booleans, comments. Everything else of
 * TOML (dotted and quoted keys, arrays, floats, dates, inline tables, multi-line strings) is
 * refused by name, never skipped. Debian has no TOML library for C, and the whole language would
 * be twenty times this code.
 *
 * The reader calls back for each value and keeps nothing.
 */
#ifndef LIB_CONFIG_TOML_H
#define LIB_CONFIG_TOML_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bounds of a text: bytes of all of it, bytes of one name, values, tables. */
enum { TOML_TEXT_MAX = 65536, TOML_NAME_MAX = 64, TOML_VALUES_MAX = 256, TOML_TABLES_MAX = 32 };

enum toml_type { TOML_STRING, TOML_INTEGER, TOML_BOOL };

/* One `key = value`. The text belongs to the reader and lives until the callback returns. */
struct toml_value {
    const char *table; /* "" before the first table header */
    const char *key;
    unsigned line; /* from 1 */
    enum toml_type type;
    const char *string; /* NUL-terminated UTF-8 without a NUL inside; "" unless TOML_STRING */
    int64_t integer;
    bool boolean;
};

/* Called in the order of the text. A failure ends the reading and is reported with its line. */
typedef int (*toml_handler)(const struct toml_value *value, void *userdata, struct error *err);

/*
 * Reads `text`, which needs no NUL at its end. `name` is what messages call it: a message starts
 * with "name:line: ".
 */
int toml_parse(const char *name, const char *text, size_t size, toml_handler handler,
               void *userdata, struct error *err);

#endif
