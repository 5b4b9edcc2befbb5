#include "cli/cli.h"

#include "cli/defaults.h"
#include "lib/base/util.h"
#include <atoll/log.h>
#include <atoll/version.h>
#include <stdio.h>
#include <string.h>

static int cli_help(struct cli *cli, struct error *err);
static int cli_version(struct cli *cli, struct error *err);

/* `arguments` is what follows the name; the help is printed from here and nowhere else. */
static const struct {
    const char *name;
    const char *arguments;
    const char *help;
    int (*run)(struct cli *cli, struct error *err);
} commands[] = {
    {"dev", "", "Run the whole service here, with a private PostgreSQL, until Ctrl-C", cli_dev},
    {"migrate", "", "Bring the database's schema up to date", cli_migrate},
    {"token", "[--sub S] [--tenant UUID] [--project UUID] [--scope S] [--ttl SECONDS]",
     "Print a bearer token, signed with the HS256 key", cli_token},
    {"image", "ls | build NAME | import NAME FILE.tar | rm NAME",
     "Manage the images that sandboxes are made from", cli_image},
    {"config", "--show | --docs | --toml",
     "Print the effective values and their origin, the reference, or a file of defaults",
     cli_config},
    {"doctor", "", "Say what this host lacks, and how to fix it", cli_doctor},
    {"version", "", "Print the version", cli_version},
    {"help", "", "Print this", cli_help},
};

static void print_usage(FILE *out)
{
    (void)fputs("Usage: atoll COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        (void)fprintf(out, "  %s%s%s\n      %s\n", commands[i].name,
                      commands[i].arguments[0] ? " " : "", commands[i].arguments, commands[i].help);
    (void)fputs("\nOptions of every command and of every daemon:\n"
                "  --config FILE            read this TOML file\n"
                "  --backend NAME           the same as --set sandbox.backend=NAME\n"
                "  --set SECTION.KEY=VALUE  one value; wins over environment and file\n"
                "\nExit codes: 0 done, 1 failed, 2 wrong command, argument or configuration.\n",
                out);
}

static int cli_help(struct cli *cli, struct error *err)
{
    (void)cli;
    (void)err;
    print_usage(stdout);
    return CLI_OK;
}

static int cli_version(struct cli *cli, struct error *err)
{
    (void)cli;
    (void)err;
    (void)printf("atoll %s\n", ATOLL_VERSION);
    return CLI_OK;
}

static int complain(const struct error *err, int code)
{
    (void)fprintf(stderr, "atoll: %s\n", err->message);
    return code;
}

static int run_command(struct cli *cli, const char *name)
{
    struct error err = {0};
    int code;

    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        if (!commands[i].arguments[0] && cli->argc > 0) {
            (void)error_set(&err, ERR_BAD_REQUEST, "%s: unknown argument %.128s", name,
                            cli->argv[0]);
            return complain(&err, CLI_USAGE);
        }
        code = commands[i].run(cli, &err);
        if (code < 0)
            return complain(&err, err.code == ERR_BAD_REQUEST ? CLI_USAGE : CLI_FAILED);
        return code;
    }
    (void)fprintf(stderr, "atoll: unknown command %.128s\n\n", name);
    print_usage(stderr);
    return CLI_USAGE;
}

/* "--help" and "--version" are asked for before anything can be wrong. */
static const char *command_name(int argc, char **argv)
{
    if (argc < 2)
        return NULL;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return "help";
    if (strcmp(argv[1], "--version") == 0)
        return "version";
    return argv[1];
}

int main(int argc, char **argv)
{
    _cleanup_free_ char **all_argv = calloc((size_t)argc + 1, sizeof(*all_argv));
    struct config_options options;
    struct error err = {0};
    struct cli cli = {.all_argv = all_argv};
    const char *name;
    int code;

    if (!all_argv)
        return CLI_FAILED;
    memcpy(all_argv, argv, (size_t)argc * sizeof(*argv));
    if (config_take_options(&argc, argv, &options, &err) < 0)
        return complain(&err, CLI_USAGE);
    name = command_name(argc, argv);
    if (!name) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    if (config_load(&options, &cli.config, &cli.origins, &err) < 0 ||
        defaults_fill(&cli.config, &cli.origins, &err) < 0)
        return complain(&err, CLI_USAGE);
    cli.argc = argc - 2;
    cli.argv = argv + 2;
    code = run_command(&cli, name);
    config_done(&cli.config);
    return code;
}
