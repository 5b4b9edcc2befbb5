/*
 * Times as text, and from text: RFC 3339 in UTC with microseconds. Inside, a time is Unix
 * microseconds of the database's clock.
 */
#ifndef LIB_BASE_TIME_H
#define LIB_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

enum { TIME_TEXT_SIZE = 40 };

/* Writes "2026-01-02T03:04:05.678901Z" and a NUL. */
void time_format(int64_t unix_usec, char text[static TIME_TEXT_SIZE]);

/*
 * Takes a date-time of RFC 3339 (section 5.6): a fraction of up to nine digits, "Z" or an offset;
 * upper case. Years 1970 to 9999; a leap second counts as the next second. False for anything else.
 */
bool time_parse(const char *text, int64_t *ret_unix_usec);

#endif
