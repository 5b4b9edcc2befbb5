/*
 * What every daemon answers about itself instead of running: its help, its version, and what it
 * prints for the documents.
 */
#ifndef LIB_CONFIG_PROGRAM_H
#define LIB_CONFIG_PROGRAM_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The exit code for a wrong command line or configuration: no restart mends it. */
enum { PROGRAM_MISUSED = 2 };

/* Something to print, by an option that stands alone on the command line. */
struct program_report {
    const char *option; /* "--print-routes" */
    const char *help;
    int (*print)(FILE *out, struct error *err);
};

struct program {
    const char *name;    /* "atoll-server" */
    const char *purpose; /* one sentence */
    const struct program_report *reports;
    size_t report_count;
};

/*
 * Answers `--help`, `-h` and `--version`, wherever they stand, and the program's reports on
 * standard output. True: that was all that was asked, and *ret_code is what to exit with.
 */
bool program_answer(const struct program *program, int argc, char **argv, int *ret_code);

#endif
