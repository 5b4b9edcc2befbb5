/*
 * A command that the policy looks at: some words of a command line, of which the first is the
 * program. Internal to lib/policy.
 */
#ifndef LIB_POLICY_SLICE_H
#define LIB_POLICY_SLICE_H

#include "lib/policy/shell.h"

#include <stdbool.h>
#include <stddef.h>

struct slice {
    const struct shell_word *words; /* borrowed */
    size_t count;
    unsigned depth; /* of nested texts that it was found in */
};

/* The name of a program: what stands behind the last slash of its path. */
const char *policy_name_of(const char *text);

/* Whether a list of words has the name. */
bool policy_is_listed(const char *name, const char *const *list, size_t count);

#endif
