/* The list of commands, for `atoll help` and for who types none. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/verb.h"

#include <stdio.h>

void help_print(FILE *out);

#endif
