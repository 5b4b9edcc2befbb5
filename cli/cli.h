/*
 * The operator's program: what its commands share. main.c holds the table of commands; each
 * command is one function that returns an exit code, or -1 with the error filled.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "lib/config/config.h"
#include <atoll/error.h>

/*
 * The exit codes of `atoll`. X(symbol, code, meaning); docs/cli.md derives from it. `atoll run`
 * exits with the code of what it ran, so that its own failures have others.
 */
#define CLI_EXITS(X)                                                                               \
    X(CLI_OK, 0, "done")                                                                           \
    X(CLI_FAILED, 1, "it did not work, or the service refused it; standard error says why")        \
    X(CLI_USAGE, 2, "unknown command, argument or configuration")                                  \
    X(CLI_UNREACHABLE, 3, "the service, or a part of it, cannot be reached")                       \
    X(CLI_NOT_FOUND, 4, "there is no such thing, or it is not yours")                              \
    X(CLI_RUN_TIMED_OUT, 124, "`atoll run`, `exec`: the time limit ended the program")             \
    X(CLI_RUN_FAILED, 125,                                                                         \
      "`atoll run`: the service did not run the program; `exec`: it cannot tell its end")

enum cli_exit {
#define CLI_EXIT_ENUM(symbol, code, meaning) symbol = (code),
    CLI_EXITS(CLI_EXIT_ENUM)
#undef CLI_EXIT_ENUM
};

/* What a command gets. Owned by main; argv[0] is the first argument after the command's name. */
struct cli {
    struct config config; /* with the values of defaults.h filled in */
    struct config_origins origins;
    int argc;
    char **argv;
    char **all_argv; /* as main got it, NULL-terminated */
};

int cli_dev(struct cli *cli, struct error *err);
int cli_doctor(struct cli *cli, struct error *err);
int cli_migrate(struct cli *cli, struct error *err);
int cli_help(struct cli *cli, struct error *err);
int cli_completion(struct cli *cli, struct error *err);
int cli_version(struct cli *cli, struct error *err);

#endif
