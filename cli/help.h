/* What the table of commands says to who asks, or types what is none. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/verb.h"

#include <stdio.h>

/* The list of commands. */
void help_print(FILE *out);

/* A command with its options. */
void help_print_verb(FILE *out, const struct verb *verb);

/* What can follow the first word of commands of two words; false, and nothing, when none can. */
bool help_print_below(FILE *out, const char *word);

#endif
