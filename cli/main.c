#include "cli/cli.h"

#include "cli/defaults.h"
#include "cli/help.h"
#include "cli/plain.h"
#include <atoll/log.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int complain(const struct error *err, int code)
{
    plain_complain(err->message);
    return code;
}

/* What a failed command exits with. */
static int exit_of_failure(const struct verb *verb, const struct error *err)
{
    if (err->code == ERR_BAD_REQUEST)
        return CLI_USAGE;
    if (strcmp(verb->name, "run") == 0)
        return CLI_RUN_FAILED;
    if (verb->calls_api && err->code == ERR_UNAVAILABLE)
        return CLI_UNREACHABLE;
    return err->code == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
}

static int run_words(struct cli *cli, const struct verb *verb)
{
    struct error err = {0};
    int code = -1;

    if (!verb->arguments[0] && verb->option_count == 0 && cli->argc > 0)
        (void)error_set(&err, ERR_BAD_REQUEST, "%s: unknown argument %.128s", verb->name,
                        cli->argv[0]);
    else
        code = verb->run_words(cli, &err);
    if (code < 0)
        return complain(&err, err.code == ERR_BAD_REQUEST ? CLI_USAGE : CLI_FAILED);
    return code;
}

static int run_verb(struct cli *cli, const struct verb *verb)
{
    struct arguments arguments;
    struct error err = {0};
    int code = -1;

    if (arguments_parse(verb, cli->argc, cli->argv, &arguments, &err) == 0)
        code = verb->run(cli, &arguments, &err);
    return code < 0 ? complain(&err, exit_of_failure(verb, &err)) : code;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* No command: its first word alone, one that does not exist, or the question what there is. */
static int explain(int argc, char **argv)
{
    bool asked = argc > 1 && asks_for_help(argv[1]);
    struct error err;

    if (asked && help_print_below(stdout, argv[0]))
        return CLI_OK;
    if (argc == 1 && help_print_below(stderr, argv[0]))
        return CLI_USAGE;
    if (argv[0][0] == '-')
        (void)error_set(&err, ERR_BAD_REQUEST, "%.128s: options stand behind the command", argv[0]);
    else
        (void)error_set(&err, ERR_BAD_REQUEST, "unknown command %.128s%s%.128s", argv[0],
                        argc > 1 && !asked ? " " : "", argc > 1 && !asked ? argv[1] : "");
    (void)complain(&err, CLI_USAGE);
    (void)fputc('\n', stderr);
    if (!help_print_below(stderr, argv[0]))
        (void)fputs("`atoll help` lists the commands.\n", stderr);
    return CLI_USAGE;
}

/* True for a question anywhere before "--": behind it words are somebody else's. */
static bool asks_among(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (asks_for_help(argv[i]))
            return true;
    return false;
}

/* A stream that is closed would be the next descriptor that is opened: what is printed would go to
 * the service. Output fails then, and input has ended. */
static void hold_streams(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        (void)close(fd);
}

/* What was printed may be lost only now: on a full disk, say. */
static int end_output(int code)
{
    struct error err;

    if (fflush(stdout) != 0)
        (void)error_set_errno(&err, errno, "cannot write to standard output");
    else if (ferror(stdout))
        (void)error_set(&err, ERR_INTERNAL, "cannot write to standard output");
    else
        return code;
    return complain(&err, CLI_FAILED);
}

/* A wrong configuration stops every command but those that explain. */
static int load_config(struct cli *cli, const struct verb *verb,
                       const struct config_options *options, struct error *err)
{
    if (verb->needs_nothing)
        return 0;
    if (config_load(options, &cli->config, &cli->origins, err) < 0)
        return -1;
    return defaults_fill(&cli->config, &cli->origins, err);
}

/* `argv` begins with the command's words. */
static int run_command(struct cli *cli, const struct config_options *options, int argc, char **argv)
{
    struct error err = {0};
    int words;
    const struct verb *verb = verb_find(argc, argv, &words);

    if (!verb)
        return explain(argc, argv);
    if (asks_among(argc - words, argv + words)) {
        help_print_verb(stdout, verb);
        return CLI_OK;
    }
    if (load_config(cli, verb, options, &err) < 0)
        return complain(&err, CLI_USAGE);
    cli->argc = argc - words;
    cli->argv = argv + words;
    return verb->run ? run_verb(cli, verb) : run_words(cli, verb);
}

/* "--help" and "--version" are commands of their own. */
static void rename_options(char **argv)
{
    static char help[] = "help";
    static char version[] = "version";

    if (asks_for_help(argv[1]))
        argv[1] = help;
    else if (strcmp(argv[1], "--version") == 0)
        argv[1] = version;
}

int main(int argc, char **argv)
{
    _cleanup_free_ char **all_argv = calloc((size_t)argc + 1, sizeof(*all_argv));
    struct config_options options;
    struct error err = {0};
    struct cli cli = {.all_argv = all_argv};
    int code;

    hold_streams();
    if (!all_argv)
        return CLI_FAILED;
    memcpy(all_argv, argv, (size_t)argc * sizeof(*argv));
    if (config_take_options(&argc, argv, &options, &err) < 0)
        return complain(&err, CLI_USAGE);
    if (argc < 2) {
        help_print(stderr);
        return CLI_USAGE;
    }
    rename_options(argv);
    code = run_command(&cli, &options, argc - 1, argv + 1);
    config_done(&cli.config);
    return end_output(code);
}
