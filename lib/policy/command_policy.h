/*
 * Whether a project's command policy lets a command line run. It reads the command line as the
 * shell would (shell.h) and looks at every program in it, also behind wrappers such as env and
 * `sh -c`. It stops mistakes; it is no wall: a program that is let in can start any other.
 */
#ifndef LIB_POLICY_COMMAND_POLICY_H
#define LIB_POLICY_COMMAND_POLICY_H

#include <atoll/error.h>
#include <stddef.h>

enum { COMMAND_POLICY_RULES_MAX = 256, COMMAND_POLICY_RULE_MAX = 255 };

/* Borrowed strings. */
struct command_policy {
    const char *const *allow; /* names of programs; none: all are let in */
    size_t allow_count;
    const char *const *block; /* a program, and words that must all be among its arguments */
    size_t block_count;
};

/*
 * Checks the NULL-terminated `argv`. ERR_COMMAND (field "command") says which rule refuses it, or
 * why nobody can tell what it runs, in visible ASCII. ERR_INTERNAL when memory is short.
 */
int command_policy_check(const struct command_policy *policy, const char *const *argv,
                         struct error *err);

/* The same for a text that a shell reads. */
int command_policy_check_text(const struct command_policy *policy, const char *text,
                              struct error *err);

#endif
