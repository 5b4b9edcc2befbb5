/*
 * The operator's program: what its commands share. main.c holds the table of commands; each
 * command is one function that returns an exit code, or -1 with the error filled.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "lib/config/config.h"
#include <atoll/error.h>

/* The exit codes of `atoll`. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1, /* what was asked for did not work; standard error says why */
    CLI_USAGE = 2,  /* unknown command, argument or configuration */
};

/* What a command gets. Owned by main; argv[0] is the first argument after the command's name. */
struct cli {
    struct config config; /* with the values of defaults.h filled in */
    struct config_origins origins;
    int argc;
    char **argv;
    char **all_argv; /* as main got it, NULL-terminated */
};

int cli_config(struct cli *cli, struct error *err);
int cli_dev(struct cli *cli, struct error *err);
int cli_doctor(struct cli *cli, struct error *err);
int cli_image(struct cli *cli, struct error *err);
int cli_migrate(struct cli *cli, struct error *err);
int cli_token(struct cli *cli, struct error *err);

#endif
