/* Running the same command again as root, through sudo. */
#ifndef CLI_ELEVATE_H
#define CLI_ELEVATE_H

#include "cli/cli.h"

/*
 * Returns 0 when this process is root. Otherwise replaces it with `sudo` and the same arguments;
 * the environment's configuration and the folders of the ordinary user go along. Returns only to
 * report an error.
 */
int elevate(const struct cli *cli, struct error *err);

#endif
