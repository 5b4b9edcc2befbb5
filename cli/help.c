/* atoll help, completion, version: what is printed derives from the table of commands. */
#include "cli/help.h"

#include "lib/base/util.h"

#include <atoll/version.h>
#include <string.h>

static const struct {
    int code;
    const char *meaning;
} exits[] = {
#define EXIT_ROW(symbol, code, meaning) {(code), (meaning)},
    CLI_EXITS(EXIT_ROW)
#undef EXIT_ROW
};

static void print_option(FILE *out, const char *name, const char *value, const char *help)
{
    char both[64];

    (void)snprintf(both, sizeof(both), "%s%s%s", name, value ? " " : "", value ? value : "");
    (void)fprintf(out, "  %-24s %s\n", both, help);
}

static void print_options(FILE *out, const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_option(out, options[i].name, options[i].value, options[i].help);
}

/* Those of every command and daemon. */
static void print_common_options(FILE *out)
{
    for (size_t i = 0; i < config_option_count; i++)
        print_option(out, config_option_rows[i].name, config_option_rows[i].value,
                     config_option_rows[i].help);
}

/* A command on a line of its own, behind `before`. */
static void print_row(FILE *out, const char *before, const struct verb *verb)
{
    char name[96];

    (void)snprintf(name, sizeof(name), "%s%s %s", before, verb->name, verb->arguments);
    if (strlen(name) < 32)
        (void)fprintf(out, "  %-32s %s\n", name, verb->help);
    else
        (void)fprintf(out, "  %s\n  %-32s %s\n", name, "", verb->help);
}

void help_print(FILE *out)
{
    (void)fputs("Usage: atoll COMMAND [ARGUMENTS] [OPTIONS]\n\nCommands:\n", out);
    for (size_t i = 0; i < verb_count; i++)
        print_row(out, "", &verbs[i]);
    (void)fputs("\nOptions of the commands that call the service:\n", out);
    print_options(out, api_options, api_option_count);
    (void)fputs("\nOptions of every command and of every daemon:\n", out);
    print_common_options(out);
    (void)fputs("\n`atoll COMMAND --help` tells its options.\n\nExit codes:\n", out);
    for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
        (void)fprintf(out, "  %-4d %s\n", exits[i].code, exits[i].meaning);
}

void help_print_verb(FILE *out, const struct verb *verb)
{
    (void)fprintf(out, "Usage: atoll %s %s\n\n%s.\n", verb->name, verb->arguments, verb->help);
    if (verb->option_count > 0 || verb->calls_api)
        (void)fputs("\nOptions:\n", out);
    print_options(out, verb->options, verb->option_count);
    if (verb->calls_api)
        print_options(out, api_options, api_option_count);
}

bool help_print_below(FILE *out, const char *word)
{
    bool found = false;

    for (size_t i = 0; i < verb_count; i++) {
        if (!verb_is_below(&verbs[i], word))
            continue;
        if (!found)
            (void)fputs("Usage:\n", out);
        print_row(out, "atoll ", &verbs[i]);
        found = true;
    }
    return found;
}

static void print_docs_options(const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)printf("| `%s%s%s` | %s |\n", options[i].name, options[i].value ? " " : "",
                     options[i].value ? options[i].value : "", options[i].help);
}

static void print_docs_common_options(void)
{
    for (size_t i = 0; i < config_option_count; i++)
        (void)printf("| `%s %s` | %s |\n", config_option_rows[i].name, config_option_rows[i].value,
                     config_option_rows[i].help);
}

/* A "|" would end a cell. */
static void print_escaped(const char *text)
{
    for (; *text != '\0'; text++)
        (void)fputs(*text == '|' ? "\\|" : (char[]){*text, '\0'}, stdout);
}

static const char docs_of_ends[] =
    "\n## Connections that break, and signals\n\n"
    "`exec`, `logs --follow` and `events --follow` go on behind the last byte, or event, that\n"
    "came: nothing is missing, and nothing comes twice. So does `exec -t`, where what was typed\n"
    "last may be missing, and `exec -i` as long as it has sent nothing: whether the last input\n"
    "arrived nobody can tell. What cannot go on exits with 3, or with 1 where the service refuses\n"
    "it, as it does once a token has expired, and says which `atoll logs` prints the rest: the\n"
    "command does not depend on us. A token that is made here is made anew as often as needed.\n\n"
    "It ends with us when a signal, such as that of Ctrl-C, ends `atoll exec`, or when nobody\n"
    "reads its output any more: it gets the same signal, in a terminal HUP.";

static const char docs_of_examples[] =
    "\n## Examples\n\n"
    "```sh\n"
    "export ATOLL_URL=https://atoll.example.com ATOLL_API_KEY=atoll_...  # elsewhere than on its "
    "host\n"
    "atoll run hello.py -- arguments\n"
    "ID=$(atoll create --runtime python --memory 256m --label for=demo)\n"
    "atoll exec $ID -- python3 -c 'print(6 * 7)'\n"
    "atoll exec -it $ID -- bash\n"
    "atoll cp data.csv $ID:\n"
    "atoll cp --archive $ID:/sandbox all.tar.gz\n"
    "atoll events --sandbox $ID --follow\n"
    "atoll rm $ID\n"
    "```";

