/* atoll config: everything it prints derives from the table of keys. */
#include "cli/cli.h"

#include "cli/redact.h"
#include "cli/verb_functions.h"
#include "lib/base/util.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {"string", "integer", "boolean"};

/* TOML writes a string in quotes; the values hold no control characters (config.c). */
static void print_toml_value(enum config_type type, const char *text)
{
    if (type != CONFIG_STRING) {
        (void)fputs(text, stdout);
        return;
    }
    (void)putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            (void)putchar('\\');
        (void)putchar(*text);
    }
    (void)putchar('"');
}

static bool starts_section(size_t index)
{
    return index == 0 || strcmp(config_keys[index].section, config_keys[index - 1].section) != 0;
}

static int show(struct cli *cli)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        char buffer[CONFIG_TEXT_SIZE];
        char origin[CONFIG_ORIGIN_SIZE];
        _cleanup_free_ char *text = redact(config_value_text(&cli->config, key, buffer));

        if (!text)
            return CLI_FAILED;
        if (starts_section(i))
            (void)printf("%s[%s]\n", i ? "\n" : "", key->section);
        (void)printf("%s = ", key->name);
        print_toml_value(key->type, text);
        config_origin_text(&cli->origins, (enum config_key_index)i, origin);
        (void)printf("  # %s\n", origin);
    }
    return CLI_OK;
}

/* A file to start from: every key, commented out, with its default. */
static int print_toml(struct cli *cli)
{
    (void)cli;
    (void)puts(
        "# Atoll's configuration. Every line shows a default; take away the # to change it.\n"
        "# The environment and the command line win over this file: docs/configuration.md.");
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];

        if (starts_section(i))
            (void)printf("\n[%s]\n", key->section);
        (void)printf("# %s\n#%s = ", key->meaning, key->name);
        print_toml_value(key->type, key->default_text);
        (void)putchar('\n');
    }
    return CLI_OK;
}

static void print_range(const struct config_key *key)
{
    if (key->choices) {
        for (const char *c = key->choices; *c; c++)
            (void)fputs(*c == '|' ? ", " : (char[]){*c, '\0'}, stdout);
    } else if (key->type == CONFIG_INTEGER) {
        (void)printf("%" PRId64 " to %" PRId64, key->minimum, key->maximum);
    } else if (key->type == CONFIG_STRING) {
        (void)printf("%" PRId64 " to %" PRId64 " bytes", key->minimum, key->maximum);
    }
}

static int print_docs(struct cli *cli)
{
    (void)cli;
    (void)puts(
        "# Configuration\n\n"
        "`atoll config --docs` writes this file from the table in `include/atoll/config.h`.\n\n"
        "A value comes from, in rising precedence: its default, the file named by\n"
        "`--config FILE`, the environment, the command line (`--set SECTION.KEY=VALUE`;\n"
        "`--backend NAME` stands for `--set sandbox.backend=NAME`). `atoll config --show` prints\n"
        "the effective values and where each comes from. An unknown key, a wrong type or a value\n"
        "out of range stops the start and names the file and line, the variable or the option;\n"
        "the exit code is 2. Every daemon takes these options, and `--help` and `--version`.\n\n"
        "The file is TOML: `[sections]`, strings in one line, decimal integers, `true` and\n"
        "`false`, comments; at most 64 KiB of UTF-8.\n\n"
        "At SIGHUP (`systemctl reload`) server, monitor and worker read the file again. Keys with\n"
        "`reload` change; of the others the log says that they need a restart. A file with an\n"
        "error changes nothing.\n\n"
        "Nothing here is needed for `atoll dev`: it fills in `state`, `database` and the key of\n"
        "`auth` itself. An ordinary user's state is in `./.atoll/state` and `/run/atoll-UID`.");
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];

        if (starts_section(i))
            (void)printf("\n## [%s]\n\n"
                         "| key | environment | type | default | allowed | reload | meaning |\n"
                         "|---|---|---|---|---|---|---|\n",
                         key->section);
        (void)printf("| `%s` | `%s` | %s | `", key->name, key->environment, type_names[key->type]);
        print_toml_value(key->type, key->default_text);
        (void)fputs("` | ", stdout);
        print_range(key);
        (void)printf(" | %s | %s |\n", key->reloadable ? "yes" : "no", key->meaning);
    }
    return CLI_OK;
}

int cli_config(struct cli *cli, const struct arguments *arguments, struct error *err)
{
    static const struct {
        const char *option;
        int (*print)(struct cli *cli);
    } outputs[] = {{"--show", show}, {"--docs", print_docs}, {"--toml", print_toml}};

    if (arguments->option_count > 1)
        return error_set(err, ERR_BAD_REQUEST, "config takes one of --show, --docs, --toml");
    for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
        if (argument_value(arguments, outputs[i].option))
            return outputs[i].print(cli);
    }
    return show(cli);
}
