/* Numbers and times as people write and read them. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

enum { FORMAT_SIZE = 32 };

/* MiB as "512M", "1.5G", "2T". */
void format_mebibytes(int64_t mebibytes, char text[static FORMAT_SIZE]);

/* Thousandths of a core as "0.25", "2". */
void format_cores(int64_t milli, char text[static FORMAT_SIZE]);

/* Seconds in their largest unit that is whole: "59s", "3m", "47h", "12d". */
void format_age(int64_t seconds, char text[static FORMAT_SIZE]);

/* "512", "512m", "4g", "1t" (and "4G", "4GB", "4GiB"): MiB. False for anything else. */
bool parse_mebibytes(const char *text, int64_t *ret_mebibytes);

/* "2", "0.25": thousandths of a core. False for anything else, and for more than three decimals. */
bool parse_cores(const char *text, int64_t *ret_milli);

/* "500ms", "30", "30s", "5m", "2h", "1d": milliseconds. */
bool parse_duration_ms(const char *text, int64_t *ret_ms);

#endif
