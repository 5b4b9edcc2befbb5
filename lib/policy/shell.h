/*
 * Reads a command line as a shell would and finds the commands in it (POSIX.1-2017, Shell Command
 * Language; of bash what changes where a command begins): behind `;`, `&`, `&&`, `||`, pipes and
 * newlines, in groups, loops, conditions and functions, in `$()`, backquotes, here-documents and
 * process substitutions. Nothing is expanded or run.
 *
 * Input is hostile: work and depth are bounded, and what two shells would read differently is
 * refused as not readable.
 */
#ifndef LIB_POLICY_SHELL_H
#define LIB_POLICY_SHELL_H

#include <atoll/error.h>
#include <stdbool.h>
#include <stddef.h>

enum { SHELL_DEPTH_MAX = 12, SHELL_TEXT_MAX = 1 << 20 };

/* A word with its quotes removed. */
struct shell_word {
    const char *text;
    bool is_known; /* false: a variable, a substitution or a pattern decides what it becomes */
};

/* A command without its assignments and redirections: one word or more. */
typedef int (*shell_visitor)(const struct shell_word *words, size_t count, unsigned depth,
                             void *user, struct error *err);

/*
 * Calls back for each command, those of substitutions before the one that they are in. `depth` is
 * how deep the text is nested already, 0 for one that is not. Fails with ERR_INVALID_FIELD when the
 * text cannot be read, with ERR_INTERNAL when memory is short, and when a visitor fails.
 */
int shell_walk(const char *text, unsigned depth, shell_visitor visit, void *user,
               struct error *err);

#endif