static int print_docs(void)
{
    (void)puts(
        "# The command line\n\n"
        "Derived from the table of commands by `make docs`. `atoll help COMMAND` and\n"
        "`atoll COMMAND --help` say the same; the first word of two alone, as in `atoll quota`,\n"
        "says what can follow it.\n\n| command | |\n|---|---|");
    for (size_t i = 0; i < verb_count; i++) {
        (void)printf("| `atoll %s%s", verbs[i].name, verbs[i].arguments[0] ? " " : "");
        print_escaped(verbs[i].arguments);
        (void)printf("` | %s |\n", verbs[i].help);
    }
    (void)puts(docs_of_examples);
    for (size_t i = 0; i < verb_count; i++) {
        if (verbs[i].option_count == 0)
            continue;
        (void)printf("\n## atoll %s\n\n| option | |\n|---|---|\n", verbs[i].name);
        print_docs_options(verbs[i].options, verbs[i].option_count);
    }
    (void)puts("\n## Commands that call the service\n\n| option | |\n|---|---|");
    print_docs_options(api_options, api_option_count);
    (void)puts("\n## Every command\n\n| option | |\n|---|---|");
    print_docs_common_options();
    (void)puts(docs_of_ends);
    (void)puts("\n## Exit codes\n\n| code | |\n|---|---|");
    for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
        (void)printf("| %d | %s |\n", exits[i].code, exits[i].meaning);
    return CLI_OK;
}

int cli_help(struct cli *cli, struct error *err)
{
    const struct verb *verb;
    bool found = false;
    int words;

    if (cli->argc == 0) {
        help_print(stdout);
        return CLI_OK;
    }
    if (strcmp(cli->argv[0], "--docs") == 0)
        return print_docs();
    verb = verb_find(cli->argc, cli->argv, &words);
    if (verb) {
        help_print_verb(stdout, verb);
        return CLI_OK;
    }
    /* "tenant" alone: all that begin with it. */
    for (size_t i = 0; i < verb_count; i++) {
        if (!verb_is_below(&verbs[i], cli->argv[0]))
            continue;
        if (found)
            (void)putchar('\n');
        help_print_verb(stdout, &verbs[i]);
        found = true;
    }
    if (!found)
        return error_set(err, ERR_BAD_REQUEST, "help: unknown command %.128s", cli->argv[0]);
    return CLI_OK;
}

static void print_option_names(const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)printf(" %s", options[i].name);
}

/* The first words once each, and behind one of two words the second ones. */
static void print_first_words(void)
{
    for (size_t i = 0; i < verb_count; i++) {
        size_t length = strcspn(verbs[i].name, " ");

        if (i == 0 || strncmp(verbs[i].name, verbs[i - 1].name, length + 1) != 0)
            (void)printf(" %.*s", (int)length, verbs[i].name);
    }
}

static void print_bash(void)
{
    (void)printf("_atoll() {\n"
                 "    local current=${COMP_WORDS[COMP_CWORD]} words=\n"
                 "    case \"$COMP_CWORD ${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n"
                 "    1\\ *) words='");
    print_first_words();
    (void)printf("' ;;\n");
    for (size_t i = 0; i < verb_count; i++) {
        const char *second = strchr(verbs[i].name, ' ');
        int first = (int)strcspn(verbs[i].name, " ");

        if (second &&
            (i == 0 || strncmp(verbs[i].name, verbs[i - 1].name, (size_t)first + 1) != 0)) {
            (void)printf("    2\\ %.*s\\ *) words='", first, verbs[i].name);
            for (size_t k = i; k < verb_count; k++)
                if (strncmp(verbs[k].name, verbs[i].name, (size_t)first + 1) == 0)
                    (void)printf(" %s", verbs[k].name + first + 1);
            (void)printf("' ;;\n");
        }
    }
    for (size_t i = 0; i < verb_count; i++) {
        const char *second = strchr(verbs[i].name, ' ');

        (void)printf("    *\\ %.*s\\ %s) words='", (int)strcspn(verbs[i].name, " "), verbs[i].name,
                     second ? second + 1 : "*");
        print_option_names(verbs[i].options, verbs[i].option_count);
        if (verbs[i].calls_api)
            print_option_names(api_options, api_option_count);
        (void)printf("' ;;\n");
    }
    (void)puts("    esac\n"
               "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
               "}\n"
               "complete -o default -F _atoll atoll");
}

int cli_completion(struct cli *cli, struct error *err)
{
    const char *shell = cli->argc == 1 ? cli->argv[0] : "";

    if (strcmp(shell, "zsh") == 0)
        (void)puts("autoload -U +X compinit && compinit\n"
                   "autoload -U +X bashcompinit && bashcompinit");
    else if (strcmp(shell, "bash") != 0)
        return error_set(err, ERR_BAD_REQUEST, "completion needs bash or zsh");
    print_bash();
    return CLI_OK;
}

int cli_version(struct cli *cli, struct error *err)
{
    if (cli->argc > 0)
        return error_set(err, ERR_BAD_REQUEST, "version: unknown argument %.128s", cli->argv[0]);
    (void)printf("atoll %s\n", ATOLL_VERSION);
    return CLI_OK;
}
